"""Depth written into a copy of a JPEG: read back, and all else of the photo kept."""

import hashlib
import io
import struct
import xml.etree.ElementTree

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from bokehdepth_core import DepthMap, read_depth_file, read_image, write_depth
from bokehdepth_core.files.depth.portraits.xmp import EXTENDED_XMP, XMP, segments

H, W = 60, 80
HALF_STEP = 0.5 / 65535


@pytest.fixture
def photo(tmp_path):
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    path = tmp_path / "photo.jpg"
    picture = Image.fromarray((rng.random((H, W, 3)) * 255).astype(np.uint8))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.save(path, exif=exif, icc_profile=profile, comment=b"mine", quality=90)
    return path


def _map(metric=True, **more):
    rows = torch.linspace(0.5, 20.0, W).expand(H, W).clone()
    rows[:5] = torch.inf
    if not metric:
        rows = rows / 0.5
    return DepthMap(rows[None], metric=metric, **more)


def _others(content):
    parts = [(marker, content[start:end]) for marker, start, end in segments(content)]
    return [part for part in parts if not part[1][4:].startswith((XMP, EXTENDED_XMP))]


def _coded(content):
    return content[[end for _, _, end in segments(content)][-1] :]


@pytest.mark.parametrize("metric", [True, False])
def test_depth_in_a_jpeg_comes_back_within_half_a_step(photo, tmp_path, metric):
    depth = _map(metric)
    write_depth(tmp_path / "out.jpg", depth, photo=photo)
    found = read_depth_file(tmp_path / "out.jpg").depth
    assert found.metric == metric
    assert torch.equal(found.depth.isinf(), depth.depth.isinf())
    step = HALF_STEP / float(depth.depth.min())  # of 1/depth, which reaches from 1/near to 0
    torch.testing.assert_close(found.disparity, depth.disparity, rtol=1e-6, atol=1.01 * step)


def test_all_else_of_the_photo_is_kept_byte_by_byte(photo, tmp_path):
    write_depth(tmp_path / "out.jpg", _map(), photo=photo)
    before, after = photo.read_bytes(), (tmp_path / "out.jpg").read_bytes()
    assert _others(after) == _others(before)
    assert len(_others(before)) >= 4  # JFIF, EXIF, profile, comment
    assert _coded(after) == _coded(before)
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.getexif()[0x010F] == "Maker"
        assert image.info["icc_profile"]
    assert torch.equal(read_image(photo), read_image(tmp_path / "out.jpg"))


def test_extended_xmp_is_as_the_specification_says(photo, tmp_path):
    torch.manual_seed(0)
    depth = DepthMap(0.5 + torch.rand(1, 3 * H, 3 * W))  # noise does not shrink: several pieces
    write_depth(tmp_path / "out.jpg", depth, photo=photo)
    content = (tmp_path / "out.jpg").read_bytes()
    bodies = [content[start + 4 : end] for _, start, end in segments(content)]
    pieces = [one[len(EXTENDED_XMP) :] for one in bodies if one.startswith(EXTENDED_XMP)]
    plain = next(one for one in bodies if one.startswith(XMP))
    assert len(pieces) > 1
    packed = b"".join(piece[40:] for piece in pieces)
    guid = hashlib.md5(packed).hexdigest().upper().encode()
    assert {piece[:32] for piece in pieces} == {guid}
    assert b'xmpNote:HasExtendedXMP="' + guid in plain
    offset = 0
    for piece in pieces:
        assert struct.unpack(">II", piece[32:40]) == (len(packed), offset)
        offset += len(piece) - 40
    for packet in (plain[len(XMP) :], packed):
        assert xml.etree.ElementTree.fromstring(packet).tag == "{adobe:ns:meta/}xmpmeta"


def test_depth_is_replaced_and_other_xmp_stays(photo, tmp_path):
    own = (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="Mine" '
        'xmlns:GDepth="x" GDepth:Near="7"><GDepth:Data>AAAA</GDepth:Data></rdf:Description>'
        f'</rdf:RDF></x:xmpmeta>{" " * 2000}<?xpacket end="w"?>'
    )
    with Image.open(photo) as image:
        image.save(tmp_path / "own.jpg", xmp=own.encode(), quality=90)
    write_depth(tmp_path / "once.jpg", _map(), photo=tmp_path / "own.jpg")
    flat = DepthMap(torch.full((1, H, W), 3.0))
    write_depth(tmp_path / "twice.jpg", flat, photo=tmp_path / "once.jpg")
    content = (tmp_path / "twice.jpg").read_bytes()
    assert content.count(b'dc:title="Mine"') == 1
    assert content.count(b"GDepth:Near") == 1
    assert content.count(b"GDepth:Data") == 1
    torch.testing.assert_close(
        read_depth_file(tmp_path / "twice.jpg").depth.depth, flat.depth, rtol=1e-6, atol=0
    )


