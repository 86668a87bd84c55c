"""What Render Bokeh hands to its focus picker. No ComfyUI needed."""

import torch
from plain_nodes import plain_module

preview = plain_module("render.focus_preview")


def unpacked(colours, ends):
    """Return the disparity as the picker's JavaScript reads it."""
    code = colours[..., 0].double() * 256 + colours[..., 1].double()
    return ends[0] + (ends[1] - ends[0]) * code / 65535


def test_disparity_survives_to_half_a_step_of_16_bits():
    torch.manual_seed(0)
    depth = 0.5 + 20 * torch.rand(37, 53)
    depth[0, :5] = torch.inf
    colours, ends = preview.pack_disparity(depth)
    assert torch.equal(colours, colours.round())
    assert colours.min() >= 0
    assert colours.max() <= 255
    assert ends[0] == 0
    half_a_step = (ends[1] - ends[0]) / 65535 / 2
    # 1e-6: float32 of the share, before it is rounded to a step
    assert (unpacked(colours, ends) - 1 / depth.double()).abs().max() < half_a_step * 1.01 + 1e-6


def test_one_stray_pixel_does_not_take_the_steps_from_the_others():
    depth = torch.full((50, 50), 2.0)
    depth[:, 25:] = 4.0
    depth[0, 0] = 1e-4
    colours, ends = preview.pack_disparity(depth)
    assert ends == (0.25, 2.0)  # 4 × 1/2 m, not 10000
    assert unpacked(colours, ends)[0, 0] == 2.0
    # half a step of 1.75/65535
    assert (unpacked(colours, ends)[1:] - 1 / depth[1:]).abs().max() < 1.34e-5


def test_constant_and_infinite_depth_are_packed():
    for value in (3.0, torch.inf):
        colours, ends = preview.pack_disparity(torch.full((4, 4), value))
        assert torch.equal(unpacked(colours, ends), torch.full((4, 4), 1 / value).double())


def test_the_small_depth_holds_values_of_the_depth_alone():
    depth = torch.where(torch.arange(2000) < 900, 1.0, 7.0).expand(1, 1001, 2000)
    small = preview.smaller_depth(depth)
    assert small.shape == (1, 384, 768)
    assert set(small.unique().tolist()) == {1.0, 7.0}
    assert preview.smaller_picture(torch.rand(1, 1001, 2000, 3)).shape == (1, 384, 768, 3)


def test_the_camera_travels_in_shares_of_the_picture():
    camera = torch.tensor([[[800.0, 0, 500], [0, 900, 250], [0, 0, 1]]])
    depth_map = preview.core.DepthMap(torch.ones(1, 600, 1000), None, camera)
    expected = torch.tensor([0.8, 1.5, 0.5, 250 / 600])
    torch.testing.assert_close(torch.tensor(preview._camera(depth_map, 1000, 600)), expected)
    assert preview._camera(preview.core.DepthMap(torch.ones(1, 6, 10)), 10, 6) is None
