"""An output that is an input is refused before the work, and the input stays as it was."""

import shutil

import pytest
import torch
from links import link_file
from test_cli import refusal, run

from bokehdepth_core import DepthMap, write_depth, write_image

STACK = "depth --focus-stack photo.png photo.jpg --focus-distances 1,2"
MASK, WEIGHTS = "mask.png", "w.safetensors"


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    picture = torch.rand(24, 32, 3)
    for name in ("photo.png", "photo.exr", "photo.jpg", "mask.png", "clip/frame_00000.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(name, picture)
    shutil.copytree("clip", "stack")
    shutil.copy("photo.png", "stack/reference.png")
    write_depth("depth.exr", DepthMap(1 + torch.rand(1, 24, 32)))
    return tmp_path


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("render photo.png depth.exr --strength 4 -o photo.png", "photo.png"),
        ("render photo.png depth.exr --strength 4 -o ./clip/../photo.png", "photo.png"),
        ("render photo.png depth.exr --strength 4 -o a.png --coc depth.exr", "depth.exr"),
        ("render photo.png depth.exr --strength 4 --hold-out mask.png -o mask.png", "mask.png"),
        ("render photo.exr depth.exr --strength 4 -o photo.exr", "photo.exr"),
        ("render clip depth.exr --strength 4 -o clip", "clip"),
        ("depth depth.exr --photo photo.jpg -o photo.jpg", "photo.jpg"),
        ("depth photo.png --stack mask.png --strengths 4 -o mask.png", "mask.png"),
        ("stack stack/reference.png --depth depth.exr --strengths 4 -o stack", "reference.png"),
        ("stack manifest.jsonl --strengths 4 -o .", "manifest.jsonl"),
        (f"{STACK} -o a.exr --all-in-focus photo.png", "photo.png"),
        (f"{STACK} -o photo.jpg", "photo.jpg"),
        (f"{STACK} -o a.exr --all-in-focus ./clip/../photo.jpg", "photo.jpg"),
        ("depth mask.png --subject mask.png -o mask.png", "mask.png"),
        ("render photo.png depth.exr --strength 4 --aperture-image mask.png -o mask.png", MASK),
        ("render photo.png depth.exr --strength 4 --background mask.png -o mask.png", MASK),
        ("evaluate depth --manifest manifest.jsonl --csv manifest.jsonl", "manifest.jsonl"),
        ("evaluate depth --manifest manifest.jsonl --plot photo.png", "photo.png"),
        ("evaluate depth --manifest manifest.jsonl --csv depth.exr", "depth.exr"),
        ("evaluate depth --checkpoint built-in w.safetensors --csv w.safetensors", WEIGHTS),
        ("evaluate generator clip --plot clip/frame_00000.png", "frame_00000.png"),
        ("evaluate zedd zedd --csv zedd/metadata.txt", "metadata.txt"),
        ("train depth --manifest manifest.jsonl -o manifest.jsonl", "manifest.jsonl"),
        ("weights convert w.safetensors w.safetensors", WEIGHTS),
    ],
)
def test_an_input_is_not_written_over(files, capsys, command, name):
    (files / "w.safetensors").write_bytes(b"weights")
    (files / "zedd").mkdir()
    (files / "zedd" / "metadata.txt").write_text("a scene\n")
    (files / "manifest.jsonl").write_text('{"ref": "photo.png", "depth": "depth.exr"}\n')
    before = {one: one.read_bytes() for one in files.rglob("*") if one.is_file()}
    line = refusal(command, capsys)
    assert line.endswith(f"{name}: is an input as well and would be lost. Give another output.")
    assert {one: one.read_bytes() for one in files.rglob("*") if one.is_file()} == before


def test_nor_by_a_link_to_it(files, capsys):
    link_file(files / "link.png", files / "photo.png")
    line = refusal("render photo.png depth.exr --strength 4 -o link.png", capsys)
    assert "link.png: is an input as well" in line
    assert (files / "link.png").is_symlink()


def test_two_outputs_of_one_name_are_refused(files, capsys):
    command = "render photo.exr depth.exr --strength 4 -o a.exr --coc ./a.exr"
    assert "a.exr: is given for two outputs. Give each its own name." in refusal(command, capsys)


def test_an_output_of_before_is_written_anew(files):
    shutil.copy("mask.png", "out.png")
    assert run("render photo.png depth.exr --strength 4 -o out.png") == 0
    assert (files / "out.png").read_bytes() != (files / "mask.png").read_bytes()
