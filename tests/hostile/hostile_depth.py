"""Hostile depth files: NumPy, PFM, TIFF, EXR, PNG and photos with depth inside."""

import bz2
import io
import json
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from depth_files import METRES, MILLIMETRES, gdepth_xmp, png_bytes, tiff
from hostile_case import EITHER, REFUSED, VALUE, Case, mutations, png, tiff_of
from hostile_portraits import iphone, plain_xmp, portraits
from PIL import Image
from PIL.PngImagePlugin import PngInfo

_MAP = METRES[:8, :9]
_PEAK = "ns.adobe.com/xmp"


def _is(wanted, metric=None):
    """Return a check that the depth, m, is this."""

    def check(found):
        np.testing.assert_allclose(found.depth.depth[0].numpy(), wanted, rtol=1e-3)
        assert metric is None or found.depth.metric == metric

    return check


def _shaped(height, width):
    def check(found):
        assert tuple(found.depth.depth.shape) == (1, height, width)

    return check


def _npy(values, **options):
    packed = io.BytesIO()
    np.save(packed, values, **options)
    return packed.getvalue()


def _npz(method=zipfile.ZIP_DEFLATED, **arrays):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, values in arrays.items():
            content = values if isinstance(values, bytes) else _npy(np.asarray(values))
            archive.writestr(f"{name}.npy", content)
    return packed.getvalue()


def _head(text, version=(1, 0), body=b""):
    text = text.encode().ljust(117) + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + body


_LIKE = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }"


def _declares(shape, dtype="<f4"):
    return _head(f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}")


def _encrypted(archive):
    changed = bytearray(archive)
    changed[changed.find(b"PK\x01\x02") + 8] |= 1
    changed[changed.find(b"PK\x03\x04") + 6] |= 1
    return bytes(changed)


def _numpy_files():
    ones = np.ones((4, 5), np.float32)
    pickled = np.array([{"a": 1}], dtype=object)
    npy = {
        "version 9.npy": (_head("{}", (9, 0)), REFUSED),
        "no head.npy": (b"\x93NUMPY\1\0", REFUSED),
        "code.npy": (_head("__import__('os').system('true')"), REFUSED),
        "deep head.npy": (_head("(" * 100_000, (2, 0)), REFUSED),
        "long head.npy": (b"\x93NUMPY\2\0\xff\xff\xff\x7f{", REFUSED),
        "huge.npy": (_declares((_W, _W)), REFUSED),
        "negative.npy": (_declares((-4, -5)), REFUSED),
        "overflow.npy": (_declares((2**40, 2**40)), REFUSED),
        "no shape.npy": (_declares("None"), REFUSED),
        "objects.npy": (_npy(pickled, allow_pickle=True), REFUSED),
        "number.npy": (_npy(np.float32(3)), REFUSED),
        "yes by yes.npy": (_head(_LIKE % "(True, True)", body=b"\0\0\x80?"), REFUSED),
        "row.npy": (_npy(np.ones(7)), REFUSED),
        "none.npy": (_npy(np.ones((0, 5))), REFUSED),
        "colour.npy": (_npy(np.random.default_rng(0).random((4, 5, 3))), REFUSED),
        "text.npy": (_npy(np.array([["a", "b"]] * 2)), REFUSED),
        "yes.npy": (_npy(np.ones((4, 5), bool)), REFUSED),
        "complex.npy": (_npy(np.ones((4, 5), complex)), REFUSED),
        "dates.npy": (_npy(np.zeros((4, 5), "M8[s]")), REFUSED),
        "fields.npy": (_npy(np.zeros((4, 5), [("a", "f4")])), REFUSED),
        "nan.npy": (_npy(np.full((4, 5), np.nan)), REFUSED),
        "zeros.npy": (_npy(np.zeros((4, 5))), REFUSED),
        "negatives.npy": (_npy(-ones), REFUSED),
        "1e300.npy": (_npy(np.full((4, 5), 1e300)), EITHER),
        "1e-300.npy": (_npy(np.full((4, 5), 1e-300)), EITHER),
        "subnormal.npy": (_npy(np.full((4, 5), 1e-42, np.float32)), EITHER),
        "sky.npy": (_npy(np.full((4, 5), np.inf)), EITHER),
    }
    found = [Case(what, what, content, "depth", want) for what, (content, want) in npy.items()]
    rightly = {
        "big-endian.npy": _MAP.astype(">f4"),
        "columns.npy": np.asfortranarray(_MAP),
        "double.npy": _MAP.astype(np.float64),
        "long double.npy": _MAP.astype(np.longdouble),
        "axes.npy": _MAP[None, None],
        "half.npy": _MAP.astype(np.float16),
    }
    written = {what: _npy(one) for what, one in rightly.items()}
    written["version 2.npy"] = _head(_LIKE % "(8, 9)", (2, 0), _MAP.astype("<f4").tobytes())
    written["version 3.npy"] = _head(_LIKE % "(8, 9)", (3, 0), _MAP.astype("<f4").tobytes())
    found += [
        Case(what, what, content, "depth", VALUE, check=_is(_MAP, True))
        for what, content in written.items()
    ]
    return found


