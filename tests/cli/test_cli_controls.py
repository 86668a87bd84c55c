"""The controls of a compositor's lens on the command line."""

import numpy as np
import pytest
import torch

from bokehdepth_core import DepthMap, write_depth, write_image
from bokehdepth_core.cli.program import main
from bokehdepth_core.files.depth_maps import read_depth
from bokehdepth_core.optics.camera import intrinsics_from_focal_length


@pytest.fixture
def files(tmp_path):
    depth = torch.full((1, 24, 32), 4.0)
    depth[:, 8:24, 10:22] = 1.0
    torch.manual_seed(0)
    write_image(tmp_path / "photo.png", torch.rand(24, 32, 3))
    camera = intrinsics_from_focal_length(30.0, 32, 24)
    write_depth(tmp_path / "depth.npz", DepthMap(depth, None, camera))
    write_image(tmp_path / "relative.png", (1 / depth[0])[..., None].expand(-1, -1, 3))
    return tmp_path


def render(files, *more, depth="depth.npz"):
    out = files / "out.png"
    code = main(["render", str(files / "photo.png"), str(files / depth), "-o", str(out), *more])
    return code, out.read_bytes() if out.exists() else b""


def test_percent_of_the_width_is_that_many_px(files):
    plain = render(files, "--strength", "8")
    share = render(files, "--strength", "25", "--strength-unit", "% of width")
    assert plain[0] == share[0] == 0
    assert plain[1] == share[1]


def test_automatic_focus_takes_what_stands_before_the_wall(files, capsys):
    assert render(files, "--strength", "8", "--focus-mode", "automatic")[0] == 0
    assert "focus at 1 m" in capsys.readouterr().out


def test_the_controls_reach_the_signed_radius(files):
    more = ["--strength", "8", "--focus-distance", "1", "--back-strength", "0.5"]
    assert render(files, *more, "--coc", str(files / "coc.exr"))[0] == 0
    import OpenEXR

    found = OpenEXR.File(str(files / "coc.exr")).channels()
    values = next(iter(found.values())).pixels
    assert np.allclose(values.min(), 8 * (1 / 4 - 1) / 2, atol=1e-5)


def test_wrap_joins_the_borders_and_says_what_speaks_against_it(files, capsys):
    plain, joined = (render(files, "--strength", "8", *more) for more in ((), ("--wrap",)))
    assert plain[0] == joined[0] == 0
    assert plain[1] != joined[1]
    assert "wrap: crop nothing off a full panorama, which is 2:1" in capsys.readouterr().err
    assert render(files, "--strength", "8", "--wrap", "--lens", "vintage swirl")[0] == 2
    assert "cat_eye: use 0, or turn wrap off" in capsys.readouterr().err


def test_tilt_takes_the_camera_of_the_depth_and_needs_metres(files, capsys):
    assert read_depth(files / "depth.npz").intrinsics is not None
    assert render(files, "--strength", "8", "--tilt", "20")[0] == 0
    code, _ = render(files, "--strength", "8", "--tilt", "20", depth="relative.png")
    assert code == 2
    assert "tilt: turning the plane of focus needs metres" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--focus-range", "-1"),
        ("--front-strength", "nan"),
        ("--back-strength", "-1"),
        ("--max-radius", "inf"),
        ("--highlight-threshold", "1"),
        ("--tilt", "90"),
        ("--swing", "-99"),
        ("--grain", "2"),
        ("--obstruction", "1"),
    ],
)
def test_bad_values_are_told_by_name_in_one_line(files, capsys, option, value):
    assert render(files, "--strength", "8", f"{option}={value}")[0] == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert option.strip("-").replace("-", "_") in error[-1]


def test_a_unit_without_a_strength_is_told(files, capsys):
    assert render(files, "--strength-unit", "% of width")[0] == 2
    assert "strength_unit: given without a strength" in capsys.readouterr().err


def test_a_lens_of_zero_is_told_and_not_taken_from_exif(files, capsys):
    lens = {"--f-number": "2", "--focal-length-mm": "50", "--focal-length-35mm": "50"}
    for name in lens:
        words = [word for pair in (lens | {name: "0"}).items() for word in pair]
        assert render(files, *words)[0] == 2
        named = name.strip("-").replace("-", "_")
        assert f"{named}: must be above 0, found 0" in capsys.readouterr().err


def pull(files, out, *more, depth="depth.npz"):
    photo = [str(files / "photo.png"), str(files / depth)]
    return main(["render", *photo, "-o", str(files / out), "--strength", "8", *more])


def test_a_focus_pull_is_a_folder_of_pictures_or_a_clip(files, capsys):
    keys = ("--focus-pull", "0: 1 m; 2: 4 m ease")
    assert pull(files, "clip", *keys) == 0
    names = sorted(file.name for file in (files / "clip").iterdir())
    assert names == ["frame_00000.png", "frame_00001.png", "frame_00002.png"]
    assert render(files, "--strength", "8", "--focus-distance", "1")[0] == 0
    assert (files / "clip" / names[0]).read_bytes() == (files / "out.png").read_bytes()
    assert pull(files, "clip.gif", *keys, "--frames", "5") == 0
    assert "clip.gif: 5 frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--focus-pull", "0: near"), 'cannot read "near"'),
        (("--frames", "4"), "frames: given without keyframes"),
        (("--focus-pull", "0: 1 m", "--coc", "a.exr"), "coc: is written for one picture"),
    ],
)
def test_unusable_focus_pulls_give_one_line(files, capsys, more, message):
    assert pull(files, "clip", *more) == 2
    assert message in capsys.readouterr().err
    assert not (files / "clip").exists()


def test_a_clip_of_another_kind_and_distances_without_metres_are_refused(files, capsys):
    assert pull(files, "clip.avi", "--focus-pull", "0: 1 m") == 2
    assert "clip.avi: clips of this kind are not written" in capsys.readouterr().err
    assert pull(files, "clip", "--focus-pull", "0: 1 m", depth="relative.png") == 2
    assert "this depth has no metres" in capsys.readouterr().err


def test_looks_are_chosen_by_name_and_changed_by_options(files, capsys):
    hexagon = ("--blades", "6", "--blade-curvature", "0.15", "--cat-eye", "0.2")
    plain = render(files, "--strength", "8", *hexagon)
    look = render(files, "--strength", "8", "--lens", "cinema hexagon", "--fringe", "0")
    assert plain[0] == look[0] == 0
    assert plain[1] == look[1]
    assert render(files, "--strength", "8", "--swirl", "2")[0] == 2
    assert "swirl: expected 0 to 0.8, found 2" in capsys.readouterr().err
    write_image(files / "heart.png", torch.ones(9, 9, 3))
    square = render(files, "--strength", "8", "--aperture-image", str(files / "heart.png"))
    assert square[0] == 0
    assert square[1] != plain[1]
