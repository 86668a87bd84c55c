"""PFM files: plain float32 rows, bottom row first, in either byte order."""

import re
from pathlib import Path

import numpy as np

from ..exr import MAX_PIXELS
from .raw import RawDepth, likely_quantity

_HEAD = re.compile(rb"(P[fF])\s+(?:#[^\n]*\n\s*)*(\d{1,9})\s+(\d{1,9})\s+([-+0-9.eE]{1,32})\s")


def read_pfm(source: Path) -> RawDepth:
    """Return the numbers of a PFM file; infinity there means "not measured".

    Raises:
        ValueError: no PFM head, cut off, too large, or three channels that differ.

    Reference:
        P. Debevec, PFM: ``Pf`` (grey) or ``PF`` (colour), width, height, a scale whose sign tells
        the byte order (negative: little end first). Infinity as unknown: Middlebury stereo 2014.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.pfm"
        >>> _ = path.write_bytes(b"Pf 2 1 -1.0 " + np.array([1, 2], "<f4").tobytes())
        >>> read_pfm(path).values.tolist()
        [[1.0, 2.0]]
    """
    with source.open("rb") as file:
        head = _HEAD.match(file.read(1024))
        if head is None:
            raise ValueError(f"{source.name}: damaged PFM file (no size). Save it again.")
        width, height = int(head[2]), int(head[3])
        channels = 3 if head[1] == b"PF" else 1
        count = width * height * channels
        if not count or width * height > MAX_PIXELS:
            raise ValueError(
                f"{source.name}: declares {width}x{height} px, more than "
                f"{MAX_PIXELS // 1_000_000} million pixels or none. Scale it down first."
            )
        size, start = source.stat().st_size, head.end()
        if head[0].endswith(b"\r") and size == start + 1 + 4 * count:
            start += 1  # lines that end as on Windows
        if size < start + 4 * count:
            raise ValueError(f"{source.name}: damaged PFM file (cut off). Save it again.")
        try:
            order = "<f4" if float(head[4]) < 0 else ">f4"
        except ValueError:
            raise ValueError(
                f"{source.name}: damaged PFM file (its scale). Save it again."
            ) from None
        file.seek(start)
        numbers = np.fromfile(file, order, count)
    planes = numbers.reshape(height, width, channels)[::-1]
    if channels == 3 and not (planes == planes[..., :1]).all():
        raise ValueError(
            f"{source.name}: a colour PFM, its channels differ. Give a grey one, with depth."
        )
    return RawDepth(
        planes[..., 0].astype(np.float32),
        likely=likely_quantity(source.stem),
        infinity_is_hole=True,
    )
