"""Thin things in focus before a blurred wall, as hair is: the wall between has its own depth."""

import torch
from torch.nn import functional

from bokehdepth_core import BokehStack, disparity_offset
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.depth.sweep.labelling.adaptive_support import MOST, adaptive_support
from bokehdepth_core.depth.sweep.labelling.median import weighted_median
from bokehdepth_core.optics.aperture import DISC
from bokehdepth_core.optics.psf import LensBlur

SIZE, STRENGTHS, OFFSET = (128, 128), (10.0, 20.0), 0.4  # the wall's, 1/m


def strands() -> tuple[torch.Tensor, torch.Tensor]:
    """Return what covers the wall, [H,W], and the share of dark of a chequered wall, [H,W]."""
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in SIZE), indexing="ij")
    inside = (rows > 24) & (rows < 104) & (columns > 24) & (columns < 104)
    covered = inside & ((columns + rows // 3) % 14 < 2)
    return covered.float(), ((rows // 12 + columns // 12) % 2).float()


def seen(covered: torch.Tensor, wall: torch.Tensor) -> torch.Tensor:
    """Return the sRGB picture [H,W,3] of the dark strands before a wall in linear light [3,H,W]."""
    dark = torch.tensor([0.02, 0.03, 0.02])[:, None, None]
    return linear_to_srgb(torch.lerp(wall, dark, covered).clamp(0, 1)).permute(1, 2, 0)


def test_the_wall_between_strands_keeps_its_depth():
    covered, chequer = strands()
    bright, faint = torch.tensor([0.9, 0.3, 0.8]), torch.tensor([0.5, 0.2, 0.5])
    coarse = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    grain = functional.interpolate(coarse, SIZE, mode="bilinear")[0]
    colours = torch.lerp(bright[:, None, None], faint[:, None, None], chequer)
    wall = srgb_to_linear(colours - 0.1 * grain)
    blur = LensBlur(SIZE, 12, DISC, wall.device)
    frames = [
        seen(covered, blur.blur(blur.transform(wall), strength * OFFSET)) for strength in STRENGTHS
    ]
    stack = BokehStack(seen(covered, wall), torch.stack(frames), STRENGTHS)
    found, _ = disparity_offset(stack, align=False)
    right = (found - OFFSET).abs() < 0.1 * OFFSET
    between = (covered < 0.5)[28:100, 28:100]
    assert right[28:100, 28:100][between].float().mean() > 0.7  # half of it, of blocks' costs alone
    assert (found[28:100, 28:100][~between] < 0.04).all()


def test_at_most_a_stated_share_of_pixels_has_costs_of_its_own():
    noise = torch.rand(3, 60, 60, generator=torch.Generator().manual_seed(2))
    support = adaptive_support(noise)
    assert len(support.pixels) <= MOST * 60 * 60 + 1
    # Weights of unit sum, but for float32's rounding of 37 sums.
    found = support.mean(torch.ones(1, 60, 60))
    torch.testing.assert_close(found, torch.ones_like(found), atol=37 * 2**-24, rtol=0)


def test_a_median_invents_no_depth_between_two_surfaces():
    values = torch.ones(20, 30)
    values[:, 15:] = 3
    grey = torch.full((3, 20, 30), 0.5)
    assert set(weighted_median(values, torch.ones(20, 30), grey).unique().tolist()) == {1.0, 3.0}
