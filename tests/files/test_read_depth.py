"""What depth files hold comes out as metres, whatever the kind, and is said."""

import io
import math
import struct
import zipfile
import zlib

import numpy as np
import OpenEXR
import pytest
import torch
from depth_files import (
    HEIGHT,
    METRES,
    RGB,
    SHARE,
    WIDTH,
    gdepth_xmp,
    photo,
    png_bytes,
    write_exr,
    write_pfm,
    xmp,
)
from PIL import Image

from bokehdepth_core import read_depth, read_depth_file

MILLIMETRES = (METRES * 1000).round().astype(np.uint16)


def close(found, wanted=METRES, rtol=1e-5):
    np.testing.assert_allclose(found.depth[0].numpy(), wanted, rtol=rtol)


# --- EXR


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


# --- arrays, PFM, TIFF, PNG


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "u2", "i4", "u4", "i8"])
@pytest.mark.parametrize("axes", [(), (0,), (2,), (0, 1)])
def test_arrays_of_any_dtype_and_axes(tmp_path, dtype, axes):
    whole = np.dtype(dtype).kind != "f"
    values = np.expand_dims((MILLIMETRES if whole else METRES).astype(dtype), axes)
    np.save(tmp_path / "a.npy", values)
    np.savez_compressed(tmp_path / "b.npz", values, rgb=np.zeros((HEIGHT, WIDTH, 3)))
    np.savez(tmp_path / "c.npz", anything=np.asfortranarray(values), K=np.eye(3) * 30)
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


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u2", "i4", "u4"])
def test_tiff_of_any_number(tmp_path, dtype, order):
    values = (METRES if dtype[0] == "f" else MILLIMETRES).astype(order + dtype)
    (tmp_path / "a.tif").write_bytes(tiff(values, order))
    close(read_depth(tmp_path / "a.tif"), rtol=1e-3)


def tiff(values, order):
    """Return an uncompressed TIFF; Pillow cannot write most of these."""
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    bits, height, width = 8 * values.dtype.itemsize, *values.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1),
            (278, height), (279, values.nbytes), (339, kind)]  # fmt: skip
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + values.nbytes)
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
    return head + values.tobytes() + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("options", [{"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}])
@pytest.mark.parametrize("predictor", [1, 3])
def test_compressed_float_tiff_with_a_predictor(tmp_path, options, predictor):
    Image.fromarray(METRES).save(tmp_path / "a.tif", tiffinfo={317: predictor}, **options)
    close(read_depth(tmp_path / "a.tif"))


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


# --- what the numbers are


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


# --- depth inside photos


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
    items = "".join(f"<rdf:li>{value}</rdf:li>" for value in (360, 0, 0, 0, 360, 0, 180, 120, 1))
    inside = (
        "<apdi:AuxiliaryImageType>disparity</apdi:AuxiliaryImageType>"
        "<apdi:FloatMinValue>0.25</apdi:FloatMinValue><apdi:FloatMaxValue>2</apdi:FloatMaxValue>"
        f"<depthData:IntrinsicMatrix><rdf:Seq>{items}</rdf:Seq></depthData:IntrinsicMatrix>"
        "<depthData:IntrinsicMatrixReferenceWidth>360</depthData:IntrinsicMatrixReferenceWidth>"
        "<depthData:IntrinsicMatrixReferenceHeight>240</depthData:IntrinsicMatrixReferenceHeight>"
    )
    packet = xmp("apdi", "http://ns.apple.com/pixeldatainfo/1.0/", {}, inside)
    packed, depth = io.BytesIO(), io.BytesIO()
    photo().save(packed, "JPEG")
    Image.fromarray(levels).save(depth, "JPEG", quality=100, xmp=packet.encode())
    (tmp_path / "a.jpg").write_bytes(packed.getvalue() + depth.getvalue())
    found = read_depth(tmp_path / "a.jpg")
    assert found.metric
    # JPEG at full quality keeps levels to about 1 of 255: 0.007 per metre.
    np.testing.assert_allclose(found.disparity[0].numpy(), 0.25 + levels / 255 * 1.75, atol=0.02)
    assert found.intrinsics[0, 0, 0] == pytest.approx(36.0)
    assert found.intrinsics[0, 1, 2] == pytest.approx(12.0)


# --- bad files


def bomb(tmp_path):
    """An .npz whose array declares 4 · 10^10 values and holds none."""
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (200000, 200000), }"
    head = head.ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("depth.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pfm", b"Pf\n100000 100000\n-1\n", "declares 100000x100000 px, more than 178 million"),
        ("a.pfm", b"Pf\n100 100\n-1\n1234", "damaged PFM file"),
        ("a.pfm", b"P6 1 1 255 ", "damaged PFM file"),
        ("a.tif", b"II*\0\xff\xff\xff\xff", "damaged or cut off"),
        ("a.tif", tiff(METRES, "<")[:200], "damaged or cut off"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_depth(tmp_path / name)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def test_declared_arrays_are_refused_before_they_are_unpacked(tmp_path):
    bomb(tmp_path)
    with pytest.raises(ValueError, match=r"a\.npz: depth declares \[200000, 200000\], more than"):
        read_depth(tmp_path / "a.npz")


def test_only_the_wanted_array_is_unpacked(tmp_path):
    np.savez(tmp_path / "a.npz", depth=METRES, zz_pickle=np.array([object()], dtype=object))
    close(read_depth(tmp_path / "a.npz"))
