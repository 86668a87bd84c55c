"""Colour profiles of every kind, in floating point, against LittleCMS on the same bytes."""

import io
import logging

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from profiles import gamma, lut, lut_a_to_b, matrix_profile, parametric, profile, sampled

from bokehdepth_core.files.pictures.images import read_image
from bokehdepth_core.files.pictures.profiles.icc import ProfileError, interpolate, read_profile
from bokehdepth_core.files.pictures.profiles.rgb_spaces import (
    D50,
    P3_D65,
    REC709,
    REC2020,
    Primaries,
    adaptation,
    srgb_curve,
)

ADOBE = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
PROPHOTO = Primaries((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))
SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
# LittleCMS gives 8 bits: half a step of rounding, and what it loses between the 33 points of
# the table that it makes of every other table (1.7 steps at most, measured).
STEPS = 2.0


def to_d50(space):
    white = np.array([space.white[0] / space.white[1], 1.0, 0.0])
    white[2] = (1 - space.white[0] - space.white[1]) / space.white[1]
    return adaptation(white, D50) @ space.to_xyz()


def smooth_table(channels, grid=9):
    """Return L*a*b* [g,…,g,3], encoded 0…1: dark to light, muted colours; ink makes it darker."""
    axes = np.stack(np.meshgrid(*[np.linspace(0, 1, grid)] * channels, indexing="ij"), axis=-1)
    light = 1 - axes @ [0.2, 0.3, 0.1, 0.4] if channels == 4 else axes @ [0.3, 0.6, 0.1]
    a = 0.5 + 0.06 * (axes[..., 0] - axes[..., 1])
    b = 0.5 + 0.06 * (axes[..., 1] - axes[..., 2])
    return np.stack([0.06 + 0.9 * light, a, b], axis=-1)


def xyz_table(grid=9):
    """Return XYZ, encoded 0…1, of a matrix of colours."""
    axes = np.stack(np.meshgrid(*[np.linspace(0, 1, grid)] * 3, indexing="ij"), axis=-1)
    return ((0.1 + 0.9 * axes) ** 2) @ to_d50(REC709).T / 2


MATRIX_PROFILES = {
    "Adobe RGB": matrix_profile(to_d50(ADOBE), gamma(563 / 256)),
    "Display P3": matrix_profile(to_d50(P3_D65), SRGB_CURVE, 4),
    "ProPhoto": matrix_profile(to_d50(PROPHOTO), gamma(1.8)),
    "Rec. 2020": matrix_profile(to_d50(REC2020), sampled(np.linspace(0, 1, 1024) ** 2.4)),
    "linear": matrix_profile(to_d50(ADOBE), b"curv\0\0\0\0\0\0\0\0"),
    "type 1": matrix_profile(to_d50(ADOBE), parametric(1, 2.0, 1.1, -0.1), 4),
    "type 4": matrix_profile(to_d50(ADOBE), parametric(4, 2.2, 0.9, 0.1, 0.3, 0.05, 0.0, 0.0), 4),
}
TABLE_PROFILES = {
    "CMYK of 16 bits": profile(b"CMYK", {b"A2B0": lut(smooth_table(4), True)}, 2, b"Lab "),
    "CMYK of 8 bits": profile(b"CMYK", {b"A2B0": lut(smooth_table(4), False)}, 2, b"Lab "),
    "scanner": profile(
        b"RGB ",
        {b"A2B0": lut(smooth_table(3), True, np.linspace(0, 1, 64) ** 1.5, np.linspace(0, 1, 32))},
        2,
        b"Lab ",
    ),
    "version 4": profile(
        b"RGB ",
        {
            b"A2B0": lut_a_to_b(
                smooth_table(3),
                gamma(1.1),
                [[0.9, 0, 0, 0.02], [0, 1, 0, 0.03], [0, 0, 1, 0.03]],
                8,
            )
        },
        4,
        b"Lab ",
    ),
    "version 4 to XYZ": profile(
        b"RGB ",
        {b"A2B0": lut_a_to_b(xyz_table(), gamma(1.1), np.eye(3, 4) * 0.9, 16)},
        4,
        b"XYZ ",
    ),
}


def inside(levels):
    """Return the pixels that no clipping touches: LittleCMS smears it over its own table."""
    return ((levels > 20) & (levels < 235)).all(axis=-1)


def littlecms(levels, data, mode):
    picture = Image.fromarray(levels, mode) if mode == "CMYK" else Image.fromarray(levels)
    embedded = ImageCms.ImageCmsProfile(io.BytesIO(data))
    target = ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(picture, embedded, target, outputMode="RGB"))


