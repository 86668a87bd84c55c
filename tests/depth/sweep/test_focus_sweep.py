"""Signed depth from frames of several focus distances, on pictures that the sweep did not blur."""

import math

import lens_sampled
import pytest
import torch

from bokehdepth_core import BokehStack, disparity_offset, load_depth_estimator, sweep_depth
from bokehdepth_core.depth.stacks import on_device
from bokehdepth_core.depth.sweep.matching.focus_stack import candidate_disparities

PLANES = (1.05, 0.75, 0.45)
STRENGTH = 14.0


def _stack(**changes):
    scene = lens_sampled.scene()
    frames = torch.stack([lens_sampled.photo(scene, STRENGTH, plane) for plane in PLANES])
    depths = tuple(1 / plane for plane in PLANES)
    values = {"strengths": (STRENGTH,) * 3, "focus_depths": depths, **changes}
    return BokehStack(lens_sampled.photo(scene, 0, 0), frames, **values)


def _right(depth, inner=8):
    """Return the share of pixels within 10 % or 0.02/m, away from the border."""
    true = lens_sampled.disparity(lens_sampled.scene())
    apart = (depth.disparity[0] - true).abs()
    right = apart <= (0.1 * true).clamp(min=0.02)
    return float(right[inner:-inner, inner:-inner].float().mean())


def test_a_focus_stack_tells_both_sides_of_its_planes():
    # The card is in front of every plane but one, the wall reaches behind all of them.
    found = sweep_depth(_stack(), align=False)
    assert found.metric
    assert _right(found) > 0.9


def test_the_same_frames_as_an_aperture_stack_cannot_tell():
    flipped = sweep_depth(_stack(focus_depths=None), align=False, focus_depth=1 / PLANES[1])
    assert _right(flipped) < 0.6


def test_focus_and_aperture_frames_work_together():
    stack = _stack()
    scene = lens_sampled.scene()
    more = lens_sampled.photo(scene, 2 * STRENGTH, PLANES[1])
    both = BokehStack(
        stack.reference,
        torch.cat([stack.frames, more[None]]),
        (*stack.strengths, 2 * STRENGTH),
        focus_depths=(*stack.focus_depths, stack.focus_depths[1]),
    )
    assert _right(sweep_depth(both, align=False)) > 0.9


def test_candidates_cover_the_scene_on_both_sides():
    found = candidate_disparities(_stack(), lambda: None)
    assert found == sorted(found)
    assert found[0] <= 0.36
    assert found[-1] >= 1.04


def test_relative_planes_give_normalised_disparity():
    found = sweep_depth(_stack(metric=False), align=False)
    assert not found.metric
    assert float(found.disparity.min()) == pytest.approx(0, abs=1e-5)
    assert float(found.disparity.max()) == pytest.approx(1, abs=1e-5)


def test_a_focus_depth_beside_a_focus_stack_is_refused():
    with pytest.raises(ValueError, match="focus_depth: a focus stack holds"):
        sweep_depth(_stack(), focus_depth=1.0)


def test_what_needs_one_focus_refuses_a_focus_stack():
    with pytest.raises(ValueError, match="this is a focus stack"):
        disparity_offset(_stack())


def test_a_focus_depth_for_each_frame_is_needed():
    with pytest.raises(ValueError, match="focus_depths: 2 given for 3 frames"):
        _stack(focus_depths=(1.0, 2.0))


@pytest.mark.parametrize("depth", [0.0, -1.0, math.nan])
def test_focus_depths_are_positive_numbers(depth):
    with pytest.raises(ValueError, match="focus_depths"):
        _stack(focus_depths=(1.0, depth, 2.0))


def test_infinity_is_a_focus_depth():
    assert _stack(focus_depths=(1.0, 2.0, math.inf)).focus_disparities == (1.0, 0.5, 0.0)


def test_moving_a_stack_keeps_its_focus_depths():
    moved = on_device(_stack(metric=False), torch.device("cpu"))
    assert moved.focus_depths == _stack().focus_depths
    assert not moved.metric


def test_the_built_in_estimator_takes_a_focus_stack():
    stack = _stack()
    found = load_depth_estimator("built-in").estimate(stack.reference[None], stack)
    assert _right(found) > 0.9
