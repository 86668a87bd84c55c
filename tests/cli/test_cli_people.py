"""A photo of people needs no depth on the command line; nothing is guessed in silence."""

import pytest
import torch

from bokehdepth_core import cli
from bokehdepth_core.demo.run import ASSETS
from bokehdepth_core.files.pictures.images import read_image, write_image

PHOTO = ASSETS / "photo.png"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The bundled photo of somebody in 256 px, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    photo = read_image(PHOTO).reshape(256, 2, 256, 2, 3).mean((1, 3))
    write_image("me.png", photo)
    return photo


def run(command):
    return cli.main(command.split())


def test_a_portrait_is_rendered_and_the_guess_is_said(small, capsys):
    assert run("render me.png --quality draft -o out.png") == 0
    said = capsys.readouterr().out
    assert "me.png: a colour picture without depth inside. Depth is a rough guess" in said
    assert "Better: a depth map" in said
    assert "focus: on the people found" in said
    change = (read_image("out.png") - small).abs().mean(-1)
    assert change[150:170, 95:110].max() <= 1 / 255  # the face
    assert change[20:60].mean() > 0.01  # the sky behind


def test_a_point_may_be_in_focus_instead(small, capsys):
    assert run("render me.png --quality draft --focus-point 0.9,0.1 -o out.png") == 0
    assert "focus: on the people" not in capsys.readouterr().out
    change = (read_image("out.png") - small).abs().mean(-1)
    assert change[150:170, 95:110].mean() > change[20:60].mean()


def test_a_distance_cannot_be_in_focus_without_metres(small, capsys):
    assert run("render me.png --focus-distance 2 -o out.png") == 2
    assert "focus_distance: the depth holds no metres" in capsys.readouterr().err


def test_the_demo_takes_a_photo(small, capsys):
    assert run("demo me.png --output sheet") == 0
    said = capsys.readouterr().out
    assert "rough guess from people" in said
    assert "bokehdepth render me.png -o bokeh.png" in said
    sheet = read_image("sheet/contact_sheet.png")
    assert sheet.shape[1] > 1000
    assert run("demo me.png --output me.png") == 2
    assert "me.png: is an input as well" in capsys.readouterr().err


def test_the_demo_refuses_a_photo_of_nobody(tmp_path, capsys):
    write_image(tmp_path / "wall.png", torch.full((64, 64, 3), 0.5))
    assert run(f"demo {tmp_path / 'wall.png'} --output {tmp_path / 'sheet'}") == 2
    assert "no person found" in capsys.readouterr().err
    assert not (tmp_path / "sheet").exists()
