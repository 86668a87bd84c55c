"""What a depth file's numbers are comes from evidence, is said, and can be told."""

import numpy as np
import pytest
import torch
from depth_files import (
    METRES,
    MILLIMETRES,
    SHARE,
    close,
    photo,
    write_exr,
    write_pfm,
)
from PIL import Image

from bokehdepth_core import read_depth, read_depth_file


def test_units_are_said_and_every_choice_changes_them(tmp_path):
    Image.fromarray(MILLIMETRES).save(tmp_path / "a.png")
    (line,) = read_depth_file(tmp_path / "a.png").report
    assert line == "read as millimetres (1500 … 4500 of 65535); `values` or `scale` changes that"
    close(read_depth(tmp_path / "a.png", 0.0002), MILLIMETRES * 0.0002)
    close(read_depth(tmp_path / "a.png", values="metres"), MILLIMETRES)
    disparity = read_depth(tmp_path / "a.png", values="disparity")
    assert not disparity.metric
    np.testing.assert_allclose(disparity.disparity[0].numpy(), MILLIMETRES / 65535, rtol=1e-5)
    inverse = read_depth(tmp_path / "a.png", values="depth").disparity[0].numpy()
    np.testing.assert_allclose(inverse, 1 - MILLIMETRES / 65535, rtol=1e-5)
    again = read_depth(tmp_path / "a.png", values="depth", invert=True)
    assert torch.equal(again.depth, disparity.depth)
    with pytest.raises(ValueError, match=r"values: expected one of automatic, metres.* 'feet'"):
        read_depth(tmp_path / "a.png", values="feet")


def test_a_16_bit_picture_that_reaches_white_is_disparity(tmp_path):
    for name, levels in (
        ("full.png", (SHARE * 65535).astype(np.uint16)),
        ("widened.png", (SHARE * 40).astype(np.uint16) * 257),
    ):
        Image.fromarray(levels).save(tmp_path / name)
        found = read_depth_file(tmp_path / name)
        assert not found.depth.metric
        assert "near is white" in found.report[0]


def test_the_top_of_16_bits_may_stand_for_nothing_measured(tmp_path):
    levels = MILLIMETRES.copy()
    levels[0] = 65535
    Image.fromarray(levels).save(tmp_path / "a.png")
    found = read_depth(tmp_path / "a.png")
    assert found.metric
    assert (found.confidence[0, 0] == 0).all()


@pytest.mark.parametrize("suffix", ["exr", "npy", "pfm", "tif", "png"])
def test_scale_works_for_every_kind(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    {
        "exr": lambda: write_exr(path, {"Z": METRES * 100}),
        "npy": lambda: np.save(path, METRES * 100),
        "pfm": lambda: write_pfm(path, METRES * 100),
        "tif": lambda: Image.fromarray(METRES * 100).save(path),
        "png": lambda: Image.fromarray((METRES * 50).astype(np.uint8)).save(path),
    }[suffix]()
    scale = 0.02 if suffix == "png" else 0.01
    close(read_depth(path, scale), rtol=1e-5 if suffix != "png" else 0.02)  # 8 bits


def test_a_name_that_says_disparity_is_believed(tmp_path):
    write_pfm(tmp_path / "disp0.pfm", METRES * 40)
    relative = read_depth(tmp_path / "disp0.pfm")
    assert not relative.metric
    np.testing.assert_allclose(relative.disparity[0].numpy(), METRES / 4.5, rtol=1e-5)
    close(read_depth(tmp_path / "disp0.pfm", 100.0), 100 / (METRES * 40))  # f · baseline


MAPS = {
    "jet": lambda t: np.stack([np.clip(1.5 - abs(4 * t - k), 0, 1) for k in (3, 2, 1)], -1),
    "hot": lambda t: np.stack([np.clip(3 * t - k, 0, 1) for k in (0, 1, 2)], -1),
    "cool to warm": lambda t: np.stack([t, 1 - abs(2 * t - 1), 1 - t], -1),
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_colour_mapped_depth_is_refused_by_name(tmp_path, name, suffix):
    picture = (MAPS[name](np.tile(np.linspace(0, 1, 160), (120, 1))) * 255).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / f"a.{suffix}")
    with pytest.raises(ValueError, match=rf"a\.{suffix}: a colour-mapped depth picture"):
        read_depth(tmp_path / f"a.{suffix}")


def test_a_photo_is_no_depth(tmp_path):
    photo().save(tmp_path / "a.jpg", quality=95)
    with pytest.raises(ValueError, match=r"a\.jpg: a colour picture without depth inside"):
        read_depth(tmp_path / "a.jpg")
