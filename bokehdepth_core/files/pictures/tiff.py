"""What Pillow leaves out of TIFF: 16 bits and floating point in several channels.

Pillow's libtiff unpacks any compression, but Pillow knows few kinds of pixels. So a deep file is
shown to it as one of plain bytes: the same strips under a new directory (`_as_bytes`), and the
numbers are put together here.
"""

import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Literal

import numpy as np

from ..exr import MAX_PIXELS

# TIFF 6.0 and its supplements: tag numbers.
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_SIZES, _PLANAR, _PREDICTOR = (
    273,
    277,
    278,
    279,
    284,
    317,
)
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_SIZES = 322, 323, 324, 325
_ORIENTATION, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _PROFILE = 274, 338, 339, 34675
_LETTERS = {1: "B", 3: "H", 4: "I", 7: "B", 8: "h", 9: "i", 16: "Q"}  # whole numbers by type
_UNSIGNED, _FLOAT = 1, 3  # SampleFormat
_HORIZONTAL, _FLOATING = 2, 3  # Predictor
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK = 0, 1, 2, 5  # PhotometricInterpretation
_ASSOCIATED = 1  # ExtraSamples: alpha that the colours are multiplied with
_UNPACKED = (1, 5, 8, 32773, 32946, 34925, 50000)  # raw, LZW, deflate, PackBits, LZMA, Zstd
_MOST_ENTRIES = 1 << 22  # bytes of a profile
MOST_STRIPS = 1 << 18  # or tiles: Pillow takes 5 s and 200 MB for a million of them

Tags = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class DeepTiff:
    """The first picture of a TIFF file.

    Attributes:
        pixels: [H,W,C], uint16, uint32, float16, float32 or float64.
        ink: True where the four first channels are CMYK.
        white_is_zero: True where 0 is white.
        extra: what stands beyond the colours: None, or TIFF's number for the kind of alpha.
    """

    pixels: np.ndarray
    ink: bool
    white_is_zero: bool
    extra: int | None


def read_tags(file: IO[bytes]) -> Tags:
    """Return the numbers in the first directory of an open TIFF; empty for other files.

    Raises:
        ValueError: more strips or tiles than `MOST_STRIPS`.
        OSError: damaged.

    Reference:
        TIFF 6.0, section 2; BigTIFF, Aware Systems.
    """
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 16:
        return {}
    (version,) = struct.unpack_from(order + "H", head, 2)
    if version not in (42, 43):
        return {}
    big = version == 43
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    file.seek(at)
    (count,) = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))
    if count > 4096:
        raise OSError(f"{count} entries in its directory")
    size = 20 if big else 12
    entries = file.read(size * count)
    return dict(
        _entry(file, entries[i : i + size], order, big) for i in range(0, len(entries), size)
    )


def _entry(file: IO[bytes], entry: bytes, order: str, big: bool) -> tuple[int, tuple[int, ...]]:
    tag, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), entry)
    letter = _LETTERS.get(kind)
    if tag in (_STRIP_OFFSETS, _STRIP_SIZES, _TILE_OFFSETS, _TILE_SIZES) and count > MOST_STRIPS:
        raise ValueError(f"is in {count} strips or tiles. Save it in larger ones.")
    if letter is None or count > _MOST_ENTRIES:
        return tag, ()
    value = entry[12:] if big else entry[8:]
    length = count * struct.calcsize(letter)
    if length > len(value):
        (at,) = struct.unpack_from(order + ("Q" if big else "I"), value)
        file.seek(at)
        value = file.read(length)
    return tag, struct.unpack_from(f"{order}{count}{letter}", value)


def is_deep(tags: Tags) -> bool:
    """Return whether a TIFF holds numbers that Pillow would cut or refuse."""
    bits, kinds = tags.get(_BITS, (1,)), tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))
    known = _first(tags, _PHOTOMETRIC, -1) in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK)
    deep = kinds[:1] == (_FLOAT,) or (kinds[:1] == (_UNSIGNED,) and bits[:1] == (16,))
    return known and deep and len(set(bits)) == 1


def orientation(tags: Tags) -> int:
    """Return how the stored picture is to be turned, as EXIF counts it; 1 is upright."""
    return _first(tags, _ORIENTATION, 1)


def profile(tags: Tags) -> bytes | None:
    """Return the ICC profile in a directory; None where there is none."""
    return bytes(tags[_PROFILE]) if tags.get(_PROFILE) else None


def _first(tags: Tags, tag: int, default: int) -> int:
    values = tags.get(tag, ())
    return values[0] if values else default