_W = 200_000


def _long_head():
    text = (_LIKE % ("(" + "1," * 4900 + ")")).encode().ljust(9989) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def _archives():
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("depth.npy", _npy(_MAP))
        archive.writestr("rgb.npy", _npy(np.zeros((5000, 10_000), np.float32)))
    many = {f"a{at}": _npy(np.ones((2, 2))) for at in range(3000)}
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            archive.writestr("depth.npy", _npy(_MAP))
            archive.writestr("depth.npy", _npy(2 * _MAP))
    camera = np.array([[9, 0, 4], [0, 9, 4], [0, 0, 1.0]])
    nan = camera.copy()
    nan[0, 0] = np.nan
    short = _declares((4, 5)) + bytes(20)
    refused = {
        "encrypted.npz": _encrypted(_npz(depth=_MAP)),
        "no maps.npz": _npz(a=np.ones(3)),
        "two maps.npz": _npz(a=_MAP, b=_MAP),
        "huge.npz": _npz(depth=_declares((_W, _W))),
        "pickle.npz": _npz(depth=_head("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }")),
        "short.npz": _npz(depth=short),
        "no numpy.npz": _npz(depth=b"not numpy"),
        "empty.npz": _npz(),
        "long heads.npz": _npz(**dict.fromkeys((f"a{at}" for at in range(600)), _long_head())),
        "npz within.npz": _npz(depth=_npz(depth=_MAP)),
        "metric text.npz": _npz(depth=_MAP, metric=np.array("false")),
        "metric 7.npz": _npz(depth=_MAP, metric=np.array(7)),
        "metric none.npz": _npz(depth=_MAP, metric=np.array(np.nan)),
        "metric row.npz": _npz(depth=_MAP, metric=np.array([True, False])),
        "metric words.npz": _npz(depth=_MAP, metric=np.array(["yes", "no"])),
        "nan camera.npz": _npz(depth=_MAP, intrinsics=nan),
        "zero camera.npz": _npz(depth=_MAP, intrinsics=np.zeros((3, 3))),
        "negative camera.npz": _npz(depth=_MAP, intrinsics=-camera),
        "rank 1 camera.npz": _npz(depth=_MAP, intrinsics=np.ones((3, 3))),
        "turned camera.npz": _npz(depth=_MAP, intrinsics=camera[::-1]),
        "huge camera.npz": _npz(depth=_MAP, intrinsics=camera * 1e300),
        "words camera.npz": _npz(depth=_MAP, intrinsics=np.array([["a"] * 3] * 3)),
        "complex camera.npz": _npz(depth=_MAP, intrinsics=camera * 1j),
        "yes camera.npz": _npz(depth=_MAP, intrinsics=np.eye(3, dtype=bool)),
        "small camera.npz": _npz(depth=_MAP, intrinsics=np.ones((2, 2, 2))),
        "text confidence.npz": _npz(depth=_MAP, confidence=np.full(_MAP.shape, "a")),
        "complex confidence.npz": _npz(depth=_MAP, confidence=_MAP * 1j),
        "text mask.npz": _npz(depth=_MAP, mask=np.full(_MAP.shape, "a")),
        "bad method.npz": _odd_method(_npz(depth=_MAP)),
        "wrong checksum.npz": _wrong_checksum(_npz(zipfile.ZIP_STORED, depth=_MAP)),
    }
    found = [Case(what, what, content, "depth") for what, content in refused.items()]
    right = {
        "bomb beside.npz": bomb.getvalue(),
        "bzip2.npz": _npz(zipfile.ZIP_BZIP2, depth=_MAP),
        "lzma.npz": _npz(zipfile.ZIP_LZMA, depth=_MAP),
        "relative.npz": _npz(**{"../../depth": _MAP}),
        "metric true.npz": _npz(depth=_MAP, metric=np.array(True)),
        "metric 1.npz": _npz(depth=_MAP, metric=np.array(1)),
        "camera.npz": _npz(depth=_MAP, intrinsics=camera),
        "a zip.png": _npz(depth=_MAP),
    }
    found += [
        Case(what, what, content, "depth", VALUE, check=_is(_MAP, True))
        for what, content in right.items()
    ]
    odd = {"many.npz": _npz(zipfile.ZIP_STORED, **many, depth=_MAP), "twice.npz": twice.getvalue()}
    found += [Case(what, what, content, "depth", EITHER) for what, content in odd.items()]
    return found


