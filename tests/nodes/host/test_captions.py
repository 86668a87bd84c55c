"""What nodes show of stacks and depth: a line below each picture, colours from near to far."""

import torch
from plain_nodes import plain_module

captions = plain_module("host.captions")
DepthMap = plain_module("host.geometry").DepthMap


def test_a_caption_lies_below_and_leaves_the_picture():
    pictures = torch.rand(3, 50, 130, 3)
    shown = captions.captioned(pictures, [("sharp",), ("K = 10 px·m",), ("K = 20 px·m",)])
    assert torch.equal(shown[:, :50], pictures)
    assert shown.shape == (3, 50 + 2 * 14, 130, 3)  # text of a ninth of the width, 14 px
    strips = shown[:, 50:]
    assert strips.amax() > 0.9
    assert not torch.equal(strips[1], strips[2])


def test_large_pictures_are_reduced():
    shown = captions.captioned(torch.rand(1, 1000, 2000, 3), [("sharp",)])
    assert shown.shape == (1, 384 + 2 * (768 // 9), 768, 3)


def test_letters_are_large_and_every_line_fits():
    """A node of usual width shows two pictures at 135 px: letters of 512 px shrink to a quarter."""
    legend = [("near 1.53 m", "far 16.3 m, sky"), ("confidence 0.83", "dark: filled in")]
    assert captions._letter_size(512, legend) * 135 / 512 >= 7.5
    view = captions.captioned(torch.zeros(2, 10, 512, 3), legend)
    columns = view[:, 10:].mean(-1).amax(1) > 0.5
    assert not columns[:, :5].any()
    assert not columns[:, -5:].any()
    between = columns[0].int().diff().nonzero().flatten()
    assert between.diff().max() >= captions._letter_size(512, legend)  # the texts do not touch
    frames = [("sharp",), ("K = 10.5 px·m",)]
    assert captions._letter_size(512, frames) * 100 / 512 >= 10


def test_depth_is_shown_with_its_range_and_its_confidence():
    depth = torch.linspace(1, 4, 60)[None, None].expand(1, 40, 60)
    views = captions.depth_views(DepthMap(depth, torch.full_like(depth, 0.5)))
    assert len(views) == 2
    brightness = views[0, :40].mean(-1)
    assert brightness[:, 0].mean() > brightness[:, -1].mean()  # near is bright
    assert captions._range(depth[0], True) == ("near 1 m", "far 4 m")
    assert views[0, 41, :5].mean() > views[0, 41, -5:].mean()  # so are the colours of the legend
    assert views[1, 41].max() < 0.9  # confidence has none


def test_depth_without_metres_or_surfaces_says_so():
    assert captions._range(torch.ones(2, 2), False) == ("near", "far: no metres")
    assert captions._range(torch.full((2, 2), torch.inf), True) == ("", "infinitely far")
    assert captions._range(torch.tensor([[1.0, torch.inf]]), True)[1] == "far 1 m, sky"
    flat = DepthMap(torch.full((2, 8, 9), 2.0))
    assert torch.isfinite(captions.depth_views(flat)).all()
