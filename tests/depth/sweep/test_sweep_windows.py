"""The windows of the sweep give what their formulas say, however they are computed."""

import math

import pytest
import torch
from torch.nn import functional

from bokehdepth_core.depth.alignment.matching import WINDOW, box
from bokehdepth_core.depth.sweep.labelling.adaptive_support import REACH, adaptive_support
from bokehdepth_core.depth.sweep.labelling.ownership import own_share
from bokehdepth_core.depth.sweep.labelling.propagation import COLOR_SIGMA
from bokehdepth_core.depth.sweep.labelling.window import WINDOW_SIGMA
from bokehdepth_core.depth.sweep.matching.argmin import WinnerTakeAll
from bokehdepth_core.depth.sweep.matching.cost import half_window

ROUNDING = 1e-6  # float32, a few sums of numbers below 1


def random(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(24, 30), (23, 29), (5, 4)])
def test_a_window_of_blocks_is_the_gaussian_of_their_means(size):
    planes = random(2, *size)
    blocks = functional.avg_pool2d(planes[None], 2, ceil_mode=True)[0]
    sigma = math.sqrt((2.0**2 - 0.25) / 4)
    taps = torch.exp(-0.5 * (torch.arange(-3, 4) / sigma).square())
    kernel = torch.outer(taps, taps) / taps.sum().square()
    padded = functional.pad(blocks[:, None], (3,) * 4, mode="replicate")
    wanted = functional.conv2d(padded, kernel[None, None])[:, 0]
    torch.testing.assert_close(half_window(planes), wanted, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("size", [(24, 30), (5, 12)])
def test_a_box_is_the_mean_of_what_lies_inside_the_picture(size):
    planes = random(3, *size)
    wanted = functional.avg_pool2d(planes, WINDOW, 1, WINDOW // 2, count_include_pad=False)
    torch.testing.assert_close(box(planes), wanted, rtol=0, atol=ROUNDING)


def test_costs_over_like_colours_are_the_weighted_mean_of_each_window():
    guide, planes = 0.4 * random(3, 12, 70), random(2, 12, 70)
    support = adaptive_support(guide)
    padded = functional.pad(torch.cat([guide, planes])[None], (REACH,) * 4, mode="replicate")[0]
    for place in support.pixels[:: len(support.pixels) // 9].tolist():
        row, column = divmod(place, 70)
        window = padded[:, row : row + 2 * REACH + 1, column : column + 2 * REACH + 1]
        steps = torch.arange(-REACH, REACH + 1.0).square()
        apart = steps[:, None] + steps
        colour = (window[:3] - guide[:, row, column, None, None]).square().sum(0)
        weight = torch.exp(-apart / (2 * WINDOW_SIGMA**2) - colour / (2 * COLOR_SIGMA**2))
        weight = weight * (apart <= REACH**2 + 1)
        wanted = (window[3:] * weight).sum((1, 2)) / weight.sum()
        index = int((support.pixels == place).nonzero())
        # Weights are kept in half precision: 2^-11 each.
        torch.testing.assert_close(support.mean(planes)[:, index], wanted, rtol=0, atol=5e-4)


def test_the_cheapest_candidate_keeps_its_neighbours_at_both_ends():
    ladder = [0.0, 1.0, 2.0, 4.0]
    costs = torch.tensor([[1.0, 3, 9, 5], [2, 1, 6, 5], [3, 3, 2, 5], [4, 9, 1, 5]])
    best = WinnerTakeAll()
    for position, cost in zip(ladder, costs, strict=True):
        best.update(position, cost[None])
    # Even in the offset at 0; a parabola inside; no neighbour at the end; the first of equal ones.
    found = best.vertex()[0]
    assert best.cost[0].tolist() == [1, 1, 1, 5]
    assert found.tolist() == [0, 1, 4, 0]
    assert costs[0].tolist() == [1, 3, 9, 5]


def test_bands_that_rounding_leaves_in_smooth_sky_are_no_texture():
    slope = torch.linspace(0.7, 0.75, 60).expand(3, 40, 60)
    bands = (slope * 255).round() / 255
    assert own_share(bands, 0.0, torch.full((40, 60), 1e-5)).max() == 0
