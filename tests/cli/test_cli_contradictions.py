"""Options of commands that contradict each other or do nothing are refused, before any work."""

from pathlib import Path

import pytest
import torch

from bokehdepth_core import DepthMap, bokeh_strength_from_lens, write_depth, write_image
from bokehdepth_core.cli.program import main
from bokehdepth_core.files.pictures.images import read_image

PULL = ("--focus-pull", "0: 1 m; 2: 4 m")
POINTS = ("--focus-pull", "0: 0.1,0.5; 2: 0.5,0.5")
KEYED = ("--focus-pull", "0: 1 m strength 4; 2: 4 m")
STRENGTHS = ("--focus-pull", "0: strength 4; 2: strength 8")
LENS = ("--f-number", "2", "--focal-length-mm", "50", "--focal-length-35mm", "50")


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    depth = torch.full((1, 12, 16), 4.0)
    depth[:, 4:12, 5:11] = 1.0
    torch.manual_seed(0)
    photo = torch.rand(12, 16, 3)
    write_image(tmp_path / "photo.png", photo)
    write_depth(tmp_path / "depth.npz", DepthMap(depth))
    (tmp_path / "frames").mkdir()
    write_image(tmp_path / "frames" / "0.png", photo)
    write_image(tmp_path / "frames" / "1.png", photo)
    return tmp_path


def render(*more, out="out.png", photo="photo.png", strength=("--strength", "8")):
    return main(["render", photo, "depth.npz", "-o", out, "--quality", "draft", *strength, *more])


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ((*PULL, "--focus-distance", "1"), "focus_distance: leave --focus-distance out"),
        ((*PULL, "--focus-point", "0.5,0.5"), "focus_point: leave --focus-point out"),
        ((*PULL, "--focus-mode", "automatic"), "focus_mode: leave --focus-mode out"),
        ((*POINTS, "--focus-point", "0.5,0.5", "--tilt", "5"), "focus_point: leave --focus-point"),
        ((*KEYED, "--strength", "4"), "strength: leave --strength out; --focus-pull keys"),
        (("--focus-mode", "automatic", "--focus-distance", "1"), "and --focus-distance is given"),
        (("--focus-mode", "automatic", "--focus-point", "0,0"), "and --focus-point is given"),
        (("--focus-distance", "1", "--focus-point", "0,0"), "focus_point: leave --focus-point out"),
        (("--aperture-image", "photo.png", "--blades", "6"), "blades: leave --blades out"),
        (("--aperture-image", "photo.png", "--blade-curvature", "1"), "blade_curvature: leave"),
        (("--blade-curvature", "0.5"), "blade_curvature: a disc has no blades. Give --blades"),
        (("--lens", "soap bubbles", "--rotation", "9"), "rotation: a disc has no blades"),
        (("--lens", "cinema hexagon", "--blades", "0", "--rotation", "9"), "rotation: a disc"),
        (("--blades", "2"), "blades: expected 3 to 11, found 2"),
        (("--blades", "5", "--blade-curvature", "2"), "blade_curvature: expected 0 to 1"),
        (("--highlight-threshold", "0.75"), "highlight_threshold: leave --highlight-threshold"),
        (("--focus-pull", "x"), "focus_pull: write such as"),
        (("--fps", "25"), "fps: leave --fps out; one photo without --focus-pull is one"),
        (("--steady", "1"), "steady: leave --steady out; it holds the depth of a clip's frames"),
        (("--steady", "2"), "steady: expected 0 to 1, found 2"),
        ((*PULL, "--steady", "nan"), "steady: expected a finite number"),
        ((*PULL, "--steady", "0.5"), "steady: leave --steady out"),
        (("--focal-length-mm", "50"), "focal_length_mm: leave --focal-length-mm out"),
    ],
)
def test_options_that_would_not_be_used_are_refused_by_name(files, capsys, more, named):
    assert render(*more, out="out" if "--focus-pull" in more else "out.png") == 2
    said = capsys.readouterr()
    assert named in said.err
    assert said.err.count("\n") == 1
    assert not said.out  # nothing was read
    assert not list(files.glob("out*"))


