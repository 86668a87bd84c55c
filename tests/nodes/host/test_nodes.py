"""What the nodes do to pictures and depth on their way into the core. No ComfyUI needed."""

import pytest
import torch
from plain_nodes import plain_module

geometry = plain_module("host.geometry")
pictures = plain_module("host.pictures")
DepthMap = geometry.DepthMap


def test_grey_is_repeated_and_transparency_shows_white():
    grey = torch.full((1, 2, 3, 1), 0.25)
    assert torch.equal(pictures.as_rgb(grey), torch.full((1, 2, 3, 3), 0.25))
    clear = torch.zeros(1, 2, 3, 4)
    assert torch.equal(pictures.as_rgb(clear), torch.ones(1, 2, 3, 3))
    assert torch.equal(clear, torch.zeros(1, 2, 3, 4))


def test_an_empty_batch_is_named():
    with pytest.raises(ValueError, match=r"image: is empty, found \[0, 4, 4, 3\]"):
        pictures.as_rgb(torch.zeros(0, 4, 4, 3))


def test_a_batch_of_one_stands_for_all_and_others_are_refused():
    assert pictures.common_batch(image=1, depth=3) == 3
    with pytest.raises(ValueError, match=r"sizes differ \(image 2, depth 3\)"):
        pictures.common_batch(image=2, depth=3)


def test_a_depth_picture_is_normalised_disparity():
    depth = geometry.depth_from_picture(torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 3, 1))
    assert not depth.metric
    assert depth.depth.flatten().tolist() == [float("inf"), 2.0, 1.0]


def test_a_fault_is_told_under_the_name_of_its_input():
    levels = torch.arange(256.0).reshape(1, 16, 16, 1).expand(-1, -1, -1, 3)
    with pytest.raises(ValueError, match=r"^prior: .*whole values up to 255"):
        geometry.depth_from_picture(levels, "prior")
    with pytest.raises(ValueError, match=r"^prior: .*MOGE_GEOMETRY holds no depth"):
        geometry.depth_from_moge({"points": levels}, "prior")


def test_moge_keeps_metres_and_its_camera_becomes_pixels():
    camera = torch.tensor([[[0.8, 0, 0.5], [0, 1.2, 0.5], [0, 0, 1.0]]])
    found = geometry.depth_from_moge(
        {
            "depth": torch.full((1, 50, 100), 2.0),
            "mask": torch.ones(1, 50, 100, dtype=torch.bool).index_fill(2, torch.tensor([0]), 0),
            "intrinsics": camera,
        }
    )
    assert found.metric
    assert torch.isinf(found.depth[:, :, 0]).all()
    assert (found.depth[:, :, 1:] == 2).all()
    wanted = torch.tensor([[[80.0, 0, 50], [0, 60, 25], [0, 0, 1]]])
    torch.testing.assert_close(found.intrinsics, wanted)


def test_depth_anything_3_is_relative_with_one_range_for_all_views():
    depth = torch.stack([torch.full((4, 6), 2.0), torch.full((4, 6), 4.0)])
    sky = torch.zeros(2, 4, 6)
    sky[0, 0, 0] = 1
    cameras = torch.eye(3).repeat(1, 2, 1, 1) * 7
    found = geometry.depth_from_da3(
        {"depth": depth, "sky": sky, "intrinsics": cameras, "mode": "multiview"}
    )
    assert not found.metric
    assert found.disparity[0, 0, 0] == 0
    assert (found.disparity[0, 1:] == 1).all()
    assert (found.disparity[1] == 0.5).all()
    assert torch.equal(found.intrinsics, cameras[0])


def test_the_depth_picture_has_one_range_for_the_batch_and_near_is_white():
    depth = torch.tensor([[[1.0, 2.0]], [[2.0, 4.0]]])
    shown = geometry.depth_picture(DepthMap(depth))[..., 0]
    assert shown[0, 0, 0] == 1
    assert shown[1, 0, 1] == 0
    assert shown[0, 0, 1] == shown[1, 0, 0]


def test_chunks_of_a_clip_share_a_given_depth_range():
    depth = torch.tensor([1.0, 2.0, 4.0, 8.0])[:, None, None].expand(4, 2, 2)
    whole = geometry.depth_picture(DepthMap(depth), 1.0, 8.0)
    chunks = [geometry.depth_picture(DepthMap(part), 1.0, 8.0) for part in depth.split(2)]
    assert torch.equal(torch.cat(chunks), whole)
    # (1/Z - 1/8) / (1 - 1/8)
    torch.testing.assert_close(whole[:, 0, 0, 0], torch.tensor([1.0, 3 / 7, 1 / 7, 0.0]))
    with pytest.raises(ValueError, match="picture_far: 1 is not beyond picture_near, 2"):
        geometry.depth_picture(DepthMap(depth), 2.0, 1.0)
