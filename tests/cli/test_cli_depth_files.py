"""The command line reads depth files as Python does, and says how."""

import numpy as np
import pytest
import torch
from depth_files import HEIGHT, METRES, RGB, SHARE, WIDTH, gdepth_xmp, photo, write_exr
from PIL import Image

from bokehdepth_core import cli, read_depth, write_image


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image("photo.png", torch.rand(HEIGHT, WIDTH, 3))
    return tmp_path


def run(command):
    return cli.main(command.split())


def test_millimetres_are_said_with_the_options_that_change_them(scene, capsys):
    levels = (METRES * 1000).astype(np.uint16)
    levels[:4, :9] = 0
    Image.fromarray(levels).save("mm.png")
    assert run("render photo.png mm.png --strength 4 -o out.png") == 0
    said = capsys.readouterr().out
    assert "mm.png: read as millimetres (1500 … 4500 of 65535); --depth-values or --depth" in said
    assert "holes: 36 of 864 pixels not measured (4 %), filled along the colours of" in said
    assert " m\n" in said.splitlines(keepends=True)[-1]  # the focus is in metres


def test_the_options_of_reading_reach_the_reader(scene, capsys):
    write_exr(scene / "two.exr", {**RGB, "near.depth": METRES, "far.depth": METRES * 100})
    options = "--depth-channel far.depth --depth-scale 0.01 --depth-holes far"
    assert run(f"render photo.png two.exr {options} --strength 4 --focus-distance 2 -o a.png") == 0
    assert run("render photo.png two.exr --depth-channel none --strength 4 -o b.png") == 2
    error = capsys.readouterr().err
    assert "found B, G, R, far.depth, near.depth. --depth-channel names one of them." in error


def test_a_portrait_needs_neither_depth_nor_options(scene, capsys):
    levels = (SHARE * 255).round().astype(np.uint8)
    photo().save("portrait.jpg", xmp=gdepth_xmp(levels).encode())
    assert run("render portrait.jpg -o out.png") == 0
    said = capsys.readouterr().out
    assert "depth inside the photo taken" in said
    assert "chosen, for no lens is known" in said
    assert run("depth portrait.jpg -o taken.exr") == 0
    torch.testing.assert_close(read_depth("taken.exr").depth, read_depth("portrait.jpg").depth)


def test_a_photo_without_depth_or_people_is_refused_where_depth_is_left_out(scene, capsys):
    Image.fromarray((SHARE * 255).astype(np.uint8)).save("grey.png")
    assert run("render grey.png -o out.png") == 2
    assert "depth: none given, and no person found to guess it." in capsys.readouterr().err
    assert run("render grey.png --depth-invert -o out.png") == 2
    assert "--depth-invert: there is no depth to read." in capsys.readouterr().err


def test_depth_goes_into_a_copy_of_a_photo(scene, capsys):
    levels = (METRES * 1000).astype(np.uint16)
    levels[8:12, 8:12] = 0
    Image.fromarray(levels).save("mm.png")
    photo().save("mine.jpg", comment=b"kept")
    assert run("depth mm.png --photo mine.jpg -o out.jpg") == 0
    assert "holes: 16 of 864 pixels not measured (2 %), filled along" in capsys.readouterr().out
    with Image.open("out.jpg") as image:
        assert image.info["comment"] == b"kept"
    found = read_depth("out.jpg")
    measured = torch.from_numpy(levels > 0)
    millimetres = torch.from_numpy(levels / 1000).float()[measured]
    torch.testing.assert_close(found.depth[0][measured], millimetres, rtol=1e-4, atol=0)
    assert found.depth.isfinite().all()
    assert bool((found.confidence[0] == measured).all())
    assert run("depth out.jpg --photo mine.jpg --stack photo.png -o no.exr") == 2
    assert "photo: goes with a depth file" in capsys.readouterr().err