def test_options_that_go_together_are_taken(files):
    assert render(*STRENGTHS, "--focus-distance", "1", out="one", strength=()) == 0
    assert render(*STRENGTHS, "--focus-mode", "automatic", out="two", strength=()) == 0
    assert render("--steady", "0") == 0
    assert render(*PULL, "--fps", "12.5", out="out.gif") == 0
    lens = ("--lens", "cinema hexagon", "--aperture-image", "photo.png")
    assert render(*lens, "--rotation", "9") == 0


def test_frames_a_second_belong_to_the_file_of_a_clip(files, capsys):
    assert render("--fps", "25", photo="frames", out="folder") == 2
    assert "fps: leave --fps out; folder is a folder of pictures" in capsys.readouterr().err
    for fps, message in (
        ("1000", "expected above 0, up to 240"),
        ("0", "must be above 0, found 0"),
    ):
        assert render("--fps", fps, photo="frames", out="out.mp4") == 2
        assert f"fps: {message}" in capsys.readouterr().err


def test_steady_is_refused_where_nothing_of_a_clip_can_flicker(files, capsys):
    assert render("--steady", "1", "--no-refine", photo="frames", out="out") == 2
    assert "steady: leave --steady out; one depth for all frames" in capsys.readouterr().err
    assert render("--steady", "1", photo="frames", out="out") == 0


@pytest.mark.parametrize(
    ("more", "out", "message"),
    [
        ((), ".", ".: is a folder. Name a picture in it, such as bokeh.png"),
        ((), "frames", "frames: is a folder. Name a picture in it"),
        ((*PULL, "--bits", "16"), "out.mp4", "bits: leave --bits out; out.mp4 has 8 for each"),
        (("--coc", "."), "out.png", "coc: . holds no signed numbers. Name it .exr."),
        (("--focus-pull", ""), "out", "focus_pull: is empty. Write such as"),
        (("--focus-pull", "0: subject"), "out", "focus_pull: name a distance or a point in place"),
        (("--focus-pull", "1:1,5m"), "out", "Decimals take a point: 1.2 m."),
        (("--focus-pull", "0: 1,2 m"), "out", "Decimals take a point: 1.2 m."),
    ],
)
def test_messages_name_what_was_given(files, capsys, more, out, message):
    assert render(*more, out=out) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert not said.out


def test_a_clip_is_focused_at_infinity_as_a_photo_is(files):
    assert render("--focus-distance", "inf", photo="frames", out="clip") == 0
    assert render("--focus-distance", "inf") == 0
    assert Path("clip/frame_00001.png").read_bytes() == Path("out.png").read_bytes()


def test_one_frame_is_one_and_the_current_folder_takes_frames(files, capsys):
    assert render("--focus-pull", "0: 1 m", out=".") == 0
    assert ".: 1 frame\n" in capsys.readouterr().out
    assert (files / "frame_00000.png").exists()


@pytest.mark.parametrize("name", ["frame_00000.png", "frame_00007.png", "FRAME_3.exr"])
@pytest.mark.parametrize("photo", ["photo.png", "frames"])
def test_a_folder_with_frames_is_left_alone_and_other_files_may_lie_there(
    files, capsys, name, photo
):
    more = PULL if photo == "photo.png" else ()
    (files / "out").mkdir()
    (files / "out" / "notes.txt").write_text("mine")
    (files / "out" / name).write_bytes(b"mine")
    assert render(*more, photo=photo, out="out") == 2
    said = capsys.readouterr()
    assert f"out: choose an empty folder, or remove its frames first. It holds {name}." in said.err
    assert not said.out
    assert (files / "out" / name).read_bytes() == b"mine"
    (files / "out" / name).unlink()
    assert render(*more, photo=photo, out="out") == 0
    assert len(list((files / "out").iterdir())) == (4 if more else 3)


