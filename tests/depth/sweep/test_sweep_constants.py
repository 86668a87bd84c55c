"""The tuned constants of the sweep: a change of any of them shows here."""

import pytest
import torch

from bokehdepth_core import BokehStack, disparity_offset
from bokehdepth_core.demo.run import load_scene
from bokehdepth_core.depth.sweep.labelling.propagation import propagate_with_spread
from bokehdepth_core.depth.sweep.matching.cost import _zero_mean_cost


def test_the_gain_of_a_window_of_contrast_0_002_is_believed_half():
    # S varies by 0.002 and F not at all: the gain goes half-way from the prior's 1 to 0, which
    # leaves 0.5² · 0.002 of variance and costs 0.002 · 0.5².
    moments = torch.zeros(5, 1, 1)
    moments[3] = 0.002
    cost = _zero_mean_cost(moments, torch.zeros(4, 1, 1))
    assert float(cost) == pytest.approx(0.001, rel=1e-4)


def test_propagation_is_three_passes_of_halving_width():
    # One row without edges, so that each pass is a matrix of powers of exp(−√2 / σ).
    length = 41
    confidence, values = torch.zeros(1, length), torch.zeros(1, length)
    confidence[0, 0] = confidence[0, -1] = 1
    values[0, 0], values[0, -1] = 1, 2
    apart = (torch.arange(length)[:, None] - torch.arange(length)).abs().double()
    weights = confidence[0].square().double() + 1e-6
    planes = torch.stack([weights * values[0], weights, weights * values[0].square()])
    for sigma in (length / 4, length / 8, length / 16):
        planes = planes @ torch.exp(-(2**0.5) / sigma * apart)
    wanted = (planes[0] / planes[1])[1:-1]
    deviation = (planes[2] / planes[1])[1:-1] - wanted.square()
    found, spread = propagate_with_spread(values, confidence, torch.zeros(3, 1, length))
    found = found[0, 1:-1]
    # Float32 over three passes of 41 sums.
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=0)
    torch.testing.assert_close(spread[0, 1:-1].double(), deviation.sqrt(), rtol=1e-4, atol=0)


def test_the_demo_scene_is_found_as_well_as_ever():
    scene = load_scene()
    rows, columns = slice(0, 256), slice(128, 384)
    stack = BokehStack(
        scene.stack.reference[rows, columns],
        scene.stack.frames[:, rows, columns],
        scene.stack.strengths,
    )
    found, confidence = disparity_offset(stack)
    truth = (1 / scene.depth[0, rows, columns] - 1 / scene.focus_depth).abs()
    error = (found - truth).abs()
    right = error <= (0.1 * truth).clamp(min=0.02)
    # Narrow bands: a change of VOTE_WEIGHT by a fifth leaves them.
    assert float(error.median()) == pytest.approx(0.00443, rel=0.01)
    assert float(right.float().mean()) == pytest.approx(0.9560, abs=0.001)
    assert float(confidence.mean()) == pytest.approx(0.8183, abs=0.001)