def _odd_method(archive):
    changed = bytearray(archive)
    changed[changed.find(b"PK\x01\x02") + 10] = 97
    changed[changed.find(b"PK\x03\x04") + 8] = 97
    return bytes(changed)


def _wrong_checksum(archive):
    at = archive.find(b"\x93NUMPY") + 140
    return archive[:at] + bytes([archive[at] ^ 1]) + archive[at + 1 :]


def _pfms():
    pixels = np.ones(6, "<f4").tobytes()
    files = {
        "none.pfm": b"Pf 0 0 -1\n",
        "negative.pfm": b"Pf -2 -3 -1\n" + pixels,
        "huge.pfm": b"Pf\n100000 100000\n-1\n",
        "words.pfm": b"Pf\ntwo three\n-1\n" + pixels,
        "scale e.pfm": b"Pf\n2 3\n-e\n" + pixels,
        "endless comment.pfm": b"Pf\n#" + b"#" * 5000,
        "spaces.pfm": b"Pf" + b" \n" * 5000,
        "digits.pfm": b"Pf " + b"9" * 5000 + b" 1 -1 ",
        "colour.pfm": b"PF\n1 2\n-1\n" + np.arange(1, 7, dtype="<f4").tobytes(),
        "another.pfm": b"P6 1 1 255 abc",
        "nan.pfm": b"Pf\n2 3\n-1\n" + np.full(6, np.nan, "<f4").tobytes(),
        "comments.pfm": b"Pf" + b" #\n" * 300 + b"x",
    }
    found = [Case(what, what, content, "depth") for what, content in files.items()]
    odd = {"scale 0.pfm": b"Pf\n2 3\n0\n" + pixels, "scale big.pfm": b"Pf\n2 3\n1e999\n" + pixels}
    return found + [Case(what, what, content, "depth", EITHER) for what, content in odd.items()]


