"""`bokehdepth depth --focus-stack`."""

import lens_sampled
import pytest

from bokehdepth_core import cli, read_depth, read_image, write_image
from bokehdepth_core.files.depth_maps import read_depth_file

PLANES = (1.05, 0.6)
DISTANCES = "0.952, 1.667"


@pytest.fixture
def frames(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scene = lens_sampled.scene(64)
    for name, plane in zip(("near.png", "far.png"), PLANES, strict=True):
        write_image(tmp_path / name, lens_sampled.photo(scene, 14.0, plane))
    return ["--focus-stack", "near.png", "far.png"]


def test_a_focus_stack_becomes_metres_and_a_sharp_picture(frames, tmp_path, capsys):
    command = ["depth", *frames, "--focus-distances", DISTANCES, "--strengths", "14", "--no-align"]
    assert cli.main([*command, "--all-in-focus", "sharp.png", "-o", "depth.npz"]) == 0
    depth = read_depth(tmp_path / "depth.npz")
    assert depth.metric
    assert tuple(depth.depth.shape) == (1, 64, 64)
    assert tuple(read_image(tmp_path / "sharp.png").shape) == (64, 64, 3)
    assert "metres from 2 focus distances" in capsys.readouterr().out


def test_a_focus_stack_becomes_a_point_cloud_or_a_portrait(frames, tmp_path, capsys):
    command = ["depth", *frames, "--strengths", "14", "--no-align"]
    assert cli.main([*command, "-o", "cloud.ply"]) == 2
    assert "output: a point cloud needs metres and the view of the lens" in capsys.readouterr().err
    lens = ["--focus-distances", DISTANCES, "--focal-length-px", "80"]
    assert cli.main([*command, *lens, "-o", "cloud.ply"]) == 0
    assert b"element vertex 4096\n" in (tmp_path / "cloud.ply").read_bytes()  # 64 x 64, no sky
    assert cli.main([*command, *lens, "--all-in-focus", "sharp.png", "-o", "portrait.jpg"]) == 0
    found = read_depth_file(tmp_path / "portrait.jpg")
    # The picture inside is the merged one, after JPEG of quality 95.
    assert (found.photo - read_image(tmp_path / "sharp.png")).abs().mean() < 0.02
    assert found.depth.metric


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--focus-distance", "1"], "focus_distance: has no effect on a focus stack"),
        (["--strengths", "1, 2"], "strengths: 2 given; a focus stack has one"),
        (["--focus-distances", "1"], "focus_distances: 1 given for 2 frames"),
    ],
)
def test_what_does_not_go_with_a_focus_stack_is_refused(frames, capsys, more, said):
    assert cli.main(["depth", *frames, *more, "-o", "depth.exr"]) == 2
    assert said in capsys.readouterr().err


def test_a_call_without_any_picture_is_refused(capsys, tmp_path):
    assert cli.main(["depth", "-o", str(tmp_path / "depth.exr")]) == 2
    assert "image: not given" in capsys.readouterr().err


def test_focus_distances_need_their_frames(capsys, tmp_path):
    command = ["depth", "photo.png", "--focus-distances", "1, 2"]
    assert cli.main([*command, "-o", str(tmp_path / "depth.exr")]) == 2
    assert "focus_distances: goes with a focus stack" in capsys.readouterr().err
