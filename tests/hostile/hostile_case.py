"""One hostile file: what it is called and holds, who reads it, and what must come of it."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

VALUE = "value"  # it is read, as what it says
REFUSED = "refused"  # in one line that names the file
EITHER = "either"  # a wrong byte among pixels cannot be noticed in every kind of file


@dataclass(frozen=True)
class Case:
    """A hostile file, or a folder of files.

    Attributes:
        what: what is wrong with it.
        file: its name.
        content: its bytes.
        reader: a key of `hostile_child.READERS`.
        wanted: VALUE, REFUSED or EITHER.
        says: a part of the message, where it is refused.
        check: takes what was read and asserts what is known of it.
        inside: files of a folder, by their path in it: bytes, the path that a link leads to, or
            None for a folder. `content` is then of no effect.
        named: what a message names in place of the file, as one in the folder.
    """

    what: str
    file: str
    content: bytes
    reader: str
    wanted: str = REFUSED
    says: str = ""
    check: Callable[[object], None] | None = None
    inside: dict[str, bytes | PurePosixPath | None] = field(default_factory=dict)
    named: str = ""


def mutations(kind, file, content, reader, cut=REFUSED, tail=VALUE, deep=False):
    """Return cases made of a good file: cut off, with bytes behind it, with wrong bytes.

    Args:
        kind: for the cases' names.
        file: name of the good file.
        content: its bytes.
        reader: as in `Case`.
        cut: what must come of a file that is cut in half.
        tail: what must come of a file with bytes behind its end.
        deep: many places in place of a few.
    """
    size = len(content)
    places = range(0, size, max(1, size // 40)) if deep else (size // 3, size // 2, size * 9 // 10)
    cuts = range(1, size, max(1, size // 40)) if deep else ()
    cases = [
        Case(f"{kind} as it is", file, content, reader, VALUE),
        Case(f"{kind} cut in half", file, content[: size // 2], reader, cut),
        Case(f"{kind} cut after 20 bytes", file, content[:20], reader),
        Case(f"{kind} with a tail", file, content + b"\0tail" * 50, reader, tail),
    ]
    # numbered, not named by the byte: old archives hold addresses, whose length differs by process
    cases += [
        Case(f"{kind} cut, {index}", file, content[:at], reader, EITHER)
        for index, at in enumerate(cuts)
    ]
    for index, at in enumerate(places):
        wrong = content[:at] + bytes(255 - one for one in content[at : at + 2]) + content[at + 2 :]
        cases.append(Case(f"{kind} with wrong bytes, {index}", file, wrong, reader, EITHER))
    return cases


def png_chunk(name, data):
    """Return a chunk of a PNG with its checksum."""
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def png(width, height, bits, kind, *chunks, pixels=None, interlaced=0):
    """Return a PNG whose head says what it likes; `pixels` are the unpacked rows."""
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    parts = [png_chunk(b"IHDR", head), *(png_chunk(*one) for one in chunks)]
    if pixels is not None:
        parts.append(png_chunk(b"IDAT", zlib.compress(pixels)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + png_chunk(b"IEND", b"")


def tiff_of(tags, body=b"", order="<"):
    """Return a TIFF with these tags: (number, type, values), the body at byte 8."""
    sizes = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 11: "f", 12: "d", 16: "Q"}
    entries, far = b"", b""
    start = 8 + len(body)
    behind = start + 2 + 12 * len(tags) + 4
    for number, kind, values in sorted(tags):
        packed = struct.pack(f"{order}{len(values)}{sizes[kind]}", *values)
        count = len(values) // (2 if kind == 5 else 1)
        if len(packed) > 4:
            place = struct.pack(f"{order}I", behind + len(far))
            far += packed
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", number, kind, count) + place
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    return head + body + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + far
