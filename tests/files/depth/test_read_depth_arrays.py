"""Depth in arrays, PFM, TIFF and 16-bit PNG."""

import struct
import zlib

import numpy as np
import pytest
import torch
from depth_files import (
    HEIGHT,
    METRES,
    MILLIMETRES,
    WIDTH,
    close,
    tiff,
    write_pfm,
)
from PIL import Image

from bokehdepth_core import read_depth, read_depth_file


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "u2", "i4", "u4", "i8"])
@pytest.mark.parametrize("axes", [(), (0,), (2,), (0, 1)])
def test_arrays_of_any_dtype_and_axes(tmp_path, dtype, axes):
    whole = np.dtype(dtype).kind != "f"
    values = np.expand_dims((MILLIMETRES if whole else METRES).astype(dtype), axes)
    np.save(tmp_path / "a.npy", values)
    np.savez_compressed(tmp_path / "b.npz", values, rgb=np.zeros((HEIGHT, WIDTH, 3)))
    np.savez(tmp_path / "c.npz", anything=np.asfortranarray(values), K=np.diag([30, 30, 1]))
    for name in ("a.npy", "b.npz", "c.npz"):
        close(read_depth(tmp_path / name), rtol=1e-3)  # half floats and millimetres


def test_small_whole_numbers_are_metres_and_large_floats_are_millimetres(tmp_path):
    np.save(tmp_path / "m.npy", np.array([[1, 2], [3, 40]]))
    assert read_depth(tmp_path / "m.npy").depth[0].tolist() == [[1, 2], [3, 40]]
    np.save(tmp_path / "mm.npy", MILLIMETRES.astype(np.float32))
    close(read_depth(tmp_path / "mm.npy"), rtol=1e-3)


def test_cameras_in_shares_of_the_picture_are_recognised(tmp_path):
    shares = np.array([[0.8, 0, 0.5], [0, 1.2, 0.5], [0, 0, 1]])
    np.savez(tmp_path / "a.npz", depth=METRES, intrinsics=shares)
    found = read_depth_file(tmp_path / "a.npz")
    wanted = [[0.8 * WIDTH, 0, WIDTH / 2], [0, 1.2 * HEIGHT, HEIGHT / 2], [0, 0, 1]]
    torch.testing.assert_close(found.depth.intrinsics[0], torch.tensor(wanted))
    assert "intrinsics are in shares of the picture, made px" in found.report


@pytest.mark.parametrize("order", ["<", ">"])
def test_pfm_in_both_byte_orders_and_its_infinity_is_a_hole(tmp_path, order):
    values = METRES.copy()
    values[0, 0] = np.inf
    write_pfm(tmp_path / "a.pfm", values, order)
    found = read_depth(tmp_path / "a.pfm")
    np.testing.assert_array_equal(found.depth[0].numpy(), values)
    assert found.confidence[0, 0, 0] == 0
    assert found.confidence[0, 0, 1] == 1


def test_pfm_with_lines_as_on_windows(tmp_path):
    write_pfm(tmp_path / "a.pfm", METRES)
    head, _, rest = (tmp_path / "a.pfm").read_bytes().partition(b"-1.0\n")
    (tmp_path / "a.pfm").write_bytes(head.replace(b"\n", b"\r\n") + b"-1.0\r\n" + rest)
    np.testing.assert_array_equal(read_depth(tmp_path / "a.pfm").depth[0].numpy(), METRES)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u2", "i4", "u4"])
def test_tiff_of_any_number(tmp_path, dtype, order):
    values = (METRES if dtype[0] == "f" else MILLIMETRES).astype(order + dtype)
    (tmp_path / "a.tif").write_bytes(tiff(values, order))
    close(read_depth(tmp_path / "a.tif"), rtol=1e-3)


@pytest.mark.parametrize("options", [{"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}])
@pytest.mark.parametrize("predictor", [1, 3])
def test_compressed_float_tiff_with_a_predictor(tmp_path, options, predictor):
    Image.fromarray(METRES).save(tmp_path / "a.tif", tiffinfo={317: predictor}, **options)
    close(read_depth(tmp_path / "a.tif"))


def test_big_endian_numbers_in_lzw_are_refused_by_name(tmp_path):
    # Pillow would give them with their bytes swapped.
    (tmp_path / "a.tif").write_bytes(tiff(METRES.astype(">f4"), ">", compression=5))
    with pytest.raises(ValueError, match=r"a\.tif: a big-endian TIFF with compression 5"):
        read_depth(tmp_path / "a.tif")


def test_nodata_of_a_map_is_a_hole(tmp_path):
    values = METRES.copy()
    values[2, 3] = 9999.0
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={42113: "9999"})
    found = read_depth(tmp_path / "a.tif")
    assert found.confidence[0, 2, 3] == 0
    assert torch.isinf(found.depth[0, 2, 3])


def test_16_bit_grey_with_alpha_keeps_its_bits_and_transparent_is_a_hole(tmp_path):
    alpha = np.full_like(MILLIMETRES, 65535)
    alpha[0, 0] = 0
    rows = np.stack([MILLIMETRES, alpha], -1).astype(">u2")

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 4, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )
    found = read_depth(tmp_path / "a.png")
    assert found.confidence[0, 0, 0] == 0
    np.testing.assert_allclose(found.depth[0, 1:].numpy(), MILLIMETRES[1:] / 1000, rtol=1e-6)
