import golden
import pytest
import torch

from bokehdepth_core.depth.networks.preprocess import (
    depth_anything_side,
    depth_anything_transform,
    unidepth_pixels,
    unidepth_transform,
)
from bokehdepth_core.optics.camera import intrinsics_from_focal_length


@pytest.fixture(scope="module")
def tables():
    return golden.manifest("preprocess_tables")


def test_unidepth_plans_equal_the_table(tables):
    for row in tables["unidepth"]["rows"]:
        transform = unidepth_transform(*row["hw"])
        assert list(transform.padding) == row["paddings_left_right_top_bottom"], row
        assert list(transform.padded) == row["padded_hw"], row
        assert list(transform.input_size) == row["network_hw"], row
        assert transform.nominal_scale == pytest.approx(row["resize_factor"], rel=1e-6)
        assert transform.scale == pytest.approx(row["actual_scale_hw"], rel=1e-6)


def test_nothing_is_padded_within_the_usual_ratios(tables):
    for row in tables["truncation_bug"]["rows"]:
        transform = unidepth_transform(*row["hw"])
        assert list(transform.padding) == row["wanted_paddings"]
        assert list(transform.padded) == row["wanted_padded_hw"]
        assert list(transform.input_size) == row["wanted_network_hw"]
        assert transform.nominal_scale == pytest.approx(row["wanted_resize_factor"], rel=1e-6)


def test_resolution_levels_equal_the_table(tables):
    for level in tables["unidepth_resolution_levels"]:
        pixels = unidepth_pixels(level["resolution_level"])
        assert pixels == (level["pixels_min"], level["pixels_max"])
        for example in level["examples"]:
            transform = unidepth_transform(*example["hw"], pixels)
            assert list(transform.input_size) == example["network_hw"]
            assert transform.nominal_scale == pytest.approx(example["resize_factor"], rel=1e-6)
    assert unidepth_pixels(-1) == unidepth_pixels(None) == (200_000, 600_000)


def test_default_camera_scales_as_in_the_table(tables):
    for row in tables["unidepth"]["rows"]:
        height, width = row["hw"]
        transform = unidepth_transform(height, width)
        camera = intrinsics_from_focal_length(0.7 * width, width, height).double()
        found = transform.camera_to_input(camera, nominal=True)[0]
        values = [found[0, 0], found[1, 1], found[0, 2], found[1, 2]]
        assert values == pytest.approx(row["default_camera_fx_fy_cx_cy"], rel=1e-6), row


def test_depth_anything_sizes_equal_the_table(tables):
    for row in tables["dav2_resize"]["rows"]:
        transform = depth_anything_transform(*row["hw"], row["input_size"])
        assert list(transform.input_size) == row["network_hw"], row


def test_depth_anything_levels_surround_the_trained_size():
    sides = [depth_anything_side(level) for level in range(10)]
    assert sides == sorted(sides)
    assert depth_anything_side(None) == depth_anything_side(-1) == sides[4] == 518
    assert all(side % 14 == 0 for side in sides)


@pytest.mark.parametrize("size", [(233, 311), (60, 188), (188, 60), (1, 1), (40, 400)])
def test_cameras_return_exactly(size):
    transform = unidepth_transform(*size)
    camera = torch.tensor([[[300.0, 0, 31.5], [0, 290.0, 17.25], [0, 0, 1]]], dtype=torch.float64)
    for nominal in (False, True):
        inside = transform.camera_to_input(camera, nominal=nominal)
        back = transform.camera_to_picture(inside, nominal=nominal)
        torch.testing.assert_close(back, camera, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("size", [(60, 188), (188, 60), (233, 311)])
def test_a_pixel_keeps_its_ray_through_the_network(size):
    transform = unidepth_transform(*size)
    camera = intrinsics_from_focal_length(150.0, size[1], size[0]).double()
    corner = torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64)
    left, _, top, _ = transform.padding
    vertical, horizontal = transform.scale
    inside = torch.tensor([(0.5 + left) * horizontal, (0.5 + top) * vertical, 1.0]).double()
    moved = transform.camera_to_input(camera)[0].inverse() @ inside
    torch.testing.assert_close(moved, camera[0].inverse() @ corner, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("transform_of", [depth_anything_transform, unidepth_transform])
@pytest.mark.parametrize("size", [(61, 97), (97, 30), (20, 90)])
def test_maps_return_in_place(transform_of, size):
    transform = transform_of(*size)
    frames = transform.to_input(torch.full((2, *size, 3), 0.5))
    assert frames.shape == (2, 3, *transform.input_size)
    ramp = torch.linspace(1, 2, transform.input_size[1]).expand(1, *transform.input_size)
    back = transform.restore(ramp)
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
    transform = depth_anything_transform(*size, depth_anything_side(9), most)
    assert transform.input_size[0] * transform.input_size[1] <= most * 14 * 14
    assert max(transform.input_size) / min(transform.input_size) > 0.6 * max(size) / min(size)
    usual = depth_anything_transform(61, 97, 518, most)
    assert usual == depth_anything_transform(61, 97, 518)
