"""What nodes show of stacks and depth: a line below each picture, colours from near to far."""

import torch
from plain_nodes import plain_module

captions = plain_module("host.captions")
DepthMap = plain_module("host.geometry").DepthMap


def test_a_caption_lies_below_and_leaves_the_picture():
    pictures = torch.rand(3, 50, 130, 3)
    shown = captions.captioned(pictures, ["sharp", "K = 10 px·m", "K = 20 px·m"])
    assert torch.equal(shown[:, :50], pictures)
    assert shown.shape == (3, 70, 130, 3)  # text of 10 px, in a strip twice as high
    strips = shown[:, 50:]
    assert strips.amax() > 0.9
    assert not torch.equal(strips[1], strips[2])


def test_large_pictures_are_reduced():
    shown = captions.captioned(torch.rand(1, 1000, 2000, 3), ["sharp"])
    assert shown.shape == (1, 384 + 2 * (768 // 26), 768, 3)


def test_depth_is_shown_with_its_range_and_its_confidence():
    depth = torch.linspace(1, 4, 60)[None, None].expand(1, 40, 60)
    views = captions.depth_views(DepthMap(depth, torch.full_like(depth, 0.5)))
    assert len(views) == 2
    brightness = views[0, :40].mean(-1)
    assert brightness[:, 0].mean() > brightness[:, -1].mean()  # near is bright
    assert captions._range(depth[0], True) == "near 1 m (left) to far 4 m"


def test_depth_without_metres_or_surfaces_says_so():
    assert "no metres" in captions._range(torch.ones(2, 2), False)
    assert captions._range(torch.full((2, 2), torch.inf), True) == "nothing but infinitely far"
    assert captions._range(torch.tensor([[1.0, torch.inf]]), True).endswith("and sky")
    flat = DepthMap(torch.full((2, 8, 9), 2.0))
    assert torch.isfinite(captions.depth_views(flat)).all()
