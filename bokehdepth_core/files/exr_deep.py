"""How much a deep EXR file unpacks to, read from its chunks before anything is allocated.

A pixel of a deep file is a list of samples of any length, so its header does not tell its size.
Each chunk of lines says how many bytes its samples unpack to, and OpenEXR refuses a chunk whose
samples disagree with that. `deep_bytes` adds them up.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import IO, Any

_MULTI_PART = 1 << 12  # bit of the version field
_MOST_TEXT = 256  # bytes of an attribute's name or type, with its end


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
    several = bool(_numbers(file, "<I")[0] & _MULTI_PART)
    for _ in headers:
        _skip_header(file)
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
        offsets = _numbers(file, f"<{count}Q")
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
        total += _numbers(file, "<3Q")[2]
    file.seek(place)
    return total


def _skip_header(file: IO[bytes]) -> None:
    """Move behind a header: attributes of name, type, size and value, and an empty name."""
    while _text(file):
        _text(file)
        (size,) = _numbers(file, "<i")
        if size < 0:
            raise ValueError("an attribute has a negative size")
        file.seek(size, 1)


def _text(file: IO[bytes]) -> bytes:
    """Return a text that a zero byte ends."""
    place = file.tell()
    text, end, _ = file.read(_MOST_TEXT).partition(b"\0")
    if not end:
        raise ValueError("its header ends early")
    file.seek(place + len(text) + 1)
    return text


def _numbers(file: IO[bytes], form: str) -> tuple[int, ...]:
    size = struct.calcsize(form)
    content = file.read(size)
    if len(content) < size:
        raise ValueError("it ends early")
    return struct.unpack(form, content)
