"""Alpha matting: c = alpha F + (1 - alpha) B, solved on both sides of a depth edge."""

import pytest
import torch

from bokehdepth_core.render.scene.layers import Layer, Layers, separate_layers
from bokehdepth_core.render.scene.matting import estimate_alpha, matte
from bokehdepth_core.render.slices.compositing import (
    SliceSpacing,
    composite_front_to_back,
    slice_levels,
)

FRONT, WALL = torch.tensor([0.1, 0.5, 0.2]), torch.tensor([0.7, 0.2, 0.4])
EDGE = 12  # column of the first pixel that is not all front
FULL = torch.zeros(1, dtype=torch.bool)  # not thin


def mixed_edge(alpha):
    """Return light [3,9,24] and defocus of a front whose last column covers `alpha` of a pixel."""
    cover = torch.zeros(24)
    cover[:EDGE] = 1
    cover[EDGE] = alpha
    light = FRONT[:, None] * cover + WALL[:, None] * (1 - cover)
    defocus = torch.where(cover >= 0.5, 8.0, 0.0)
    return light[:, None].expand(3, 9, -1).contiguous(), defocus.expand(9, -1).contiguous()


@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.5, 0.8, 0.95])
def test_alpha_and_the_own_colour_of_a_mixed_pixel_are_found(alpha):
    color = (alpha * FRONT + (1 - alpha) * WALL)[:, None]
    found = matte(color, FRONT[:, None], WALL[:, None], alpha >= 0.5, FULL)
    assert found.alpha.item() == pytest.approx(alpha, abs=1e-5)
    assert found.mixed.all()
    own = FRONT if alpha >= 0.5 else WALL
    torch.testing.assert_close(found.color[:, 0], own, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "color",
    [FRONT * 1.2 - WALL * 0.2, FRONT * -0.2 + WALL * 1.2, torch.tensor([0.4, 0.35, 0.9])],
    ids=["beyond F", "beyond B", "off the line"],
)
def test_a_colour_that_no_mixture_gives_is_left_alone(color):
    _, trusted = estimate_alpha(color[:, None], FRONT[:, None], WALL[:, None])
    assert not trusted.any()
    for near_side, alpha in ((True, 1.0), (False, 0.0)):
        found = matte(color[:, None], FRONT[:, None], WALL[:, None], near_side, FULL)
        assert found.alpha.item() == alpha
        assert torch.equal(found.color[:, 0], color)


def test_two_sides_of_one_colour_cannot_be_told():
    same = FRONT[:, None]
    assert not estimate_alpha(same, same, same + 0.001)[1].any()


def test_a_mixed_pixel_of_the_near_side_becomes_foreground_with_alpha():
    layers = separate_layers(*mixed_edge(0.7), 8.0)
    torch.testing.assert_close(layers.visible.alpha[4, EDGE].item(), 0.7, atol=1e-5, rtol=0)
    torch.testing.assert_close(layers.visible.light[:, 4, EDGE], FRONT, atol=1e-5, rtol=0)
    torch.testing.assert_close(layers.occluded.light[:, 4, EDGE], WALL, atol=1e-5, rtol=0)
    assert layers.visible.alpha[:, :EDGE].min() == 1


def test_a_mixed_pixel_of_the_far_side_becomes_background_and_spill():
    layers = separate_layers(*mixed_edge(0.3), 8.0)
    torch.testing.assert_close(layers.visible.light[:, 4, EDGE], WALL, atol=1e-5, rtol=0)
    torch.testing.assert_close(layers.spill.light[:, 4, EDGE], FRONT, atol=1e-5, rtol=0)
    torch.testing.assert_close(layers.spill.alpha[4, EDGE].item(), 0.3, atol=1e-5, rtol=0)
    assert layers.spill.defocus[4, EDGE] == 8
    assert layers.spill.alpha.count_nonzero() == 9


class NoBlur:
    """A lens whose PSF is one pixel."""

    def reach(self, radius):
        return 0

    def place_around(self, box, radius):
        return box

    def convolve(self, planes, radius, place):
        return planes


def without_blur(layers, low, high):
    """Return layers composited by a lens whose PSF is one pixel."""
    levels = slice_levels(low, high, SliceSpacing(1.0, 0.1))
    return composite_front_to_back(layers, levels, NoBlur(), lambda done, total: None)


@pytest.mark.parametrize("alpha", [0.2, 0.45, 0.6, 0.9])
def test_layers_that_are_not_blurred_give_the_photo_back(alpha):
    light, defocus = mixed_edge(alpha)
    out = without_blur(separate_layers(light, defocus, 8.0), 0.0, 8.0)
    torch.testing.assert_close(out, light, atol=1e-5, rtol=0)


def test_what_is_behind_adds_what_transmittance_is_left():
    def layer(color, defocus, alpha):
        plane = torch.ones(2, 2)
        return Layer(color[:, None, None] * plane, defocus * plane, alpha * plane)

    layers = Layers(layer(FRONT, 4.0, 0.75), layer(WALL, 0.0, 1.0))
    out = without_blur(layers, 0.0, 4.0)
    torch.testing.assert_close(out[:, 0, 0], 0.75 * FRONT + 0.25 * WALL, atol=1e-6, rtol=0)
    # Two slices of one surface add up to it; nothing of the wall is left to see.
    between = Layers(layer(FRONT, 2.4, 1.0), layer(WALL, 0.0, 1.0))
    torch.testing.assert_close(without_blur(between, 0.0, 4.0)[:, 0, 0], FRONT, atol=1e-6, rtol=0)
    # Where no layer is known, the mean of what is seen stands for it.
    alone = Layers(layer(FRONT, 4.0, 0.5))
    torch.testing.assert_close(without_blur(alone, 0.0, 4.0)[:, 0, 0], FRONT, atol=1e-6, rtol=0)