def _tiffs():
    def grey(bits, kind, body, more=()):
        tags = [(256, 4, [4]), (257, 4, [4]), (258, 3, [bits]), (259, 3, [1]), (262, 3, [1])]
        tags += [(273, 4, [8]), (277, 3, [1]), (278, 4, [4]), (279, 4, [len(body)])]
        return tiff_of([*tags, (339, 3, [kind]), *more], body)

    floats = np.full(16, 2, "<f4").tobytes()
    bomb = zlib.compress(bytes(300 << 20), 9)
    squeezed = [(256, 4, [4]), (257, 4, [4]), (258, 3, [32]), (259, 3, [8]), (262, 3, [1])]
    squeezed += [(273, 4, [8]), (277, 3, [1]), (278, 4, [4]), (279, 4, [len(bomb)])]
    files = {
        "negative.tif": (grey(32, 2, np.full(16, -5, "<i4").tobytes()), REFUSED),
        "complex.tif": (grey(64, 6, bytes(128)), REFUSED),
        "complex int.tif": (grey(32, 5, bytes(64)), REFUSED),
        "nan.tif": (grey(32, 3, np.full(16, np.nan, "<f4").tobytes()), REFUSED),
        "infinite.tif": (grey(32, 3, np.full(16, -np.inf, "<f4").tobytes()), REFUSED),
        "odd nodata.tif": (grey(32, 3, floats, [(42113, 2, list(b"-1e999\0"))]), VALUE),
        "text nodata.tif": (grey(32, 3, floats, [(42113, 2, list(b"\xff\xfe\0"))]), VALUE),
        "all nodata.tif": (grey(32, 3, floats, [(42113, 2, list(b"2\0"))]), REFUSED),
        "predictor 7.tif": (grey(32, 3, floats, [(317, 3, [7])]), EITHER),
        "bomb.tif": (tiff_of([*squeezed, (339, 3, [3])], bomb), REFUSED),
        "orientation 0.tif": (grey(32, 3, floats, [(274, 3, [0])]), VALUE),
        "no strips.tif": (
            tiff_of([(256, 4, [4]), (257, 4, [4]), (258, 3, [8])], bytes(16)),
            REFUSED,
        ),
        "no directory.tif": (b"II*\0\xff\xff\xff\xff", REFUSED),
        "four bytes.tif": (b"II*\0", REFUSED),
        "huge bigtiff.tif": (b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63), REFUSED),
        "byte nodata.tif": (grey(8, 1, bytes(range(16)), [(42113, 2, list(b"300\0"))]), VALUE),
        "nan nodata.tif": (grey(16, 1, bytes(range(32)), [(42113, 2, list(b"nan\0"))]), VALUE),
    }
    return [Case(what, what, content, "depth", want) for what, (content, want) in files.items()]


def _exr(channels, **head):
    import OpenEXR

    known = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.exr"
        OpenEXR.File(known | head, dict(channels)).write(str(path))
        return path.read_bytes()


