"""Load Metric Depth and depth on an IMAGE socket, in ComfyUI."""

import importlib

import comfyui_pack as pack
import numpy as np
import OpenEXR
import pytest
import torch
from depth_files import HEAD, METRES, RGB, SHARE, gdepth_xmp, photo, write_exr
from PIL import Image

load_depth = importlib.import_module(f"{pack.NAME}.nodes.depth.load_depth")
geometry = importlib.import_module(f"{pack.NAME}.nodes.host.geometry")
controls = importlib.import_module(f"{pack.NAME}.nodes.render.render_controls")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(load_depth.folder_paths, "get_input_directory", lambda: str(tmp_path))
    monkeypatch.setattr(
        load_depth.folder_paths, "get_annotated_filepath", lambda name: str(tmp_path / name)
    )
    return tmp_path


def load(**inputs):
    result = load_depth.LoadMetricDepth.execute(**inputs)
    return getattr(result, "args", None) or result.result


def test_depth_and_its_picture_come_from_a_file(folder):
    write_exr(folder / "a.exr", {"ViewLayer.Depth.Z": METRES})
    assert load_depth.depth_files() == ["a.exr"]
    depth, image, report = load(file="a.exr")
    np.testing.assert_array_equal(depth.depth[0].numpy(), METRES)
    assert image.shape == (1, *METRES.shape, 3)
    assert "channel ViewLayer.Depth.Z taken" in report
    assert "; values or scale changes that" in report


def test_a_portrait_gives_its_photo_too(folder):
    photo().save(folder / "a.jpg", xmp=gdepth_xmp((SHARE * 255).round().astype(np.uint8)).encode())
    depth, image, report = load(file="a.jpg")
    assert depth.metric
    assert image.std() > 0.1
    assert "depth inside the photo taken" in report


def test_holes_are_filled_or_far(folder):
    values = METRES.copy()
    values[3:6, 3:6] = 0
    np.save(folder / "a.npy", values)
    filled, _, report = load(file="a.npy")
    assert torch.isfinite(filled.depth).all()
    assert (filled.confidence[0, 3:6, 3:6] == 0).all()
    assert "holes: 9 of 864 pixels not measured" in report
    assert int(torch.isinf(load(file="a.npy", holes="far")[0].depth).sum()) == 9


MILLIMETRES = (METRES * 1000).round().astype(np.uint16)


def _half_exr(folder):
    write_exr(folder / "half.exr", {"Z": METRES.astype(np.float16)})


def _two_parts(folder):
    parts = [OpenEXR.Part(dict(HEAD), dict(RGB), "beauty"),
             OpenEXR.Part(dict(HEAD), {"V": METRES}, "ViewLayer.Depth")]  # fmt: skip
    OpenEXR.File(parts).write(str(folder / "parts.exr"))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("half.exr", _half_exr),
        ("parts.exr", _two_parts),
        ("whole.npy", lambda folder: np.save(folder / "whole.npy", MILLIMETRES.astype(np.int32))),
        ("mm.png", lambda folder: Image.fromarray(MILLIMETRES).save(folder / "mm.png")),
        ("50%d:x.npy", lambda folder: np.save(folder / "50%d:x.npy", METRES)),
        ("n" * 251 + ".npy", lambda folder: np.save(folder / ("n" * 251 + ".npy"), METRES)),
    ],
)
def test_every_kind_is_metres_in_the_node(folder, name, write):
    write(folder)
    depth, _, report = load(file=name)
    assert depth.metric
    np.testing.assert_allclose(depth.depth[0].numpy(), METRES, rtol=2**-11, atol=0.0005)
    assert "read as m" in report  # metres or millimetres


def _shown(depth):
    return depth.depth[0].numpy()


