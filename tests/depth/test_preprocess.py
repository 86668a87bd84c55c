import golden
import pytest
import torch

from bokehdepth_core.depth.preprocess import (
    depth_anything_side,
    plan_depth_anything,
    plan_unidepth,
    unidepth_pixels,
)
from bokehdepth_core.optics.camera import intrinsics_from_focal_length


@pytest.fixture(scope="module")
def tables():
    return golden.manifest("preprocess_tables")


def test_unidepth_plans_equal_the_table(tables):
    for row in tables["unidepth"]["rows"]:
        plan = plan_unidepth(*row["hw"])
        assert list(plan.padding) == row["paddings_left_right_top_bottom"], row
        assert list(plan.padded) == row["padded_hw"], row
        assert list(plan.network) == row["network_hw"], row
        assert plan.nominal_scale == pytest.approx(row["resize_factor"], rel=1e-6)
        assert plan.scale == pytest.approx(row["actual_scale_hw"], rel=1e-6)


def test_nothing_is_padded_within_the_usual_ratios(tables):
    for row in tables["truncation_bug"]["rows"]:
        plan = plan_unidepth(*row["hw"])
        assert list(plan.padding) == row["wanted_paddings"]
        assert list(plan.padded) == row["wanted_padded_hw"]
        assert list(plan.network) == row["wanted_network_hw"]
        assert plan.nominal_scale == pytest.approx(row["wanted_resize_factor"], rel=1e-6)


def test_resolution_levels_equal_the_table(tables):
    for level in tables["unidepth_resolution_levels"]:
        pixels = unidepth_pixels(level["resolution_level"])
        assert pixels == (level["pixels_min"], level["pixels_max"])
        for example in level["examples"]:
            plan = plan_unidepth(*example["hw"], pixels)
            assert list(plan.network) == example["network_hw"]
            assert plan.nominal_scale == pytest.approx(example["resize_factor"], rel=1e-6)
    assert unidepth_pixels(-1) == unidepth_pixels(None) == (200_000, 600_000)


def test_default_camera_scales_as_in_the_table(tables):
    for row in tables["unidepth"]["rows"]:
        height, width = row["hw"]
        plan = plan_unidepth(height, width)
        camera = intrinsics_from_focal_length(0.7 * width, width, height).double()
        found = plan.camera_to_network(camera, nominal=True)[0]
        values = [found[0, 0], found[1, 1], found[0, 2], found[1, 2]]
        assert values == pytest.approx(row["default_camera_fx_fy_cx_cy"], rel=1e-6), row


def test_depth_anything_sizes_equal_the_table(tables):
    for row in tables["dav2_resize"]["rows"]:
        plan = plan_depth_anything(*row["hw"], row["input_size"])
        assert list(plan.network) == row["network_hw"], row


def test_depth_anything_levels_surround_the_trained_size():
    sides = [depth_anything_side(level) for level in range(10)]
    assert sides == sorted(sides)
    assert depth_anything_side(None) == depth_anything_side(-1) == sides[4] == 518
    assert all(side % 14 == 0 for side in sides)


@pytest.mark.parametrize("size", [(233, 311), (60, 188), (188, 60), (1, 1), (40, 400)])
def test_cameras_return_exactly(size):
    plan = plan_unidepth(*size)
    camera = torch.tensor([[[300.0, 0, 31.5], [0, 290.0, 17.25], [0, 0, 1]]], dtype=torch.float64)
    for nominal in (False, True):
        inside = plan.camera_to_network(camera, nominal=nominal)
        back = plan.camera_to_picture(inside, nominal=nominal)
        torch.testing.assert_close(back, camera, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("size", [(60, 188), (188, 60), (233, 311)])
def test_a_pixel_keeps_its_ray_through_the_network(size):
    plan = plan_unidepth(*size)
    camera = intrinsics_from_focal_length(150.0, size[1], size[0]).double()
    corner = torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64)
    left, _, top, _ = plan.padding
    vertical, horizontal = plan.scale
    inside = torch.tensor([(0.5 + left) * horizontal, (0.5 + top) * vertical, 1.0]).double()
    moved = plan.camera_to_network(camera)[0].inverse() @ inside
    torch.testing.assert_close(moved, camera[0].inverse() @ corner, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("plan_of", [plan_depth_anything, plan_unidepth])
@pytest.mark.parametrize("size", [(61, 97), (97, 30), (20, 90)])
def test_maps_return_in_place(plan_of, size):
    plan = plan_of(*size)
    frames = plan.to_network(torch.full((2, *size, 3), 0.5))
    assert frames.shape == (2, 3, *plan.network)
    ramp = torch.linspace(1, 2, plan.network[1]).expand(1, *plan.network)
    back = plan.restore(ramp)
    assert back.shape == (1, *size)
    assert (back.diff(dim=2) >= 0).all()
    torch.testing.assert_close(back[:, :1].expand_as(back), back)


@pytest.mark.parametrize("level", [10, -2, float("nan")])
def test_unknown_levels_are_refused(level):
    with pytest.raises(ValueError, match=r"^resolution: expected "):
        unidepth_pixels(level)


@pytest.mark.parametrize("size", [(300, 4000), (2, 900), (4000, 300)])
def test_a_long_strip_enters_depth_anything_at_a_smaller_side(size):
    most = 1 << 15
    plan = plan_depth_anything(*size, depth_anything_side(9), most)
    assert plan.network[0] * plan.network[1] <= most * 14 * 14
    assert max(plan.network) / min(plan.network) > 0.6 * max(size) / min(size)
    usual = plan_depth_anything(61, 97, 518, most)
    assert usual == plan_depth_anything(61, 97, 518)
