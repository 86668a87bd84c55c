"""Figures of bokeh stacks against stacks whose faults are known."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from bokehdepth_core import BokehStack, DepthMap, cli, render_bokeh, write_image
from bokehdepth_core.evaluation.generator.scores import score_stack, truth_of

STRENGTHS = (4.0, 8.0, 12.0)


def photo(seed=0, size=(180, 240)):
    """Blobs of two pixels, of middling contrast."""
    noise = torch.rand(
        1, 3, size[0] // 2, size[1] // 2, generator=torch.Generator().manual_seed(seed)
    )
    soft = interpolate(noise, size, mode="bicubic")[0].movedim(0, -1)
    return (0.15 + 0.7 * soft).clamp(0, 1)


def depth(size=(180, 240)):
    """A card at 1 m, which is in focus, before a wall at 2 m."""
    plane = torch.full((1, *size), 2.0)
    plane[:, 60:, 80:150] = 1.0
    return DepthMap(plane)


def stack(factors=(1.0, 1.0, 1.0)):
    """Frames that show other strengths than stated by some factors."""
    image = photo()
    frames = [
        render_bokeh(image[None], depth().depth, factor * strength, 1.0)[0]
        for factor, strength in zip(factors, STRENGTHS, strict=True)
    ]
    return BokehStack(image, torch.stack(frames), STRENGTHS)


@pytest.fixture(scope="module")
def exact():
    return stack()


def test_rendered_frames_show_the_strengths_that_were_asked_for(exact):
    found = score_stack(exact, truth_of(depth(), 1.0))
    # Radii are candidates half a pixel and more apart: measured 1.03, and K 4 came out as 4.3.
    assert found.r_squared > 0.99
    assert found.slope == pytest.approx(1, abs=0.05)
    assert found.shown == pytest.approx(STRENGTHS, rel=0.08)
    assert found.monotony == 1
    assert found.subject_psnr > 35
    assert found.colour < 0.1
    assert (found.moved, found.unaligned) == (0, 0)


def test_a_weak_strongest_frame_is_told_in_units_of_k():
    found = score_stack(stack((1.0, 1.0, 0.7)), truth_of(depth(), 1.0))
    assert found.shown[2] == pytest.approx(0.7 * 12, rel=0.08)
    assert found.shown[0] == pytest.approx(4, rel=0.1)
    assert found.r_squared < 0.98


def test_frames_in_the_wrong_order_are_not_monotonous(exact):
    turned = BokehStack(exact.reference, exact.frames.flip(0), STRENGTHS)
    found = score_stack(turned, truth_of(depth(), 1.0))
    assert found.monotony is None or found.monotony < 0.1


def test_colour_shift_and_a_blurred_subject_are_seen(exact):
    truth = truth_of(depth(), 1.0)
    before = score_stack(exact, truth)
    red = (exact.frames * torch.tensor([1.08, 1.0, 0.92])).clamp(0, 1)
    assert score_stack(BokehStack(exact.reference, red, STRENGTHS), truth).colour > 3
    soft = render_bokeh(exact.reference[None], depth().depth, 4.0, 2.0)[0]
    blurred = BokehStack(exact.reference, soft.expand(3, -1, -1, -1), STRENGTHS)
    assert score_stack(blurred, truth).subject_psnr < before.subject_psnr - 5


def test_a_frame_beside_its_photo_is_seen_in_px(exact):
    moved = exact.frames.clone()
    moved[1] = moved[1].roll(2, dims=1)
    found = score_stack(BokehStack(exact.reference, moved, STRENGTHS), truth_of(depth(), 1.0))
    assert found.moved == pytest.approx(2, abs=0.3)


def test_without_depth_what_needs_it_is_left_out(exact):
    found = score_stack(exact)
    assert (found.slope, found.subject_psnr) == (None, None)
    assert all(math.isnan(value) for value in found.shown)
    assert found.r_squared > 0.99


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path):
    for name in ("photos", "depths"):
        (tmp_path / name).mkdir()
    for seed, name in enumerate("ab"):
        write_image(tmp_path / "photos" / f"{name}.png", photo(seed))
        np.savez(tmp_path / "depths" / f"{name}.npz", depth=depth().depth[0].numpy())
    return tmp_path


def test_the_command_prints_a_table_and_writes_csv_and_plot(folders, capsys):
    command = ["evaluate", "generator", str(folders / "photos"), "--depth", str(folders / "depths")]
    command += ["--strengths", "4, 8, 12", "--csv", str(folders / "o.csv")]
    command += ["--plot", str(folders / "o.png")]
    assert cli.main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rendered"]
    assert lines[1].split()[:2] == ["R²", "0.997"]
    assert any(line.startswith("K 12 came out  as 12.") for line in lines)
    rows = (folders / "o.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[1] for row in rows] == ["photo", "a.png", "b.png"]
    assert cli.main(command) == 0  # both files are replaced


def test_a_plot_never_takes_a_photo_s_place(folders, capsys):
    command = ["evaluate", "generator", str(folders / "photos"), "--depth", str(folders / "depths")]
    command += ["--strengths", "4, 8", "--photos", "1", "--plot", str(folders / "photos" / "a.png")]
    before = (folders / "photos" / "a.png").read_bytes()
    assert cli.main(command) == 2
    assert (folders / "photos" / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "adapter: give one with --base-model, or --depth"),
        (["--strengths", "8"], "a line needs two"),
        (["--depth", "x", "--base-model", "y"], "base_model: goes with --adapter"),
        (["--depth", "x", "--plot", "o.jpg"], "expected a name that ends in .png"),
    ],
)
def test_unusable_options_are_named_before_the_work(folders, capsys, more, said):
    assert cli.main(["evaluate", "generator", str(folders / "photos"), *more]) == 2
    assert said in capsys.readouterr().err