def decode_deep(file: IO[bytes], tags: Tags) -> DeepTiff:
    """Return the pixels of an open TIFF that `is_deep`.

    Raises:
        ValueError: a kind of TIFF that is not read, or one that is too large.
        OSError: damaged or cut off.
    """
    height, width = _first(tags, _HEIGHT, 0), _first(tags, _WIDTH, 0)
    if not 0 < height * width <= MAX_PIXELS:
        raise ValueError(
            f"declares {width}x{height} px, more than {MAX_PIXELS // 1_000_000} million pixels. "
            "Scale it down first."
        )
    if _first(tags, _COMPRESSION, 1) not in _UNPACKED:
        raise ValueError("is compressed in an unusual way. Save it with LZW or ZIP, or as PNG.")
    dtype = _dtype(tags)
    samples = _first(tags, _SAMPLES, 1)
    apart = _first(tags, _PLANAR, 1) == 2
    data = _source(file)
    if apart:
        planes = [_decode_plane(data, tags, dtype, 1, index, samples) for index in range(samples)]
        pixels = np.concatenate(planes, axis=2)
    else:
        pixels = _decode_plane(data, tags, dtype, samples, 0, 1)
    photometric = _first(tags, _PHOTOMETRIC, _BLACK_IS_ZERO)
    colours = {_RGB: 3, _CMYK: 4}.get(photometric, 1)
    if samples < colours:
        raise OSError(f"{samples} channels for {colours} colours")
    kinds = tags.get(_EXTRA_SAMPLES, ())
    extra = kinds[0] if samples > colours and kinds and kinds[0] in (1, 2) else None
    kept = colours + (extra is not None)
    return DeepTiff(pixels[..., :kept], photometric == _CMYK, photometric == _WHITE_IS_ZERO, extra)


def is_associated(extra: int) -> bool:
    """Return whether alpha of this kind is multiplied into the colours already."""
    return extra == _ASSOCIATED


def _dtype(tags: Tags) -> np.dtype:
    bits, kind = tags[_BITS][0], _first(tags, _SAMPLE_FORMAT, _UNSIGNED)
    letter = {_UNSIGNED: "u", _FLOAT: "f"}.get(kind)
    if letter is None or (letter == "u" and bits not in (8, 16, 32)) or bits not in (8, 16, 32, 64):
        raise ValueError(f"holds numbers of {bits} bits of an unusual kind. Save it in 16 bits.")
    return np.dtype(f"{letter}{bits // 8}")