def test_a_focus_pull_through_a_lens_has_the_strength_of_each_focus(files):
    assert render("--focus-pull", "0: 0.2 m; 2: inf", *LENS, out="pull", strength=()) == 0
    frames = sorted(Path("pull").iterdir())
    for frame, distance in zip(frames, (0.2, 0.4, float("inf")), strict=True):
        strength = bokeh_strength_from_lens(2, 50, 50, distance, 16, 12)
        # As text with all digits, so that it is the same number.
        alone = ("--strength", repr(strength), "--focus-distance", str(distance))
        assert render(out="alone.png", strength=alone) == 0
        assert (read_image(frame) - read_image("alone.png")).abs().max() < 1.5 / 255
    assert render("--focus-distance", "0.2", *LENS, out="photo2.png", strength=()) == 0
    assert torch.equal(read_image("photo2.png"), read_image(frames[0]))
    near = bokeh_strength_from_lens(2, 50, 50, 0.2, 16, 12)
    fixed = ("--strength", repr(near), "--focus-distance", "inf")
    assert render(out="fixed.png", strength=fixed) == 0
    assert not torch.equal(read_image("fixed.png"), read_image(frames[2]))


STACK = ("--stack", "frames/0.png", "--strengths", "4")


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (
            (*STACK, "--separation", "0.5"),
            "separation: leave --separation out; it goes",
        ),
        ((*STACK, "--no-ground"), "no_ground: leave --no-ground out"),
        ((*STACK, "--depth-scale", "2"), "depth_scale: leave --depth-scale out; no depth file"),
        (
            (*STACK, "--focal-length-px", "9", "--focal-length-35mm", "9"),
            "focal_length_35mm: leave",
        ),
        ((*STACK, "--focus-distance", "-2"), "focus_distance: must be above 0, found -2"),
        ((*STACK, "--rotation", "9"), "rotation: a disc has no blades"),
    ],
)
def test_options_of_depth_that_would_not_be_used_are_refused(files, capsys, more, named):
    assert main(["depth", "photo.png", "-o", "out.exr", *more]) == 2
    said = capsys.readouterr()
    assert named in said.err
    assert said.out == ""  # before the frames are aligned


@pytest.mark.parametrize(
    "more", ["--calibration", "--no-align", "--focus=nearest", "--focus-distance=1", "--blades=5"]
)
def test_what_is_about_a_stack_is_refused_beside_a_depth_file(files, capsys, more):
    assert main(["depth", "depth.npz", "-o", "out.exr", more]) == 2
    said = capsys.readouterr().err
    assert f"leave {more.partition('=')[0]} out; depth comes from the file" in said
    assert not (files / "out.exr").exists()


def test_the_noise_of_a_network_is_nothing_that_a_rendered_stack_has(files, capsys):
    command = ["stack", "photo.png", "--depth", "depth.npz", "--strengths", "4", "-o", "out"]
    assert main([*command, "--seed", "0"]) == 2
    assert "seed: the built-in generator takes no --seed" in capsys.readouterr().err


def test_a_shorter_stack_leaves_no_frames_of_a_longer_one(files, capsys):
    command = ["stack", "photo.png", "--depth", "depth.npz", "-o", "out", "--strengths"]
    assert main([*command, "4, 8, 12"]) == 0
    before = {one.name: one.read_bytes() for one in (files / "out").iterdir()}
    assert main([*command, "4, 8"]) == 2
    said = capsys.readouterr().err
    assert "output: choose another folder than out, or remove the frames of another stack" in said
    assert "It holds frame_03_k12.png." in said
    assert {one.name: one.read_bytes() for one in (files / "out").iterdir()} == before
    assert main([*command, "4, 8, 12"]) == 0  # the same stack again


def test_a_gif_says_how_its_speed_differs(files, capsys):
    assert render(*PULL, out="out.gif") == 0
    assert "out.gif: 3 frames, written as 25 fps: GIF holds" in capsys.readouterr().out
    assert render(*PULL, "--fps", "25", out="out.gif") == 0
    assert capsys.readouterr().out.endswith("out.gif: 3 frames\n")


def test_a_point_outside_the_picture_is_refused_by_the_name_of_its_option(files, capsys):
    with pytest.raises(SystemExit) as ended:
        render("--focus-point", "1.5,0.5")
    assert ended.value.code == 2
    assert "argument --focus-point: 1.5,0.5 lies outside the picture" in capsys.readouterr().err


def test_the_demo_names_a_photo_that_is_missing(files, capsys):
    assert main(["demo", "none.png"]) == 2
    assert "none.png: no such photo" in capsys.readouterr().err
