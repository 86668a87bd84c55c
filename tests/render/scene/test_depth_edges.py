"""Refined depth: soft edges become hard along the picture's, the rest stays."""

import math

import pytest
import torch

from bokehdepth_core import render_bokeh
from bokehdepth_core.render.scene.depth_edges import refine_depth

EDGE = 30  # column


def scene(height=41, width=61):
    """Return a red thing before a blue wall, and its true depth."""
    image = torch.tensor([0.1, 0.2, 0.8]).repeat(1, height, width, 1)
    image[:, :, :EDGE] = torch.tensor([0.9, 0.2, 0.1])
    depth = torch.full((1, height, width), 5.0)
    depth[:, :, :EDGE] = 1.0
    return image, depth


def softened(depth, half, shift=0):
    """Return depth whose disparity passes the edge in a straight ramp of 2 `half` px."""
    columns = torch.arange(depth.shape[2]) + 0.5 - EDGE - shift
    share = (columns / (2 * half) + 0.5).clamp(0, 1)
    return (1 / (1.0 + share * (0.2 - 1.0))).expand_as(depth)


@pytest.mark.parametrize("half", [2, 3, 4])
def test_a_soft_edge_becomes_the_true_one(half):
    image, depth = scene()
    torch.testing.assert_close(refine_depth(image, softened(depth, half)), depth)


def test_a_misplaced_soft_edge_goes_to_that_of_the_picture():
    image, depth = scene()
    soft = softened(depth, 4, shift=2)
    gray = torch.full_like(image, 0.5)  # no colour to go by: the edge stays in the ramp's middle
    wrong = ((refine_depth(picture, soft) - depth).abs() > 0.1 for picture in (gray, image))
    assert [int(pixels.sum()) // depth.shape[1] for pixels in wrong] == [2, 0]


def test_hard_edges_planes_slopes_and_sky_keep_their_exact_depth():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 41, 61, 3, generator=generator)
    hard = scene()[1].clone()
    hard[:, :10] = math.inf
    ground = (1 / torch.linspace(0.05, 1.0, 41))[None, :, None].expand(1, 41, 61)
    for depth in (hard, ground, torch.full((1, 41, 61), 2.0)):
        assert torch.equal(refine_depth(image, depth), depth)


def test_one_depth_serves_a_batch_and_tiny_pictures_pass():
    image, depth = scene()
    images = torch.cat([image, image.flip(-1)])
    out = refine_depth(images, softened(depth, 3))
    assert out.shape == (2, 41, 61)
    for size in ((1, 1), (1, 7), (5, 1)):
        assert refine_depth(torch.rand(1, *size, 3), torch.rand(1, *size) + 1).shape == (1, *size)


def test_a_wrong_size_is_named():
    with pytest.raises(ValueError, match=r"depth: expected \[1, 41, 61\] like the image"):
        refine_depth(scene()[0], torch.ones(1, 4, 4))


def test_the_renderer_refines_unless_told_not_to():
    image, depth = scene()
    soft = softened(depth, 3)
    true = render_bokeh(image, depth, 8.0, 5.0)
    error = {
        refine: float((render_bokeh(image, soft, 8.0, 5.0, refine_depth=refine) - true).abs().max())
        for refine in (True, False)
    }
    assert error[True] < 1e-5
    assert error[False] > 0.05


def slanted(angle):
    """Return distances, px, [60,60] from a line near the middle that is turned by degrees."""
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(60.0), indexing="ij")
    turned = math.radians(angle)
    return (x - 30.2) * math.cos(turned) + (y - 29.7) * math.sin(turned)


@pytest.mark.parametrize("angle", [0, 10, 23, 35, 45, 67])
@pytest.mark.parametrize("width", [0.8, 1.2])
def test_no_pixel_of_a_soft_edge_at_any_angle_is_left_half_way(angle, width):
    across = slanted(angle)
    disparity = 0.2 + 0.8 * torch.sigmoid(across / width)
    image = torch.where((across > 0)[..., None], torch.tensor([0.8, 0.3, 0.2]), 0.3)
    refined = 1 / refine_depth(image[None], 1 / disparity[None])[0, 8:-8, 8:-8]
    # Where a ramp has levelled off it is within 0.1 of its ends.
    assert not ((refined > 0.3) & (refined < 0.9)).any()


@pytest.mark.parametrize("angle", [0, 10, 23, 35, 45, 67])
def test_a_hard_edge_between_slopes_at_any_angle_keeps_its_exact_depth(angle):
    across = slanted(angle)
    depth = torch.where(across > 0, 1 + 0.002 * across, 4 + 0.004 * across)[None]
    image = torch.rand(1, 60, 60, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(refine_depth(image, depth), depth)


def test_a_smooth_grainy_surface_is_not_split_into_worms():
    # A round lamp of grey paint: its disparity rises by a quarter, and the photo shows no edge.
    generator = torch.Generator().manual_seed(0)
    image = 0.4 + 0.03 * torch.randn(1, 64, 64, 3, generator=generator)
    place = (torch.arange(64.0) - 32) / 12
    bump = torch.exp(-(place[:, None].square() + place.square()) / 2)
    depth = (1 / (0.9 + 0.3 * bump))[None]
    assert torch.equal(refine_depth(image, depth), depth)


def test_a_small_step_is_still_made_hard_where_the_photo_shows_it():
    image, depth = scene()
    small = 1 / (0.8 + 0.2 * (1 / softened(depth, 3) - 0.2) / 0.8)  # disparity 1 before 0.8
    refined = refine_depth(image, small)
    assert sorted(set(refined.flatten().tolist())) == pytest.approx([1.0, 1.25])