def _tiled():
    import OpenEXR

    return {"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()}


def _exrs():
    ones = np.ones((4, 5), np.float32)
    deep_json = "[" * 50_000
    z = {"Z": METRES}
    files = {
        "nan.exr": (_exr({"Z": ones * np.nan}), REFUSED),
        "zeros.exr": (_exr({"Z": ones * 0}), REFUSED),
        "negative.exr": (_exr({"Z": -ones}), REFUSED),
        "whole numbers.exr": (_exr({"Z": np.full((4, 5), 3, np.uint32)}), EITHER),
        "infinite half.exr": (_exr({"Z": np.full((4, 5), np.inf, np.float16)}), EITHER),
        "no depth.exr": (_exr({"RGB": np.random.default_rng(0).random((4, 5, 3), "f")}), REFUSED),
        "metric word.exr": (_exr(z, **{"bokehdepth.metric": "perhaps"}), REFUSED),
        "metric number.exr": (_exr(z, **{"bokehdepth.metric": "7"}), REFUSED),
        "metric text.exr": (_exr(z, **{"bokehdepth.metric": '"false"'}), REFUSED),
        "metric deep.exr": (_exr(z, **{"bokehdepth.metric": deep_json}), REFUSED),
        "camera deep.exr": (_exr(z, **{"bokehdepth.intrinsics": deep_json}), REFUSED),
        "camera word.exr": (_exr(z, **{"bokehdepth.intrinsics": '{"a": 1}'}), REFUSED),
        "camera 1.exr": (_exr(z, **{"bokehdepth.intrinsics": "[1]"}), REFUSED),
        "camera nan.exr": (_exr(z, **{"bokehdepth.intrinsics": "[NaN, 1, 0, 0]"}), REFUSED),
        "tiles.exr": (_exr(z, **_tiled()), VALUE),
        "many channels.exr": (_exr({f"c{at}": ones for at in range(300)}), REFUSED),
    }
    return [Case(what, what, content, "depth", want) for what, (content, want) in files.items()]


def _png(values=MILLIMETRES, **texts):
    info, packed = PngInfo(), io.BytesIO()
    for key, text in texts.items():
        info.add_text(f"bokehdepth.{key}", text)
    Image.fromarray(values).save(packed, "PNG", pnginfo=info)
    return packed.getvalue()


def _pngs():
    metres = {"quantity": "depth"}
    words = ("", "nan", "inf", "-1", "0", "1e400", "1,5", "0x10", "one", "9" * 3000)
    files = {f"scale {word[:9]}.png": _png(**metres, scale=word) for word in words}
    files["scale missing.png"] = _png(**metres)
    cameras = ("[" * 100_000, "null", "[[1]]", '{"a": 1}', "[NaN, 1, 0, 0]", "[[0,0,0]]*3", '"a"')
    for at, word in enumerate(cameras):
        files[f"camera {at}.png"] = _png(**metres, scale="0.001", intrinsics=word)
    files["colour.png"] = png_bytes(np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8))
    files["one colour.png"] = png_bytes(np.full((9, 9, 3), (200, 10, 10), np.uint8))
    files["clear.png"] = png_bytes(np.zeros((9, 9, 4), np.uint8))
    files["metres of 8 bits.png"] = _png((MILLIMETRES // 256).astype(np.uint8), **metres, scale="1")
    files["huge.png"] = png(100_000, 100_000, 16, 0, pixels=bytes(64))
    files["huge deep.png"] = png(100_000, 100_000, 16, 2, pixels=bytes(64))
    files["cut.png"] = png_bytes(MILLIMETRES)[:60]
    return [Case(what, what, content, "depth") for what, content in files.items()]


def _good(deep):
    pfm = b"Pf\n9 8\n-1\n" + np.flipud(_MAP).astype("<f4").tobytes()
    levels = np.tile(np.arange(1, 13, dtype=np.uint8) * 20, (9, 1))
    files = {
        "a.npy": (_npy(_MAP), REFUSED, VALUE),
        "a.npz": (_npz(depth=_MAP), REFUSED, EITHER),
        "a.pfm": (pfm, REFUSED, VALUE),
        "a.tif": (tiff(METRES, "<"), REFUSED, VALUE),
        "big-endian.tif": (tiff(METRES, ">"), REFUSED, VALUE),
        "z.exr": (_exr({"Z": METRES}), REFUSED, VALUE),
        "a.png": (_png(quantity="depth", scale="0.001"), REFUSED, VALUE),
        "gdepth.jpg": (plain_xmp(gdepth_xmp(levels)), REFUSED, VALUE),
    }
    cases = []
    for name, (content, cut, tail) in files.items():
        cases += mutations(name, name, content, "depth", cut, tail, deep)
    return cases


def _others():
    kinds = {
        "ply": b"ply\nformat ascii 1.0\nend_header\n",
        "json": json.dumps({"depth": [[1, 2]]}).encode(),
        "deep json": b"[" * 1_000_000,
        "bzip2": bz2.compress(b"depth"),
        "text": b"1 2 3\n4 5 6\n",
        "nothing": b"",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    }
    suffixes = ("npz", "npy", "pfm", "exr", "tif", "png", "heic", "jpg", "mat", "txt")
    return [
        Case(f"{kind} as {suffix}", f"a.{suffix}", content, "depth")
        for kind, content in kinds.items()
        for suffix in suffixes
    ]


def cases(deep=False):
    """Return the hostile depth files."""
    return [
        *(*_good(deep), *_numpy_files(), *_archives(), *_pfms(), *_tiffs(), *_exrs()),
        *(*_pngs(), *portraits(), *iphone(deep), *_others()),
    ]
