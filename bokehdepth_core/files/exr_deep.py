"""How much a deep EXR file unpacks to, read from its chunks before anything is allocated.

A pixel of a deep file is a list of samples of any length, so its header does not tell its size.
Each chunk of lines says how many bytes its samples unpack to, and OpenEXR refuses a chunk whose
samples disagree with that. `deep_bytes` adds them up.
"""

from collections.abc import Mapping, Sequence
from typing import IO, Any

from .exr_headers import MULTI_PART, numbers, skip_header


def deep_bytes(file: IO[bytes], headers: Sequence[Mapping[str, Any]]) -> int:
    """Return the bytes that the samples of all deep parts unpack to.

    Args:
        file: an open EXR file.
        headers: of all its parts, as OpenEXR's package gives them.

    Raises:
        ValueError: the file ends early, or its tables of chunks do not fit into it.

    Reference:
        OpenEXR File Layout, openexr.com: headers, offset tables, and deep chunks, which begin with
        their place and three sizes: packed sample counts, packed samples, unpacked samples.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import OpenEXR
        >>> lists = np.empty((1, 2), object)
        >>> lists[0, 1] = np.ones(3, "f")
        >>> head = {"type": OpenEXR.deepscanline, "compression": OpenEXR.ZIPS_COMPRESSION}
        >>> path = tempfile.mkdtemp() + "/a.exr"
        >>> OpenEXR.File(head, {"Z": lists}).write(path)
        >>> header = dict(OpenEXR.File(path, header_only=True).parts[0].header)
        >>> with open(path, "rb") as file:
        ...     deep_bytes(file, [header])
        12
    """
    room = file.seek(0, 2)
    file.seek(4)
    several = bool(numbers(file, "<I")[0] & MULTI_PART)
    for _ in headers:
        skip_header(file)
    if several:
        file.seek(1, 1)  # an empty header ends them
    total = 0
    for header in headers:
        kind = str(header.get("type", "")).lower()
        if "deep" not in kind and not several:
            break
        count = int(header.get("chunkCount", 0))
        if not 0 <= count * 8 <= room:
            raise ValueError(f"its table of {count} chunks does not fit into it")
        offsets = numbers(file, f"<{count}Q")
        if "deep" in kind:
            total += _unpacked(file, offsets, room, "tile" in kind, several)
    return total


def _unpacked(
    file: IO[bytes], offsets: Sequence[int], room: int, tiled: bool, several: bool
) -> int:
    """Return the sum of what chunks unpack to; the place in the file stays."""
    place, total = file.tell(), 0
    head = 4 * several + (16 if tiled else 4)  # number of the part; tile and level, or line
    for offset in offsets:
        if offset > room:
            raise ValueError("its chunks lie behind its end")
        file.seek(offset + head)
        total += numbers(file, "<3Q")[2]
    file.seek(place)
    return total
