"""Hostile pictures: every kind that is read, damaged; declared sizes; bombs; other kinds; names."""

import io
import struct
import zlib

import numpy as np
from hostile_case import EITHER, REFUSED, VALUE, Case, mutations, png, tiff_of
from PIL import Image, features

_SIZE = (14, 10)  # px, width and height
_NOISE = np.random.default_rng(0).integers(0, 255, (*_SIZE[::-1], 3), np.uint8)
_HUGE = 100_000


def _saved(kind, picture=None, **options):
    packed = io.BytesIO()
    picture = Image.fromarray(_NOISE) if picture is None else picture
    picture.save(packed, kind, **options)
    return packed.getvalue()


def _shape(size=_SIZE):
    def check(found):
        assert tuple(found.shape) == (size[1], size[0], 3), found.shape

    return check


def _moving(kind):
    frames = [Image.fromarray(np.roll(_NOISE, step, 1)) for step in range(3)]
    return _saved(kind, frames[0], save_all=True, append_images=frames[1:])


def _deep(channels):
    rows = np.random.default_rng(1).integers(0, 65535, (4, 5 * channels)).astype(">u2")
    return b"".join(b"\0" + row.tobytes() for row in rows)


def _exr(**head):
    import tempfile
    from pathlib import Path

    import OpenEXR

    channels = {name: _NOISE[..., at].astype(np.float32) / 255 for at, name in enumerate("RGB")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.exr"
        OpenEXR.File({"type": OpenEXR.scanlineimage, **head}, channels).write(str(path))
        return path.read_bytes()


def _kinds():
    """Return (name, bytes, what a cut gives) of a good file of each kind."""
    grey, rgb = Image.fromarray(_NOISE[..., 0]), Image.fromarray(_NOISE)
    radiance = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 10 +X 14\n" + bytes(range(140)) * 4
    kinds = [
        ("a.png", _saved("PNG"), REFUSED),
        ("palette.png", _saved("PNG", rgb.quantize(16)), REFUSED),
        ("deep.png", png(5, 4, 16, 2, pixels=_deep(3)), REFUSED),
        ("moving.png", _moving("PNG"), EITHER),
        ("a.jpg", _saved("JPEG"), REFUSED),
        ("progressive.jpg", _saved("JPEG", progressive=True), REFUSED),
        ("cmyk.jpg", _saved("JPEG", rgb.convert("CMYK")), REFUSED),
        ("a.tif", _saved("TIFF"), REFUSED),
        ("lzw.tif", _saved("TIFF", compression="tiff_lzw"), REFUSED),
        ("deflate.tif", _saved("TIFF", compression="tiff_adobe_deflate"), REFUSED),
        ("float.tif", _saved("TIFF", Image.fromarray(_NOISE[..., 0] / np.float32(9))), REFUSED),
        ("a.webp", _saved("WEBP"), REFUSED),
        ("moving.webp", _moving("WEBP"), REFUSED),
        ("a.gif", _saved("GIF", grey), EITHER),
        ("moving.gif", _moving("GIF"), EITHER),
        ("a.bmp", _saved("BMP"), REFUSED),
        ("a.tga", _saved("TGA"), REFUSED),
        ("a.pcx", _saved("PCX"), EITHER),
        ("a.sgi", _saved("SGI"), REFUSED),
        ("a.ppm", _saved("PPM"), REFUSED),
        ("a.ico", _saved("ICO", sizes=[_SIZE]), REFUSED),
        ("a.hdr", radiance, REFUSED),
        ("a.exr", _exr(), REFUSED),
    ]
    if features.check("jpg_2000"):
        kinds.append(("a.jp2", _saved("JPEG2000"), EITHER))
    if features.check("avif"):
        kinds.append(("a.avif", _saved("AVIF"), REFUSED))
    try:
        import pillow_heif
    except ImportError:
        return kinds
    packed = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(np.tile(_NOISE, (7, 5, 1)))).save(packed)
    return [*kinds, ("a.heic", packed.getvalue(), REFUSED)]