@pytest.mark.parametrize("name", [*MATRIX_PROFILES, *TABLE_PROFILES])
def test_every_kind_of_profile_gives_what_littlecms_gives(name):
    data = {**MATRIX_PROFILES, **TABLE_PROFILES}[name]
    mode = "CMYK" if "CMYK" in name else "RGB"
    levels = np.random.default_rng(0).integers(0, 256, (40, 50, len(mode)), np.uint8)
    light = read_profile(data).to_light(levels.astype(np.float32) / 255)
    found = srgb_curve(light.clip(0, 1)) * 255
    expected = littlecms(levels, data, mode).astype(float)
    compared = inside(expected) & inside(found)
    assert compared.mean() > 0.03
    assert np.abs(found - expected)[compared].max() < STEPS


def test_a_curve_with_a_floor_follows_its_formula():
    # ICC.1:2022, table 68, type 2: (aX + b)^g + c from -b/a on, else c. Its black becomes none.
    data = matrix_profile(to_d50(ADOBE), parametric(2, 2.0, 1.25, -0.25, 0.02), 4)
    values = np.array([0.0, 0.1, 0.2, 0.6, 1.0])
    light = read_profile(data).to_light(values[:, None].repeat(3, 1))[:, 1]
    curve = np.maximum(1.25 * values - 0.25, 0) ** 2 + 0.02
    expected = (curve - 0.02) / (1 - 0.02)
    np.testing.assert_allclose(light, expected, atol=1e-3)  # 16-bit numbers in the file


def test_a_grey_profile_is_heeded_too():
    data = profile(b"GRAY", {b"kTRC": gamma(1.0)})
    light = read_profile(data).to_light(np.full((1, 1, 1), 0.18, np.float32))
    np.testing.assert_allclose(light, 0.18, rtol=2e-4)  # D50 in files has 16 bits


def test_simplex_interpolation_is_exact_for_what_is_linear():
    table = np.stack(np.meshgrid(*[np.linspace(0, 1, 5)] * 4, indexing="ij"), axis=-1) @ np.array(
        [[1.0, 0], [2, 1], [3, 0], [4, 5]]
    )
    points = np.random.default_rng(1).uniform(size=(100, 4))
    expected = points @ np.array([[1.0, 0], [2, 1], [3, 0], [4, 5]])
    np.testing.assert_allclose(interpolate(table, points), expected, atol=1e-12)


@pytest.mark.parametrize("cut", [0, 10, 130, 200, 300])
def test_damaged_profiles_are_refused(cut):
    with pytest.raises(ProfileError):
        read_profile(MATRIX_PROFILES["Adobe RGB"][:cut])


def test_a_table_too_large_for_memory_is_refused():
    content = bytearray(lut(smooth_table(4, grid=2), True))
    content[10] = 255
    with pytest.raises(ProfileError, match="a table of"):
        read_profile(profile(b"CMYK", {b"A2B0": bytes(content)}, 2, b"Lab "))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_kinds_of_8_bits_take_the_same_way(tmp_path, suffix):
    data = MATRIX_PROFILES["Adobe RGB"]
    levels = np.full((16, 16, 3), (60, 180, 70), np.uint8)
    options = {"quality": 100, "lossless": True} if suffix == ".webp" else {"quality": 100}
    Image.fromarray(levels).save(tmp_path / f"a{suffix}", icc_profile=data, **options)
    expected = littlecms(levels, data, "RGB")
    # JPEG at quality 100 may be off by two steps itself.
    found = read_image(tmp_path / f"a{suffix}").numpy() * 255
    assert np.abs(found - expected).max() < STEPS + 2 * (suffix == ".jpg")


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_ink_is_seen_through_its_profile(tmp_path, suffix):
    data = TABLE_PROFILES["CMYK of 16 bits"]
    levels = np.full((16, 16, 4), (200, 30, 90, 20), np.uint8)
    Image.fromarray(levels, "CMYK").save(tmp_path / f"a{suffix}", icc_profile=data, quality=100)
    expected = littlecms(levels, data, "CMYK")
    found = read_image(tmp_path / f"a{suffix}").numpy() * 255
    assert np.abs(found - expected).max() < STEPS + 2 * (suffix == ".jpg")


def test_a_profile_of_srgb_leaves_every_code_as_it_is(tmp_path):
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    levels = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png", icc_profile=data)
    assert torch.equal(read_image(tmp_path / "a.png"), torch.from_numpy(levels).float() / 255)


def test_a_profile_for_other_channels_is_told_and_left_out(tmp_path, caplog):
    levels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    data = TABLE_PROFILES["CMYK of 8 bits"]
    Image.fromarray(levels).save(tmp_path / "a.png", icc_profile=data)
    with caplog.at_level(logging.WARNING):
        found = read_image(tmp_path / "a.png")
    assert torch.equal(found, torch.from_numpy(levels).float() / 255)
    assert "a.png: its colour profile is unreadable (4 channels for 3)" in caplog.text
