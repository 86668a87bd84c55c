"""TIFF photos: 16 bits, floats, ink, L*a*b*, in every packing."""

import struct
import zlib

import numpy as np
import pytest
from photo_files import CODES, HALF_A_STEP, LIGHT, deep
from PIL import Image
from profiles import gamma, matrix_profile
from test_profiles import ADOBE, to_d50

from bokehdepth_core.files.exif import read_photo_lens
from bokehdepth_core.files.pictures.images import read_image, read_photo
from bokehdepth_core.files.pictures.profiles.rgb_spaces import REC709, between


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_every_compression_of_16_bit_tiff_is_unpacked(tmp_path, compression):
    levels = np.random.default_rng(0).integers(0, 65536, (37, 29), np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.tif", compression=compression)
    found = read_image(tmp_path / "a.tif").numpy()[..., 0]
    np.testing.assert_array_equal(found, levels.astype(np.float32) / 65535)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("predictor", [False, True])
def test_16_bit_tiff_keeps_its_steps(tmp_path, compression, byteorder, predictor):
    tifffile = pytest.importorskip("tifffile")
    predictor = predictor and compression is not None
    levels = np.random.default_rng(0).integers(0, 65536, (37, 29, 3), np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif",
        levels,
        byteorder=byteorder,
        compression=compression,
        predictor=predictor,
        photometric="rgb",
        rowsperstrip=8,
    )
    found = read_image(tmp_path / "a.tif").numpy()
    np.testing.assert_array_equal(found, levels.astype(np.float32) / 65535)


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (16, 32)},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "tile": (16, 16)},
        {"bigtiff": True},
    ],
)
@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float16])
def test_tiles_planes_and_big_files_are_read(tmp_path, options, dtype):
    tifffile = pytest.importorskip("tifffile")
    values = np.random.default_rng(0).uniform(0, 1, (37, 41, 3))
    values = (values * 65535 if dtype == np.uint16 else values * 20).astype(dtype)
    stored = np.moveaxis(values, -1, 0) if "planarconfig" in options else values
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", compression="zlib", **options)
    photo = read_photo(tmp_path / "a.tif")
    expected = values.astype(np.float32) / (65535 if dtype == np.uint16 else 1)
    np.testing.assert_array_equal(photo.image.numpy(), expected)
    assert photo.color_space == ("sRGB" if dtype == np.uint16 else "linear Rec.709")


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_floating_point_predictor_is_undone(tmp_path, dtype):
    # Adobe, TIFF Technical Note 3: bytes of a row by their significance, then differences.
    values = np.random.default_rng(0).uniform(0, 50, (9, 11, 3)).astype(dtype)
    size = values.dtype.itemsize
    planes = values.astype(values.dtype.newbyteorder(">")).reshape(9, -1).view(np.uint8)
    planes = planes.reshape(9, -1, size).transpose(0, 2, 1).reshape(9, -1, 3)
    packed = np.diff(planes, axis=1, prepend=np.zeros((9, 1, 3), np.uint8)).astype(np.uint8)
    tags = [(256, 11), (257, 9), (258, 8 * size), (259, 8), (262, 2), (273, 8), (277, 3)]
    body = zlib.compress(packed.tobytes())
    tags += [(278, 9), (279, len(body)), (317, 3), (339, 3)]
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(body))
    content = head + body + struct.pack("<H", len(tags)) + rows + b"\0" * 4
    (tmp_path / "a.tif").write_bytes(content)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif").image.numpy(), values)


def test_16_bit_tiff_honours_its_profile_and_its_lens(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    data = matrix_profile(to_d50(ADOBE), gamma(2.0))
    stored = np.sqrt(LIGHT @ between(REC709, ADOBE).T)
    profile = [(34675, 7, len(data), data, True), (274, 3, 1, 3, True)]
    tifffile.imwrite(tmp_path / "a.tif", deep(stored), photometric="rgb", extratags=profile)
    found = read_image(tmp_path / "a.tif").numpy()
    np.testing.assert_allclose(found, CODES[:, ::-1], atol=2e-4)  # turned by 180°
    assert read_photo_lens(tmp_path / "a.tif").f_number is None


def test_ink_of_16_bits_and_white_is_zero(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    ink = deep(np.array([[[0.2, 0.5, 0.0, 0.5]]]))
    tifffile.imwrite(tmp_path / "ink.tif", ink, photometric="separated")
    found = read_image(tmp_path / "ink.tif").numpy()
    np.testing.assert_allclose(found, [[[0.4, 0.25, 0.5]]], atol=3 * HALF_A_STEP)
    grey = deep(np.array([[0.25, 1.0]]))
    tifffile.imwrite(tmp_path / "grey.tif", grey, photometric="miniswhite")
    found = read_image(tmp_path / "grey.tif").numpy()[..., 0]
    np.testing.assert_allclose(found, [[0.75, 0.0]], atol=3 * HALF_A_STEP)


def test_lab_is_converted(tmp_path):
    from PIL import ImageCms

    levels = np.full((4, 5, 3), (200, 100, 50), np.uint8)
    spaces = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    change = ImageCms.buildTransform(*spaces, "RGB", "LAB")
    ImageCms.applyTransform(Image.fromarray(levels), change).save(tmp_path / "a.tif")
    # L*, a*, b* in whole numbers: half a step of a* or b* is up to two codes of blue.
    np.testing.assert_allclose(read_image(tmp_path / "a.tif").numpy(), levels / 255, atol=2.5 / 255)