def _declared():
    """Return files that declare what they do not hold."""
    tall = struct.pack(">HHB", 65535, 65535, 3)
    jpeg = _saved("JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    size_of_tiff = [(256, 4, [_HUGE]), (257, 4, [_HUGE]), (258, 3, [8] * 3), (259, 3, [1])]
    size_of_tiff += [(262, 3, [2]), (273, 4, [8]), (277, 3, [3]), (279, 4, [64])]
    gif = bytearray(_saved("GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    webp = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\xff" * 2
    exr = _exr()
    window = exr.index(b"dataWindow\0box2i\0") + 21
    display = exr.index(b"displayWindow\0box2i\0") + 24

    def box(one, two=None):
        changed = bytearray(exr)
        changed[window : window + 16] = struct.pack("<4i", *one)
        changed[display : display + 16] = struct.pack("<4i", *(two or one))
        return bytes(changed)

    bmp = bytearray(_saved("BMP"))
    bmp[18:26] = struct.pack("<ii", _HUGE, _HUGE)
    tga = bytearray(_saved("TGA"))
    tga[12:16] = struct.pack("<HH", 65535, 65535)
    found = {
        "png of no width.png": png(0, 5, 8, 2, pixels=b""),
        "huge.png": png(_HUGE, _HUGE, 8, 2, pixels=bytes(64)),
        "huge deep.png": png(_HUGE, _HUGE, 16, 2, pixels=bytes(64)),
        "endless.png": png(2**31 - 1, 2**31 - 1, 16, 6, pixels=bytes(64)),
        "seven bits.png": png(5, 5, 7, 2, pixels=bytes(99)),
        "kind 5.png": png(5, 5, 8, 5, pixels=bytes(99)),
        "no pixels.png": png(5, 5, 8, 2),
        "no pixels deep.png": png(5, 5, 16, 2),
        "few pixels deep.png": png(50, 50, 16, 2, pixels=bytes(99)),
        "long chunk.png": png(5, 5, 16, 2)[:33] + b"\x7f\xff\xff\xffIDAT" + bytes(30),
        "huge.jpg": jpeg[:at] + tall + jpeg[at + 5 :],
        "almost huge.jpg": jpeg[:at] + struct.pack(">HH", 2700, 65500) + jpeg[at + 4 :],
        "long.jpg": jpeg[:at] + struct.pack(">HH", 1, 65535) + jpeg[at + 4 :],
        "huge.tif": tiff_of(size_of_tiff, bytes(64)),
        "huge.gif": bytes(gif),
        "huge.webp": b"RIFF" + struct.pack("<I", 22) + b"WEBP" + webp,
        "huge.bmp": bytes(bmp),
        "huge.tga": bytes(tga),
        "huge.ppm": b"P6\n100000 100000\n255\n" + bytes(64),
        "top 0.pgm": b"P5\n2 2\n0\n" + bytes(4),
        "top 99999.pgm": b"P5\n2 2\n99999\n" + bytes(8),
        "negative.ppm": b"P6\n-2 -2\n255\n" + bytes(12),
        "huge.psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30000, 30000, 8, 3),
        "huge.hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 100000 +X 100000\n" + bytes(9),
        "none.hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 0 +X 0\n",
        "xyze.hdr": b"#?RADIANCE\nFORMAT=32-bit_what\n\n-Y 1 +X 1\n" + bytes(4),
        "runs.hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 9\n\2\2\0\x09" + b"\xff\1" * 9,
        "huge.exr": box((0, 0, _HUGE, _HUGE)),
        "huge display.exr": box((0, 0, 13, 9), (0, 0, _HUGE, _HUGE)),
        "tall.exr": box((0, 0, 0, 100_000_000)),
        "empty.exr": box((5, 5, 4, 4)),
        "extreme.exr": box((-(2**31), -(2**31), 2**31 - 1, 2**31 - 1)),
        "head only.exr": exr[:8],
    }
    cases = [Case(what, what, content, "picture") for what, content in found.items()]
    nowhere = _exr(chromaticities=(float("nan"),) * 8)  # taken as none
    return [*cases, Case("colours nowhere", "a.exr", nowhere, "picture", VALUE)]


def _tiffs():
    """Return TIFF files with tags that do not fit together."""

    def grey(bits=(8,), kind=1, more=(), body=bytes(64), photometric=1):
        tags = [(256, 4, [4]), (257, 4, [4]), (258, 3, list(bits)), (262, 3, [photometric])]
        tags += [(273, 4, [8]), (277, 3, [len(bits)]), (278, 4, [4]), (279, 4, [64])]
        known = {tag[0] for tag in more}
        tags = [tag for tag in [*tags, (259, 3, [1]), (339, 3, [kind])] if tag[0] not in known]
        return tiff_of([*tags, *more], body)

    itself = bytearray(grey())
    itself[-4:] = itself[4:8]
    tiles = [(256, 4, [4]), (257, 4, [4]), (258, 3, [8]), (259, 3, [1]), (262, 3, [1])]
    tiles += [(277, 3, [1]), (322, 4, [2**31]), (323, 4, [2**31]), (324, 4, [8]), (325, 4, [64])]
    loop = bytearray(grey())
    loop[-4:] = struct.pack("<I", 8 + 64)
    nan = np.full(16, np.nan, "<f4").tobytes()
    found = {
        "loop.tif": (bytes(loop), EITHER),
        "itself.tif": (bytes(itself), VALUE),
        "itself within.tif": (grey(more=[(330, 4, [72]), (34665, 4, [72])]), VALUE),
        "huge tiles.tif": (tiff_of(tiles, bytes(64)), REFUSED),
        "white fax.tif": (grey((1,), more=[(259, 3, [4]), (256, 4, [6000])]), EITHER),
        "three bits.tif": (grey((3,)), EITHER),
        "no strip.tif": (grey(more=[(273, 4, [2**31])]), REFUSED),
        "endless strip.tif": (grey(more=[(279, 4, [2**32 - 1])]), EITHER),
        "no rows.tif": (grey(more=[(278, 4, [0])]), EITHER),
        "tiles of 0.tif": (grey(more=[(322, 3, [0]), (323, 3, [0]), (324, 4, [8])]), EITHER),
        "predictor 9.tif": (grey((16,), more=[(317, 3, [9])]), EITHER),
        "complex.tif": (grey((64,), 6, body=bytes(128)), REFUSED),
        "int32.tif": (grey((32,), 2), EITHER),
        "nan.tif": (grey((32,), 3, body=nan), REFUSED),
        "half.tif": (grey((16, 16, 16), 3, body=bytes(96), photometric=2), EITHER),
        "many samples.tif": (grey([8] * 300, body=bytes(4800)), REFUSED),
        "orientation 77.tif": (grey(more=[(274, 3, [77])]), VALUE),
        "endless count.tif": (grey()[:-4] + bytes(4), VALUE),
        "jpeg without tables.tif": (grey(more=[(259, 3, [7])]), REFUSED),
        "deflate bomb.tif": (_bomb_tiff(), REFUSED),
    }
    return [Case(what, what, content, "picture", want) for what, (content, want) in found.items()]


def _bomb_tiff():
    """Return a TIFF of 4 x 4 px whose only strip unpacks to 200 MB, 16 bits in three channels."""
    body = zlib.compress(bytes(200 << 20), 9)
    tags = [(256, 4, [4]), (257, 4, [4]), (258, 3, [16] * 3), (259, 3, [8]), (262, 3, [2])]
    tags += [(273, 4, [8]), (277, 3, [3]), (278, 4, [2]), (279, 4, [len(body)])]
    return tiff_of(tags, body)


def _chunks():
    """Return PNG files with hostile chunks before good pixels."""
    rows, deep = b"".join(b"\0" + row.tobytes() for row in _NOISE), _deep(3)
    zipped = zlib.compress(bytes(100 << 20), 9)
    found = {
        "profile bomb": (b"iCCP", b"a\0\0" + zipped),
        "profile of nothing": (b"iCCP", b"a\0\0" + zlib.compress(b"")),
        "profile of rubbish": (b"iCCP", b"a\0\0" + zlib.compress(b"acsp" * 99)),
        "gamma 0": (b"gAMA", bytes(4)),
        "short gamma": (b"gAMA", b"\1"),
        "white at 0": (b"cHRM", bytes(32)),
        "unknown code": (b"cICP", b"\xff\xff\xff\xff"),
        "short code": (b"cICP", b"\1"),
        "exif of rubbish": (b"eXIf", b"II*\0\xff\xff\xff\xff"),
    }
    cases = []
    for what, chunk in found.items():
        flat = png(*_SIZE, 8, 2, chunk, pixels=rows)
        cases.append(Case(f"png, {what}", "a.png", flat, "picture", EITHER))
        tall = png(5, 4, 16, 2, chunk, pixels=deep)
        cases.append(Case(f"deep png, {what}", "a.png", tall, "picture", EITHER))
    texts = png(*_SIZE, 8, 2, (b"zTXt", b"a\0\0" + zipped), pixels=rows)
    cases.append(Case("png, text bomb", "a.png", texts, "picture", EITHER))
    for name, head in ((b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0"), (b"eXIf", b"II*\0")):
        many = png(*_SIZE, 8, 2, *[(name, head + zipped)] * 30, pixels=rows)
        cases.append(Case(f"png, thirty of {name}", "a.png", many, "picture", EITHER))
    long = png(*_SIZE, 8, 2, pixels=rows + bytes(200 << 20))
    cases.append(Case("png, pixels bomb", "a.png", long, "picture", EITHER))
    long = png(5, 4, 16, 2, pixels=deep + bytes(200 << 20))
    return [*cases, Case("deep png, pixels bomb", "a.png", long, "picture", EITHER)]


def _other_kinds():
    """Return files of kinds that are not opened, under names of pictures and their own."""
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{ } loop\n"
    kinds = {
        "eps": postscript,
        "dos eps": b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(postscript)) + bytes(20),
        "dds": b"DDS " + struct.pack("<7I", 124, 0x1007, _HUGE, _HUGE, 4, 0, 1) + bytes(96),
        "fits": b"SIMPLE  =                    T".ljust(2880),
        "pdf": b"%PDF-1.7\n%\xe2\xe3\n1 0 obj\n<< /Type /Catalog >>\n",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "wmf": b"\xd7\xcd\xc6\x9a" + bytes(60),
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(60),
        "mpeg": b"\0\0\1\xb3" + bytes(60),
        "xpm": b'/* XPM */\nstatic char *a[] = {"2 2 1 1", "a c #000000", "aa", "aa"};\n',
        "m3u": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "ffconcat": b"ffconcat version 1.0\nfile 'a.png'\n",
        "html": b"<!doctype html><title>404</title>",
        "zip": b"PK\x03\x04" + bytes(60),
        "elf": b"\x7fELF" + bytes(60),
        "nothing": b"",
        "one byte": b"\x89",
        "zeros": bytes(4096),
        "text": b"not a picture\n" * 50,
    }
    return [
        Case(f"{kind} as {file}", file, content, "picture")
        for kind, content in kinds.items()
        for file in ("a.png", "a.jpg")
    ]


def _names():
    """Return good deep pictures under names that decoders could take for something else."""
    deep, other = png(5, 4, 16, 2, pixels=_deep(3)), _shape((5, 4))
    names = ("white%d.png", "%03d.png", "concat:a.png", "file:a.png", "pipe:0.png", "http:a.png",
             "-i.png", "a|b.png", "@a.png", "a*.png", "[1].png", "ünï 图.png", "a'b.png",
             "a" * 240 + ".png", "noending", ".png", "a.png.exe", "a b .png")  # fmt: skip
    return [Case(f"name {name[:20]}", name, deep, "picture", VALUE, check=other) for name in names]


def cases(deep=False):
    """Return the hostile pictures."""
    found = []
    for name, content, cut in _kinds():
        found += mutations(name, name, content, "picture", cut, EITHER, deep)
    return [*found, *_declared(), *_tiffs(), *_chunks(), *_other_kinds(), *_names()]
