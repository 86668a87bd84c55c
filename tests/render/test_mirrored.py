"""A mirrored photo gives the mirrored picture: nothing depends on the order of rows and columns."""

import pytest
import torch
from torch.nn import functional

from bokehdepth_core import render_bokeh
from bokehdepth_core.render.scene.symmetry import Order, mirrored_sum

ROUNDING = 1e-4  # of transforms in float32, divided by what little of a pixel is covered
MIRRORS = {"left and right": (2,), "top and bottom": (1,)}


def scene(height, width):
    """Return a photo with surfaces of their own colours, and depth with ties of all kinds."""
    random = torch.Generator().manual_seed(5)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    depth = torch.full((height, width), 6.0)
    depth[height // 2 :] = torch.linspace(6, 3, height - height // 2)[:, None]
    depth[6:30, 10:31] = 1.0  # a card: its middle is as far from the left as from the right
    depth[:, 50:53] = 1.5  # a post, and wires of one px, which have no inside
    depth[40, :], depth[:, 66] = 2.0, 1.2
    depth[torch.hypot(y - 44.0, x - 24.0) < 9] = 2.5
    photo = torch.rand(height, width, 3, generator=random) * 0.3 + depth[..., None].reciprocal() / 2
    photo[:, : width // 2, 1] += 0.2
    photo[30:34, 70:76] = 1.0
    return (photo * 255).round()[None] / 255, depth[None]


def orders(photo):
    """Return the order of every pixel of a photo [3,H,W]: of all at once, and of each by itself."""
    order, pixel = Order(photo), torch.arange(photo[0].numel())
    found = order.at(pixel)
    for some in pixel[:: max(1, len(pixel) // 50)].split(20):
        assert torch.equal(order.at(some), found[some])
    return found.view_as(photo[0])


def coarser(depth):
    """Return depth [1,H,W] as of a network, with ramps of 4 px at its edges, in 8 bits."""
    soft = functional.avg_pool2d(1 / depth[None], 5, 1, 2, count_include_pad=False)[0]
    return 255 / (soft * 255).round().clamp(min=1)


@pytest.mark.parametrize("size", [(64, 88), (63, 87)], ids=str)
@pytest.mark.parametrize("quality", ["default", "draft"])
@pytest.mark.parametrize("soft", [False, True], ids=["true depth", "coarse depth"])
@pytest.mark.parametrize("focus", [1.0, 6.0])
def test_a_mirrored_photo_gives_the_mirrored_picture(size, quality, soft, focus):
    photo, depth = scene(*size)
    depth = coarser(depth) if soft else depth

    def render(axes):
        return render_bokeh(photo.flip(axes), depth.flip(axes), 9.0, focus, quality=quality)

    found = render(())
    for axes in MIRRORS.values():
        mirrored = render(axes).flip(axes)
        torch.testing.assert_close(mirrored, found, atol=ROUNDING, rtol=0)


def test_pixels_are_ordered_and_added_up_alike_however_they_are_turned():
    photo = scene(63, 87)[0][0].movedim(-1, 0)
    for turned in (lambda one: one.flip(-1), lambda one: one.flip(-2), lambda one: one.mT):
        assert torch.equal(orders(turned(photo)), turned(orders(photo)))

    def around(plane):
        padded = functional.pad(plane[None], (2, 2, 2, 2))[0]
        height, width = plane.shape
        return mirrored_sum(2, lambda y, x: padded[2 + y :, 2 + x :][:height, :width] / 3)

    for turned in (lambda one: one.flip(-1), lambda one: one.flip(-2), lambda one: one.mT):
        assert torch.equal(around(turned(photo[0])), turned(around(photo[0])))


def test_ties_are_rare_in_noise():
    noise = torch.rand(3, 100, 100, generator=torch.Generator().manual_seed(0))
    assert len(orders(noise).unique()) > 9980  # 10000²/2²⁵ = 3 pairs are expected
