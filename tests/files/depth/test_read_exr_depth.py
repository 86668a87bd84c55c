"""Depth channels of EXR files: found among colour, in any part and window."""

import math

import numpy as np
import OpenEXR
import pytest
import torch
from depth_files import (
    HEIGHT,
    METRES,
    RGB,
    WIDTH,
    close,
    write_exr,
)

from bokehdepth_core import read_depth, read_depth_file


@pytest.mark.parametrize(
    "name",
    [
        *("Z", "depth.Z", "Depth.V", "ViewLayer.Depth.Z", "Scene.001.Depth.Z", "SceneDepth"),
        *("linear_depth.X", "left.Z", "Depth.X", "rgba.Z", "VRayZDepth.R", "Camera.Depth", "D"),
    ],
)
def test_depth_is_found_beside_colour_and_vectors(tmp_path, name):
    vectors = {f"{layer}.{axis}": RGB["G"] for layer in ("normal", "N", "P") for axis in "XYZ"}
    others = {"UV.U": RGB["R"], "UV.V": RGB["G"], "ViewLayer.Mist.Z": RGB["B"], "ZBack": RGB["R"]}
    write_exr(tmp_path / "a.exr", {**RGB, **vectors, **others, name: METRES})
    close(read_depth(tmp_path / "a.exr"))
    assert (name == "Z") != any(name in line for line in read_depth_file(tmp_path / "a.exr").report)


def test_depth_is_found_in_a_later_part(tmp_path):
    parts = [
        OpenEXR.Part({"type": OpenEXR.scanlineimage}, dict(RGB), "beauty"),
        OpenEXR.Part({"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()},
                     {"Depth.V": METRES.astype(np.float16)}, "utility"),
    ]  # fmt: skip
    OpenEXR.File(parts).write(str(tmp_path / "a.exr"))
    found = read_depth_file(tmp_path / "a.exr")
    close(found.depth, METRES.astype(np.float16))
    assert "channel utility:Depth.V taken" in found.report
    close(read_depth(tmp_path / "a.exr", channel="utility"), METRES.astype(np.float16))


def test_several_depths_are_named_and_one_can_be_chosen(tmp_path):
    write_exr(tmp_path / "a.exr", {"depth.Z": METRES, "other.depth": METRES * 2})
    found = read_depth_file(tmp_path / "a.exr")
    assert "others: other.depth; `channel` names one" in found.report[0]
    close(read_depth(tmp_path / "a.exr", channel="other.depth"), METRES * 2)
    close(read_depth(tmp_path / "a.exr", channel="OTHER"), METRES * 2)
    with pytest.raises(ValueError, match=r"a\.exr: no channel named x; found depth\.Z, other"):
        read_depth(tmp_path / "a.exr", channel="x")


def test_colour_is_no_depth_unless_it_is_grey(tmp_path):
    write_exr(tmp_path / "grey.exr", {f"ViewLayer.Combined.{name}": METRES for name in "RGB"})
    close(read_depth(tmp_path / "grey.exr"))
    write_exr(tmp_path / "photo.exr", RGB)
    with pytest.raises(ValueError, match=r"photo\.exr: no depth channel, .* found B, G, R\. Name"):
        read_depth(tmp_path / "photo.exr")
    picture = read_depth_file(tmp_path / "photo.exr", channel="G")  # 0…1: near is white
    np.testing.assert_allclose(picture.depth.disparity[0].numpy(), RGB["G"], rtol=1e-5)
    assert "near is white" in picture.report[1]


@pytest.mark.parametrize("layer", ["N", "Normal", "P", "ViewLayer.Position", "velocity"])
def test_directions_and_places_are_no_depth(tmp_path, layer):
    vector = dict(zip((f"{layer}.X", f"{layer}.Y", f"{layer}.Z"), RGB.values(), strict=True))
    for name, channels in (("a.exr", vector | RGB), ("b.exr", vector)):
        write_exr(tmp_path / name, channels)
        with pytest.raises(ValueError, match="no depth channel, and colour is no depth"):
            read_depth(tmp_path / name)


def test_a_data_window_that_is_not_the_display_window_leaves_holes(tmp_path):
    display = (np.array([0, 0], np.int32), np.array([WIDTH + 3, HEIGHT - 1], np.int32))
    data = (np.array([2, 0], np.int32), np.array([WIDTH + 1, HEIGHT - 1], np.int32))
    write_exr(tmp_path / "a.exr", {"Z": METRES}, dataWindow=data, displayWindow=display)
    found = read_depth(tmp_path / "a.exr")
    np.testing.assert_array_equal(found.depth[0, :, 2:-2].numpy(), METRES)
    assert torch.isinf(found.depth[0, :, :2]).all()
    assert (found.confidence[0, :, -2:] == 0).all()


def test_a_deep_pixel_is_its_nearest_sample_that_covers_half(tmp_path):
    z, alpha = np.empty((1, 4), object), np.empty((1, 4), object)
    pixels = [([5.0, 2.0], [1.0, 0.1]), ([3.0, 4.0], [0.3, 0.4]), ([2.0], [0.2])]
    for column, (depths, opacities) in enumerate(pixels):
        z[0, column] = np.array(depths, np.float32)
        alpha[0, column] = np.array(opacities, np.float32)
    head = {"type": OpenEXR.deepscanline, "compression": OpenEXR.ZIPS_COMPRESSION}
    OpenEXR.File(head, {"Z": z, "A": alpha}).write(str(tmp_path / "a.exr"))
    # Opaque behind a veil; 1 − 0.7·0.6 = 0.58 together; a veil alone; nothing at all.
    assert read_depth(tmp_path / "a.exr").depth[0, 0].tolist() == [5.0, 4.0, math.inf, math.inf]


@pytest.mark.parametrize("name", ["distance", "RayDistance.R", "distance_to_camera"])
def test_ray_distance_becomes_depth_where_the_camera_is_known(tmp_path, name):
    camera = torch.tensor([[30.0, 0, WIDTH / 2], [0, 30.0, HEIGHT / 2], [0, 0, 1]])
    x = (np.arange(WIDTH) + 0.5 - WIDTH / 2) / 30
    y = (np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / 30
    distance = (2.0 * np.sqrt(1 + x[None] ** 2 + y[:, None] ** 2)).astype(np.float32)
    write_exr(tmp_path / "a.exr", {name: distance})
    close(read_depth(tmp_path / "a.exr", intrinsics=camera), np.full_like(METRES, 2.0))
    shares = camera / torch.tensor([[WIDTH], [HEIGHT], [1.0]])
    close(read_depth(tmp_path / "a.exr", intrinsics=shares), np.full_like(METRES, 2.0))
    assert any(
        "ray distance is kept" in line for line in read_depth_file(tmp_path / "a.exr").report
    )
