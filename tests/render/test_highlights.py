"""What counts as a lamp, and how its light comes back into a picture."""

import pytest
import torch

from bokehdepth_core import render_bokeh
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.render.highlights import HighlightBoost, rolled_off

SIDE = 96
LINE = torch.arange(SIDE, dtype=torch.float32) - SIDE / 2
AWAY = torch.hypot(LINE[:, None], LINE[None])  # px from the middle of the picture
COLUMNS = (LINE[None] + SIDE / 2).expand(SIDE, -1)


def painted(ground, *things):
    """Return linear light [3,H,W] of things (where, colour) on a ground of one colour."""
    light = torch.tensor(ground)[:, None, None].expand(3, SIDE, SIDE).clone()
    for where, color in things:
        light[:, where] = torch.tensor(color)[:, None]
    return light


def rendered(light, boost, quality="default", radius=6.0):
    """Return linear light [3,H,W] of a flat picture blurred by a radius, px."""
    image = linear_to_srgb(light).movedim(0, -1)[None]
    depth = torch.full((1, SIDE, SIDE), 1.0)
    out = render_bokeh(image, depth, radius, 1e9, highlight_boost=boost, quality=quality)
    return srgb_to_linear(out[0]).movedim(-1, 0)


def dusk():
    """Return a blue sky, brighter downwards, in which blue alone is close to white and full below.

    With the noise of a camera.
    """
    noise = 0.02 * torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    slope = torch.linspace(0.7, 1.0, SIDE)[:, None].expand(SIDE, SIDE)
    return (torch.stack([0.25 * slope, 0.45 * slope, slope]) + noise).clamp(0, 1)


@pytest.mark.parametrize("boost", [3.0, 10.0])
def test_an_unclipped_blue_sky_at_dusk_is_no_lamp(boost):
    assert torch.equal(rendered(dusk(), boost), rendered(dusk(), 0.0))


@pytest.mark.parametrize("quality", ["draft", "default"])
def test_a_red_lamp_is_brighter_and_stays_red(quality):
    light = painted((0.02, 0.02, 0.03), (AWAY < 6, (1.0, 0.1, 0.05)))
    before, after = (rendered(light, boost, quality, 14.0)[:, 48, 48] for boost in (0, 10))
    assert after[0] > 3 * before[0]
    # The hue is that of the lamp, and of 0.02 of ground in 2 of lamp.
    torch.testing.assert_close(after / after[0], torch.tensor([1.0, 0.1, 0.05]), atol=0.015, rtol=0)


def test_the_rim_of_a_white_cup_is_no_lamp():
    rim = (AWAY > 27) & (AWAY <= 30)
    cup = painted((0.08, 0.07, 0.06), (AWAY <= 27, (0.6, 0.6, 0.58)), (rim, (0.88, 0.88, 0.86)))
    coffee = painted((0.08, 0.07, 0.06), (AWAY <= 27, (0.05, 0.04, 0.03)), (rim, (0.88,) * 3))
    for light in (cup, coffee):
        torch.testing.assert_close(rendered(light, 10.0), rendered(light, 0.0), atol=0.01, rtol=0)


@pytest.mark.parametrize("color", [(1.0, 1.0, 1.0), (0.9, 0.85, 0.7)], ids=["clipped", "unclipped"])
def test_both_halves_of_a_lamp_behind_a_branch_are_boosted_alike(color):
    branch = (COLUMNS - SIDE / 2).abs() < 2
    light = painted((0.02,) * 3, (AWAY < 5, color), (branch, (0.01, 0.01, 0.01)))
    share = HighlightBoost(3.0).share(light)
    lamp = (AWAY < 5) & ~branch
    assert (share[lamp] > 0.6).all()
    assert (share[~lamp] == 0).all()
    assert torch.equal(share[:, 1:], share[:, 1:].flip(1))


def test_clipped_light_of_any_size_is_boosted():
    light = painted((0.1, 0.1, 0.1), (COLUMNS > 30, (1.0, 1.0, 1.0)))
    share = HighlightBoost(1.0).share(light)
    assert torch.equal(share, (COLUMNS > 30).float())


def test_light_below_white_and_modest_lamps_keep_their_energy_when_rolled_off():
    below = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(rolled_off(below, torch.zeros_like(below)), below)
    room = 1 - below.amax(0, keepdim=True)
    light = below * (1 + 0.4 * room / below.amax(0, keepdim=True))
    torch.testing.assert_close(rolled_off(below, light - below), light)


def test_rolled_off_light_rises_without_end_and_never_passes_white():
    lamp = torch.tensor([1.0, 0.3, 0.1])[:, None, None] * torch.logspace(-1, 4, 200)
    shown = rolled_off(lamp.clamp(max=1), (lamp - 1).clamp(min=0))
    assert shown.max() <= 1 + 1e-6
    assert (shown[0].diff() >= -1e-6).all()
    torch.testing.assert_close(shown / shown[:1], lamp / lamp[:1])
