"""Frames of several focus distances, from a lens sampled ray by ray: merged, aligned, measured."""

import functools

import lens_sampled
import pytest
import torch

from bokehdepth_core import focus_stack_from_frames, sweep_depth
from bokehdepth_core.depth.alignment import AlignmentReport, FrameAlignment

PLANES = (1.1, 0.85, 0.6, 0.4)
STRENGTH = 16.0
DEPTHS = tuple(1 / plane for plane in PLANES)
SIZE = 128


@functools.cache
def _frames(breathing=0.0):
    scene = lens_sampled.scene(SIZE)
    zooms = [1 + breathing * index for index in range(len(PLANES))]
    return torch.stack(
        [
            lens_sampled.photo(scene, STRENGTH, plane, zoom)
            for plane, zoom in zip(PLANES, zooms, strict=True)
        ]
    )


def _psnr(one, other, inner=8):
    error = (one - other)[inner:-inner, inner:-inner].square().mean()
    return float(-10 * torch.log10(error))


def _gain(frames, picture, zoom=1.0):
    """Return how much closer to the pinhole view a picture is than the best of the frames, dB."""
    true = lens_sampled.photo(lens_sampled.scene(SIZE), 0, 0, zoom)
    return _psnr(picture, true) - max(_psnr(frame, true) for frame in frames)


def test_the_merged_picture_is_sharper_than_every_frame():
    stack, report = focus_stack_from_frames(_frames(), DEPTHS, STRENGTH, align=False)
    assert _gain(_frames(), stack.reference) > 3
    # The card, at 1/m, lies between the first two planes.
    card = report.sharpest[SIZE // 2 - 8 : SIZE // 2 + 8, SIZE // 2 - 8 : SIZE // 2 + 8]
    assert float((card <= 1).float().mean()) > 0.95


def test_depth_of_a_merged_stack_is_right():
    stack, _ = focus_stack_from_frames(_frames(), DEPTHS, STRENGTH, align=False)
    true = lens_sampled.disparity(lens_sampled.scene(SIZE))
    apart = (sweep_depth(stack, align=False).disparity[0] - true).abs()
    right = apart <= (0.1 * true).clamp(min=0.02)
    assert float(right[8:-8, 8:-8].float().mean()) > 0.9


def test_breathing_is_taken_out():
    frames = _frames(0.01)
    stack, report = focus_stack_from_frames(frames, DEPTHS, STRENGTH)
    # The last frame is magnified most, so that all others have what it shows.
    assert "frame 4: moved by up to 0.00 px" in report.summary
    assert _gain(frames, stack.reference, zoom=1.03) > 3


def test_a_frame_that_stays_in_its_rough_place_is_said(monkeypatch):
    def refuse_the_second(stack, **_):
        found = [FrameAlignment(), FrameAlignment(problem="another view"), *[FrameAlignment()] * 2]
        return stack, AlignmentReport(tuple(found))

    monkeypatch.setattr("bokehdepth_core.depth.focus_stacks.frames.align_stack", refuse_the_second)
    stack, report = focus_stack_from_frames(_frames(), DEPTHS, STRENGTH)
    said = [line for line in report.lines if "not aligned: another view" in line]
    assert [line[:8] for line in said] == ["frame 2:"]
    assert said[0] in stack.settings["alignment"]


def test_the_strength_is_measured_where_it_is_not_given():
    stack, report = focus_stack_from_frames(_frames(), DEPTHS, align=False)
    # The card lies 0.1/m behind its plane and the wall spans 0.2/m: within a sixth.
    assert stack.strengths[0] == pytest.approx(STRENGTH, rel=1 / 6)
    assert "strength measured" in report.summary


def test_unknown_distances_give_relative_depth_and_the_order():
    shuffled = _frames()[[0, 2, 1, 3]]
    stack, report = focus_stack_from_frames(shuffled, align=False)
    assert not stack.metric
    first, third, second, fourth = stack.focus_disparities
    assert first > second > third > fourth
    assert "focus distances unknown" in report.summary
    assert "looks like 1, 3, 2, 4" in report.summary


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"focus_depths": (1.0, 2.0)}, "focus_distances: 2 given for 3 frames"),
        ({"focus_depths": (2.0, 2.0, 2.0)}, "focus_distances: all are the same"),
        ({"strength": -1.0}, "strength: expected at least 0"),
    ],
)
def test_what_does_not_fit_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        focus_stack_from_frames(torch.rand(3, 40, 40, 3), **changes)


def test_one_frame_is_no_focus_stack():
    with pytest.raises(ValueError, match="frames: expected photos of two focus distances"):
        focus_stack_from_frames(torch.rand(1, 40, 40, 3))