def test_writing_twice_changes_nothing_more(photo, tmp_path):
    write_depth(tmp_path / "once.jpg", _map(), photo=photo)
    write_depth(tmp_path / "twice.jpg", _map(), photo=tmp_path / "once.jpg")
    assert (tmp_path / "twice.jpg").read_bytes() == (tmp_path / "once.jpg").read_bytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_and_its_depth_stay_together(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.zeros((H, W, 3), np.uint8)
    stored[: H // 2, : W // 3] = 255
    Image.fromarray(stored).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    bright = read_image(tmp_path / "turned.jpg").mean(dim=-1)
    depth = DepthMap(torch.where(bright > 0.5, 1.0, 4.0)[None])
    write_depth(tmp_path / "out.jpg", depth, photo=tmp_path / "turned.jpg")
    found = read_depth_file(tmp_path / "out.jpg")
    torch.testing.assert_close(found.depth.depth, depth.depth, rtol=1e-4, atol=0)
    assert torch.equal(found.photo, read_image(tmp_path / "turned.jpg"))


def test_confidence_and_texts_come_along(photo, tmp_path):
    sure = torch.linspace(0, 1, W).expand(1, H, W)
    depth = _map(confidence=sure)
    write_depth(tmp_path / "out.jpg", depth, photo=photo, metadata={"prompt": '{"a": "<&\\"\n"}'})
    found = read_depth_file(tmp_path / "out.jpg", holes="far").depth
    torch.testing.assert_close(found.confidence, sure, rtol=0, atol=1.01 * HALF_STEP)
    with Image.open(tmp_path / "out.jpg") as image:
        assert "xmp" in image.info
    assert b"bokehdepth:prompt=" in (tmp_path / "out.jpg").read_bytes()


def test_a_multi_picture_photo_keeps_its_other_picture(tmp_path):
    first, second = (Image.new("RGB", (W, H), color) for color in ("red", "blue"))
    first.save(tmp_path / "two.jpg", "MPO", save_all=True, append_images=[second])
    write_depth(tmp_path / "out.jpg", _map(), photo=tmp_path / "two.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        image.seek(1)
        assert image.convert("RGB").getpixel((3, 3)) == pytest.approx((0, 0, 254), abs=2)


def test_without_a_file_the_picture_is_encoded(tmp_path):
    picture = torch.full((1, 2 * H, 2 * W, 3), 0.5)
    write_depth(tmp_path / "out.jpeg", _map(), picture)
    with Image.open(tmp_path / "out.jpeg") as image:
        assert (image.format, image.size) == ("JPEG", (2 * W, 2 * H))
    assert read_depth_file(tmp_path / "out.jpeg").depth.depth.shape == (1, H, W)


def test_what_cannot_be_written_is_said_and_leaves_nothing(photo, tmp_path):
    packed = io.BytesIO()
    Image.new("RGB", (W, H)).save(packed, "PNG")
    (tmp_path / "p.png").write_bytes(packed.getvalue())
    with pytest.raises(ValueError, match=r"^image: a \.jpg that carries depth needs the photo"):
        write_depth(tmp_path / "out.jpg", _map())
    with pytest.raises(ValueError, match=r"p\.png: depth can be written into a JPEG, this is PNG"):
        write_depth(tmp_path / "out.jpg", _map(), photo=tmp_path / "p.png")
    with pytest.raises(ValueError, match=r"^photo: 60x80 for a depth map of 60x60\."):
        write_depth(tmp_path / "out.jpg", DepthMap(torch.ones(1, H, H)), photo=photo)
    with pytest.raises(ValueError, match=r"^photo: \.exr holds no photo"):
        write_depth(tmp_path / "out.exr", _map(), photo=photo)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["p.png", "photo.jpg"]
