"""More than 8 bits a channel are kept, or it is said that they are not; masks are no depth."""

import logging

import numpy as np
import pytest
from PIL import Image

from bokehdepth_core import read_depth, read_image, write_image

RAMP = np.linspace(0, 65535, 64 * 64).round().astype(np.uint16).reshape(64, 64)


def test_a_10_bit_heic_keeps_its_bits(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    pixels = np.stack([RAMP] * 3, -1)
    picture = heif.from_bytes(mode="RGB;16", size=(64, 64), data=pixels.tobytes())
    picture.save(str(tmp_path / "deep.heic"), quality=-1, chroma=444)
    found = read_image(tmp_path / "deep.heic").numpy()
    assert len(np.unique(found)) > 900
    np.testing.assert_allclose(found[..., 1], RAMP / 65535, atol=2 / 1023)  # 10 bits, YCbCr


def test_a_16_bit_jpeg_2000_keeps_its_bits_in_grey(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "deep.jp2", irreversible=False)
    found = read_image(tmp_path / "deep.jp2").numpy()
    np.testing.assert_allclose(found[..., 0], RAMP / 65535, atol=1e-6)


def test_bits_that_are_dropped_are_said(tmp_path, caplog):
    Image.new("RGB", (16, 16), (10, 20, 30)).save(tmp_path / "a.jp2")
    content = bytearray((tmp_path / "a.jp2").read_bytes())
    with caplog.at_level(logging.WARNING):
        read_image(tmp_path / "a.jp2")
    assert not caplog.records
    content[content.index(b"ihdr") + 14] = 15  # the box says 16 bits
    (tmp_path / "b.jp2").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        read_image(tmp_path / "b.jp2")
    assert "b.jp2: has more than 8 bits a channel; 8 are kept." in caplog.text


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packing", ["tiff_lzw", "tiff_adobe_deflate", "packbits", None])
def test_packed_tiff_in_either_byte_order(tmp_path, order, packing):
    levels = (RAMP // 8 + 500).astype(np.uint16)
    mode = "I;16" if order == "<" else "I;16B"
    picture = Image.frombytes(mode, (64, 64), levels.astype(f"{order}u2").tobytes())
    picture.save(tmp_path / "a.tif", compression=packing)
    np.testing.assert_allclose(read_depth(tmp_path / "a.tif", 0.001).depth[0], levels / 1000)
    np.testing.assert_allclose(read_image(tmp_path / "a.tif")[..., 0], levels / 65535, atol=1e-6)


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_a_mask_is_no_depth(tmp_path, kind):
    path = tmp_path / f"mask.{kind}"
    if kind == "npy":
        np.save(path, RAMP > 9)
    else:
        np.savez(path, depth=RAMP > 9)
    with pytest.raises(ValueError, match=rf"^mask\.{kind}: expected distances, found yes and no"):
        read_depth(path)


@pytest.mark.parametrize("name", ["a.hdr", "a.psd", "a.xyz"])
def test_kinds_that_are_not_written_name_those_that_are(tmp_path, name):
    with pytest.raises(ValueError, match=r"not written. Name it .png, .tif, .jpg or .exr."):
        write_image(tmp_path / name, read_gradient())
    assert not list(tmp_path.iterdir())


def read_gradient():
    import torch

    return torch.linspace(0, 1, 12).reshape(2, 2, 3)
