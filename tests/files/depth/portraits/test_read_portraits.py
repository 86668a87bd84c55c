"""Depth inside photos: GDepth, Dynamic Depth, iPhone."""

import io
import struct

import heic_portrait
import numpy as np
import pytest
from depth_files import (
    HEIGHT,
    SHARE,
    WIDTH,
    close,
    gdepth_xmp,
    iphone_packet,
    photo,
    png_bytes,
    xmp,
)
from PIL import Image

from bokehdepth_core import read_depth, read_depth_file


@pytest.mark.parametrize("kind", ["RangeLinear", "RangeInverse"])
@pytest.mark.parametrize("unit", [("m", 1.0), ("mm", 0.001)])
def test_gdepth_in_both_ranges(tmp_path, kind, unit):
    levels = (SHARE * 255).round().astype(np.uint8)
    share = levels / 255
    near, far = 0.5 / unit[1], 8.0 / unit[1]
    facts = {"Format": kind, "Units": unit[0], "Near": near, "Far": far}
    photo().save(tmp_path / "a.jpg", xmp=gdepth_xmp(levels, **facts).encode())
    linear = 0.5 + share * 7.5
    inverse = 8.0 * 0.5 / (8.0 - share * 7.5)
    found = read_depth_file(tmp_path / "a.jpg")
    close(found.depth, linear if kind == "RangeLinear" else inverse)
    assert found.photo.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(("unit", "said"), [("ft", "its unit 'ft' is not known"), ("", "no unit")])
def test_gdepth_of_an_unknown_unit_is_relative_and_says_so(tmp_path, unit, said):
    xmp = gdepth_xmp((SHARE * 255).round().astype(np.uint8), Units=unit)
    photo().save(tmp_path / "a.jpg", xmp=xmp.encode())
    found = read_depth_file(tmp_path / "a.jpg")
    assert not found.depth.metric
    assert any(said in line and "relative depth" in line for line in found.report)


def test_gdepth_that_holds_no_picture_is_refused_in_plain_words(tmp_path):
    xmp = gdepth_xmp((SHARE * 255).round().astype(np.uint8), Data="bm8gcGljdHVyZQ==")
    photo().save(tmp_path / "a.jpg", xmp=xmp.encode())
    with pytest.raises(ValueError, match=r"a\.jpg: damaged depth inside \(neither PNG nor JPEG\)"):
        read_depth(tmp_path / "a.jpg")


def test_gdepth_in_an_extended_packet(tmp_path):
    whole = gdepth_xmp((SHARE * 255).round().astype(np.uint8)).encode()
    guid, cut = b"0123456789ABCDEF0123456789ABCDEF", len(whole) // 2
    plain = xmp("xmpNote", "http://ns.adobe.com/xmp/note/", {"HasExtendedXMP": guid.decode()})
    packed = io.BytesIO()
    photo().save(packed, "JPEG", xmp=plain.encode())
    jpeg = packed.getvalue()
    pieces = b""
    for offset in (cut, 0):  # out of order on purpose
        body = (
            b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">II", len(whole), offset)
        )
        body += whole[offset : offset + cut] if offset == 0 else whole[offset:]
        pieces += b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + pieces + jpeg[2:])
    close(read_depth(tmp_path / "a.jpg"), 0.5 + 7.5 * (SHARE * 255).round() / 255)


def test_dynamic_depth_lies_behind_the_first_image(tmp_path):
    levels = (SHARE * 255).round().astype(np.uint8)
    depth = png_bytes(levels)
    items = "".join(
        f'<rdf:li><Container:Item Item:Mime="{mime}" Item:Semantic="{role}" Item:Length="{size}"/>'
        "</rdf:li>"
        for mime, role, size in (("image/jpeg", "Primary", 0), ("image/png", "Depth", len(depth)))
    )
    camera = {"FocalLengthX": 0.9, "FocalLengthY": 1.2, "PrincipalPointX": 0.5}
    inside = f"<Container:Directory><rdf:Seq>{items}</rdf:Seq></Container:Directory>" + "".join(
        f"<ImagingModel:{name}>{value}</ImagingModel:{name}>"
        for name, value in (camera | {"PrincipalPointY": 0.5}).items()
    )
    facts = {"Format": "RangeInverse", "Near": 0.5, "Far": 8.0, "Units": "Meters"}
    packet = xmp("DepthMap", "http://ns.google.com/photos/dd/1.0/depthmap/", facts, inside)
    packed = io.BytesIO()
    photo().save(packed, "JPEG", xmp=packet.encode())
    (tmp_path / "a.jpg").write_bytes(packed.getvalue() + depth)
    found = read_depth(tmp_path / "a.jpg")
    close(found, 8.0 * 0.5 / (8.0 - levels / 255 * 7.5))
    assert found.intrinsics[0, 0, 0] == pytest.approx(0.9 * WIDTH)
    assert found.intrinsics[0, 1, 2] == pytest.approx(0.5 * HEIGHT)


def test_an_iphone_portrait_keeps_its_disparity_and_camera(tmp_path):
    levels = (SHARE * 255).round().astype(np.uint8)
    packed, depth = io.BytesIO(), io.BytesIO()
    photo().save(packed, "JPEG")
    Image.fromarray(levels).save(depth, "JPEG", quality=100, xmp=iphone_packet().encode())
    (tmp_path / "a.jpg").write_bytes(packed.getvalue() + depth.getvalue())
    found = read_depth(tmp_path / "a.jpg")
    assert found.metric
    # JPEG at full quality keeps levels to about 1 of 255: 0.007 per metre.
    np.testing.assert_allclose(found.disparity[0].numpy(), 0.25 + levels / 255 * 1.75, atol=0.02)
    assert found.intrinsics[0, 0, 0] == pytest.approx(36.0)
    assert found.intrinsics[0, 1, 2] == pytest.approx(12.0)


def test_an_heic_gives_its_photo_disparity_and_camera(tmp_path):
    pytest.importorskip("pillow_heif")
    share = np.tile(np.linspace(0, 1, 144), (96, 1))
    levels = (share * 255).round().astype(np.uint8)
    heic_portrait.write(tmp_path / "a.heic", photo().resize((288, 192)), levels, iphone_packet())
    found = read_depth_file(tmp_path / "a.heic")
    assert found.depth.metric
    wanted = 0.25 + levels / 255 * 1.75
    np.testing.assert_allclose(found.depth.disparity[0].numpy(), wanted, rtol=1e-5)  # lossless
    assert found.photo.shape == (192, 288, 3)
    assert found.depth.intrinsics[0, 0, 0] == pytest.approx(144)  # as wide as the picture
    assert "depth inside the photo taken" in found.report[0]
