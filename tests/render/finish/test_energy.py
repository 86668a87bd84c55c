"""Small lamps on black keep their light, though the blur rings below black."""

import pytest
import torch

from bokehdepth_core import render_bokeh
from bokehdepth_core.color import srgb_to_linear
from bokehdepth_core.render.finish.energy import above_black


@pytest.mark.parametrize("radius", [1.5, 3.0, 12.0])
def test_a_lamp_of_one_pixel_on_black_keeps_its_light(radius):
    image = torch.zeros(1, 96, 96, 3)
    image[0, 48, 48] = torch.tensor([1.0, 0.6, 0.2])
    out = render_bokeh(image, torch.ones(1, 96, 96), 2 * radius, 2.0)
    light = srgb_to_linear(out).sum((1, 2)) / srgb_to_linear(image).sum((1, 2))
    torch.testing.assert_close(light, torch.ones(1, 3), rtol=5e-3, atol=0)


def test_light_is_taken_from_around_and_lies_the_same_way_when_mirrored():
    random = torch.Generator().manual_seed(0)
    light = torch.rand(3, 40, 50, generator=random) - 0.1
    calm = above_black(light, torch.tensor(0.0))
    assert float(calm.min()) >= 0
    torch.testing.assert_close(calm.sum((1, 2)), light.sum((1, 2)), rtol=1e-5, atol=0)
    mirrored = above_black(light.flip(2), torch.tensor(0.0)).flip(2)
    torch.testing.assert_close(mirrored, calm, rtol=1e-5, atol=1e-6)


def test_more_missing_than_there_is_leaves_black():
    light = torch.tensor([[[0.1, -0.5, 0.0]]])
    assert torch.equal(above_black(light, torch.tensor(0.0)), torch.zeros(1, 1, 3))


@pytest.mark.parametrize("size", [(9, 9), (100, 67)])
def test_it_is_taken_from_around_where_black_is_below_zero(size):
    """Linear light may be: the border of the picture holds no light on account of that."""
    light = torch.full((1, *size), -1.0)
    light[0, 4, 4], light[0, 4, 5] = 0.0, -1.25
    calm = above_black(light, torch.tensor(-1.0))
    assert float(calm.min()) == -1.0
    torch.testing.assert_close(calm.sum(), light.sum(), rtol=0, atol=1e-3)