def _source(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _decode_plane(
    data: bytes, tags: Tags, dtype: np.dtype, samples: int, plane: int, planes: int
) -> np.ndarray:
    """Return [H,W,samples] of one plane, in the machine's byte order."""
    from PIL import Image

    height, width = _first(tags, _HEIGHT, 0), _first(tags, _WIDTH, 0)
    order: Literal["<", ">"] = "<" if data[:2] == b"II" else ">"
    shown = io.BytesIO(_as_bytes(data, tags, dtype.itemsize * samples, plane, planes))
    with Image.open(shown, formats=["TIFF"]) as image:
        found = np.asarray(image)
    rows = np.ascontiguousarray(found).reshape(height, width, samples * dtype.itemsize)
    predictor = _first(tags, _PREDICTOR, 1)
    if predictor == _FLOATING:
        return _undo_floating(rows, tags, dtype, samples)
    pixels = rows.view(dtype.newbyteorder(order)).astype(dtype)
    if predictor == _HORIZONTAL:
        step = _first(tags, _TILE_WIDTH, width)
        for start in range(0, width, step):
            block = pixels[:, start : start + step]
            np.cumsum(block, axis=1, dtype=dtype, out=block)
    return np.asarray(pixels)


def _undo_floating(rows: np.ndarray, tags: Tags, dtype: np.dtype, samples: int) -> np.ndarray:
    """Return floats of predictor 3: byte planes, highest first, each byte a difference.

    Reference:
        Adobe Photoshop TIFF Technical Note 3.
    """
    height, width = rows.shape[:2]
    step = _first(tags, _TILE_WIDTH, width)
    size = dtype.itemsize
    out = np.empty((height, width, samples), dtype)
    for start in range(0, width, step):
        block = rows[:, start : start + step]
        count = block.shape[1] * samples
        if start + step > width:
            raise ValueError("is tiled in an unusual way. Save it in strips.")
        flat = block.reshape(height, count * size)
        summed = flat.reshape(height, -1, samples).cumsum(axis=1, dtype=np.uint8)
        planes = summed.reshape(height, size, count).transpose(0, 2, 1)
        values = np.ascontiguousarray(planes).view(dtype.newbyteorder(">"))
        out[:, start : start + step] = values.reshape(height, -1, samples)
    return out


def _as_bytes(data: bytes, tags: Tags, pixel_bytes: int, plane: int, planes: int) -> bytes:
    """Return the file with a directory that calls every pixel `pixel_bytes` plain bytes.

    Only the sizes along a row change, so strips and tiles stay where they are. Bytes in three or
    four channels count as fewer pixels for Pillow, which refuses pictures of too many.
    """
    channels = next(count for count in (3, 4, 1) if pixel_bytes % count == 0)
    wider = pixel_bytes // channels
    new: dict[int, tuple[str, tuple[int, ...]]] = {
        _WIDTH: ("I", (_first(tags, _WIDTH, 0) * wider,)),
        _HEIGHT: ("I", (_first(tags, _HEIGHT, 0),)),
        _BITS: ("H", (8,) * channels),
        _COMPRESSION: ("H", (_first(tags, _COMPRESSION, 1),)),
        _PHOTOMETRIC: ("H", ({1: _BLACK_IS_ZERO, 3: _RGB, 4: _CMYK}[channels],)),
        _SAMPLES: ("H", (channels,)),
        _PLANAR: ("H", (1,)),
    }
    tiled = _TILE_OFFSETS in tags
    where, sizes = (_TILE_OFFSETS, _TILE_SIZES) if tiled else (_STRIP_OFFSETS, _STRIP_SIZES)
    for tag in (where, sizes):
        values = tags.get(tag, ())
        if not values or len(values) % planes:
            raise OSError("no table of its pixels")
        part = len(values) // planes
        new[tag] = ("I", values[plane * part : (plane + 1) * part])
    if tiled:
        new[_TILE_WIDTH] = ("I", (_first(tags, _TILE_WIDTH, 0) * wider,))
        new[_TILE_HEIGHT] = ("I", (_first(tags, _TILE_HEIGHT, 0),))
    else:
        rows = min(_first(tags, _ROWS_PER_STRIP, 2**31), _first(tags, _HEIGHT, 0))
        new[_ROWS_PER_STRIP] = ("I", (rows,))
    order = "<" if data[:2] == b"II" else ">"
    if max(max(values) for _, values in new.values()) >= 2**32 or len(data) >= 2**32 - 2**24:
        raise ValueError("is larger than 4 GiB. Save it in strips, compressed.")
    head = struct.pack(order + "2sHI", data[:2], 42, len(data) + len(data) % 2)
    shown = head + data[8:] + b"\0" * (len(data) % 2)
    return shown + _directory(new, order, len(shown))


def _directory(entries: Mapping[int, tuple[str, tuple[int, ...]]], order: str, at: int) -> bytes:
    """Return a TIFF directory that will stand at an offset, with the values that follow it."""
    codes = {"H": 3, "I": 4, "s": 7}
    rows, values = b"", b""
    after = at + 2 + 12 * len(entries) + 4
    for tag in sorted(entries):
        letter, numbers = entries[tag]
        if letter == "s":
            content, count = bytes(numbers), len(numbers)
        else:
            content, count = struct.pack(f"{order}{len(numbers)}{letter}", *numbers), len(numbers)
        if len(content) <= 4:
            field = content.ljust(4, b"\0")
        else:
            field = struct.pack(order + "I", after + len(values))
            values += content + b"\0" * (len(content) % 2)
        rows += struct.pack(order + "HHI", tag, codes[letter], count) + field
    return struct.pack(order + "H", len(entries)) + rows + b"\0\0\0\0" + values


def encode_deep(pixels: np.ndarray, profile: bytes | None = None) -> bytes:
    """Return a TIFF of 16-bit or float32 pixels [H,W,3] or [H,W,4], packed with deflate.

    Args:
        pixels: uint16 or float32; a fourth channel is alpha: multiplied into floats, not into
            integers, as both are usual.
        profile: ICC profile to embed.
    """
    height, width, channels = pixels.shape
    floating = pixels.dtype.kind == "f"
    packed = zlib.compress(pixels.astype(pixels.dtype.newbyteorder("<")).tobytes())
    packed += b"\0" * (len(packed) % 2)
    entries: dict[int, tuple[str, tuple[int, ...]]] = {
        _WIDTH: ("I", (width,)),
        _HEIGHT: ("I", (height,)),
        _BITS: ("H", (8 * pixels.dtype.itemsize,) * channels),
        _COMPRESSION: ("H", (8,)),
        _PHOTOMETRIC: ("H", (_RGB,)),
        _STRIP_OFFSETS: ("I", (8,)),
        _SAMPLES: ("H", (channels,)),
        _ROWS_PER_STRIP: ("I", (height,)),
        _STRIP_SIZES: ("I", (len(packed),)),
        _PLANAR: ("H", (1,)),
        _SAMPLE_FORMAT: ("H", (_FLOAT if floating else _UNSIGNED,) * channels),
    }
    if channels == 4:
        entries[_EXTRA_SAMPLES] = ("H", (_ASSOCIATED if floating else 2,))
    if profile:
        entries[_PROFILE] = ("s", tuple(profile))
    at = 8 + len(packed)
    return struct.pack("<2sHI", b"II", 42, at) + packed + _directory(entries, "<", at)