def test_a_data_window_lands_at_its_place_and_around_it_are_holes(folder):
    height, width = METRES.shape
    display = (np.array([0, 0], np.int32), np.array([width + 3, height - 1], np.int32))
    data = (np.array([2, 0], np.int32), np.array([width + 1, height - 1], np.int32))
    write_exr(folder / "a.exr", {"Z": METRES}, dataWindow=data, displayWindow=display)
    depth, image, report = load(file="a.exr", holes="far")
    np.testing.assert_array_equal(_shown(depth)[:, 2:-2], METRES)
    assert np.isinf(_shown(depth)[:, [0, 1, -2, -1]]).all()
    assert image.shape == (1, height, width + 4, 3)
    assert f"{4 * height} of {(width + 4) * height} pixels taken for sky" in report


def test_ray_distance_beside_a_camera_is_depth(folder):
    x, y = np.meshgrid(np.arange(36) + 0.5 - 18, np.arange(24) + 0.5 - 12)
    distance = (2 * np.sqrt(1 + (x / 30) ** 2 + (y / 30) ** 2)).astype(np.float32)
    camera = np.array([[30, 0, 18], [0, 30, 12], [0, 0, 1]])
    np.savez(folder / "a.npz", depth=distance, intrinsics=camera)
    depth, _, report = load(file="a.npz", values="ray distance in metres")
    np.testing.assert_allclose(_shown(depth), 2, rtol=1e-5)
    assert "ray distance" in report
    np.savez(folder / "b.npz", depth=distance)
    depth, _, report = load(file="b.npz", values="ray distance in metres")
    np.testing.assert_array_equal(_shown(depth), distance)
    assert "ray distance is kept" in report


def test_a_camera_in_shares_of_the_picture_is_made_px_and_said(folder):
    shares = np.array([[0.8, 0, 0.5], [0, 1.2, 0.5], [0, 0, 1]])
    np.savez(folder / "a.npz", depth=METRES, intrinsics=shares)
    depth, _, report = load(file="a.npz")
    height, width = METRES.shape
    wanted = [[0.8 * width, 0, width / 2], [0, 1.2 * height, height / 2], [0, 0, 1]]
    torch.testing.assert_close(depth.intrinsics[0], torch.tensor(wanted))
    assert "intrinsics are in shares of the picture, made px" in report


def test_an_empty_mask_frame_of_a_clip_is_named_and_its_neighbours_decide(monkeypatch):
    said = []
    monkeypatch.setattr(controls.services, "show_text", said.append)
    depth = torch.tensor([2.0, 9.0, 4.0])[:, None, None].expand(3, 4, 4)
    mask = torch.ones(3, 4, 4)
    mask[1] = 0
    found = controls._masked_focus(depth, mask)
    # Halfway in disparity: (1/2 + 1/4) / 2 = 3/8.
    assert found.tolist() == pytest.approx([2.0, 8 / 3, 4.0])
    assert said == ["focus_mask: empty in frame 1 (counted from 0); the frames around decide."]


def test_metres_in_an_image_stay_metres_and_overshoot_stays_disparity():
    metres = torch.tensor([[0.0, 2.0], [5.0, 7.5]])[None, ..., None].expand(-1, -1, -1, 3)
    found = geometry.depth_from_picture(metres)
    assert found.metric
    assert found.depth[0].tolist() == [[np.inf, 2.0], [5.0, 7.5]]
    over = geometry.depth_from_picture(torch.tensor([0.0, 0.5, 1.05]).reshape(1, 1, 3, 1))
    torch.testing.assert_close(over.disparity[0, 0], torch.tensor([0.0, 0.5, 1.05]) / 1.05)
    with pytest.raises(ValueError, match="depth: divide it by 255, or connect METRIC_DEPTH"):
        geometry.depth_from_picture(torch.tensor([0.0, 128.0, 255.0]).reshape(1, 1, 3, 1))
    with pytest.raises(ValueError, match=r"depth: connect METRIC_DEPTH, .*channels .*differ"):
        geometry.depth_from_picture(torch.rand(1, 4, 4, 3) * 9)
    jet = torch.stack([(1.5 - (4 * torch.linspace(0, 1, 200) - k).abs()) for k in (3, 2, 1)], -1)
    with pytest.raises(ValueError, match=r"^depth: .*colour-mapped"):
        geometry.depth_from_picture(jet.clamp(0, 1)[None, None].expand(1, 8, -1, -1))
