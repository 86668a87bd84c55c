"""TIFF files with one number a pixel, of any width and byte order, which Pillow reads only in part.

Pillow refuses 64-bit and half floats and big-endian 32-bit integers, and swaps the bytes of
compressed big-endian files. Plain and deflated files are read here; the rest is left to Pillow.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..exr import MAX_PIXELS
from ..pictures.tiff import MOST_STRIPS

_TAGS = {  # TIFF 6.0 and its supplements
    **{256: "width", 257: "height", 258: "bits", 259: "compression", 262: "photometric"},
    **{273: "strips", 277: "samples", 278: "rows", 279: "counts", 317: "predictor"},
    **{322: "tile_width", 323: "tile_height", 324: "tiles", 325: "tile_counts"},
    **{339: "format", 42113: "nodata", 274: "orientation"},
}
_TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 16: "Q"}  # byte, text, short, long, long 8
_FORMATS = {1: "u", 2: "i", 3: "f"}  # SampleFormat
_PLAIN, _DEFLATE = 1, (8, 32946)
_PLACES = ("strips", "counts", "tiles", "tile_counts")


@dataclass(frozen=True, eq=False)
class TiffPlane:
    """The numbers of a TIFF file.

    Attributes:
        values: [H,W], as stored; not turned upright.
        nodata: the number that stands for "not measured", where GDAL wrote one.
        orientation: how they are turned, 1…8 as in EXIF.
    """

    values: np.ndarray
    nodata: float | None
    orientation: int


def is_tiff(source: Path) -> bool:
    """Return whether a file begins as TIFF or BigTIFF does."""
    with source.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff(source: Path) -> TiffPlane | None:
    """Return the first picture of a TIFF file; None where it is one for Pillow.

    Args:
        source: a TIFF or BigTIFF file of one sample a pixel, plain or deflated, in strips or
            tiles, with any predictor.

    Raises:
        ValueError: damaged, cut off, or declared larger than `MAX_PIXELS`.

    Reference:
        TIFF 6.0; Adobe Photoshop TIFF Technical Note 3 (floating-point predictor).
    """
    content = source.read_bytes()
    try:
        return _decode(source, content)
    except (struct.error, zlib.error, LookupError, OverflowError, TypeError) as error:
        raise ValueError(
            f"{source.name}: damaged or cut off ({error}). Export it again."
        ) from error


def _decode(source: Path, content: bytes) -> TiffPlane | None:
    order = "<" if content[:2] == b"II" else ">"
    tags = _read_tags(content, order)
    width, height = int(tags["width"][0]), int(tags["height"][0])
    bits, kind = int(tags.get("bits", [1])[0]), _FORMATS.get(int(tags.get("format", [1])[0]))
    compression, samples = int(tags.get("compression", [1])[0]), int(tags.get("samples", [1])[0])
    if samples != 1 or bits not in (8, 16, 32, 64) or kind is None or (kind, bits) == ("f", 8):
        return None
    if compression != _PLAIN and compression not in _DEFLATE:
        if order == ">" and bits > 8:
            raise ValueError(
                f"{source.name}: a big-endian TIFF with compression {compression}, which cannot "
                "be read. Save it without compression, or deflated."
            )
        return None
    if width * height > MAX_PIXELS or not width * height:
        raise ValueError(
            f"{source.name}: declares {width}x{height} px, more than "
            f"{MAX_PIXELS // 1_000_000} million pixels or none. Scale it down first."
        )
    dtype = np.dtype(f"{order}{kind}{bits // 8}")
    values = _assemble(content, tags, dtype, (height, width))
    if tags.get("photometric", [1])[0] == 0 and kind == "u":  # white is zero
        values = np.iinfo(dtype).max - values
    return TiffPlane(values, _nodata(tags), tags.get("orientation", [1])[0])


def _assemble(
    content: bytes, tags: dict[str, list[int]], dtype: np.dtype, size: tuple[int, int]
) -> np.ndarray:
    """Return all strips or tiles as one array [H,W]."""
    height, width = size
    tiled = "tiles" in tags
    block_width = tags["tile_width"][0] if tiled else width
    block_height = tags["tile_height"][0] if tiled else min(tags.get("rows", [height])[0], height)
    if not 0 < block_width * block_height <= MAX_PIXELS:
        raise struct.error(f"blocks of {block_width}x{block_height} px")
    offsets = tags["tiles" if tiled else "strips"]
    counts = tags["tile_counts" if tiled else "counts"]
    across = -(-width // block_width)
    if len(offsets) < across * -(-height // block_height) or len(counts) < len(offsets):
        raise struct.error("strips are missing")
    values = np.empty(size, dtype.newbyteorder("="))
    for index in range(across * -(-height // block_height)):
        top, left = index // across * block_height, index % across * block_width
        rows = block_height if tiled else min(block_height, height - top)
        block = content[offsets[index] : offsets[index] + counts[index]]
        wanted = rows * block_width * dtype.itemsize
        if tags.get("compression", [1])[0] != _PLAIN:
            block = zlib.decompressobj().decompress(block, wanted)
        if len(block) < wanted:
            raise struct.error("a strip is too short")
        plane = _undo_predictor(
            np.frombuffer(block[:wanted], np.uint8).reshape(rows, -1),
            dtype,
            tags.get("predictor", [1])[0],
        )
        shown = values[top : top + rows, left : left + block_width]
        shown[...] = plane[: shown.shape[0], : shown.shape[1]]
    return values


def _undo_predictor(rows: np.ndarray, dtype: np.dtype, predictor: int) -> np.ndarray:
    """Return numbers [h,w] of bytes [h,w·size]; 1 none, 2 differences, 3 differences of bytes."""
    if predictor == 3:
        summed = np.cumsum(rows, axis=1, dtype=np.uint8)
        planes = summed.reshape(len(rows), dtype.itemsize, -1)  # most significant bytes first
        return np.ascontiguousarray(planes.swapaxes(1, 2)).view(f">{dtype.kind}{dtype.itemsize}")[
            ..., 0
        ]
    numbers = np.ascontiguousarray(rows).view(dtype)
    if predictor != 2:
        return numbers
    steps = np.ascontiguousarray(rows).view(dtype.newbyteorder(dtype.byteorder))
    unsigned = steps.view(f"{dtype.str[0]}u{dtype.itemsize}").astype(f"=u{dtype.itemsize}")
    return np.cumsum(unsigned, axis=1, dtype=unsigned.dtype).view(f"={dtype.kind}{dtype.itemsize}")


def _read_tags(content: bytes, order: str) -> dict[str, list[int]]:
    """Return the tags of the first directory that matter here, by name."""
    big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
    start = struct.unpack_from(f"{order}Q" if big else f"{order}I", content, 8 if big else 4)[0]
    count = struct.unpack_from(f"{order}Q" if big else f"{order}H", content, start)[0]
    first, entry, inline = (start + 8, 20, 8) if big else (start + 2, 12, 4)
    tags: dict[str, list[int]] = {}
    for index in range(min(count, 4096)):
        at = first + index * entry
        code, kind = struct.unpack_from(f"{order}HH", content, at)
        number = struct.unpack_from(f"{order}Q" if big else f"{order}I", content, at + 4)[0]
        if code not in _TAGS or kind not in _TYPES:
            continue
        if number > MOST_STRIPS:
            if _TAGS[code] in _PLACES:
                raise struct.error(f"{number} strips or tiles, more than {MOST_STRIPS}")
            continue
        place = at + entry - inline
        if struct.calcsize(f"{order}{_TYPES[kind]}") * number > inline:
            place = struct.unpack_from(f"{order}Q" if big else f"{order}I", content, place)[0]
        tags[_TAGS[code]] = list(
            struct.unpack_from(f"{order}{number}{_TYPES[kind]}", content, place)
        )
    if "width" not in tags or "height" not in tags:
        raise struct.error("no size")
    return tags


def _nodata(tags: dict[str, list[int]]) -> float | None:
    try:
        return float(bytes(tags["nodata"]).rstrip(b"\0 ").decode("ascii"))
    except (KeyError, ValueError):
        return None
