"""XMP packets of photos, as text: the plain and the extended packet of a JPEG, and its values."""

import html
import math
import re
import struct
from collections.abc import Iterator

XMP = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
APP1 = 0xE1
_SCAN, _END = 0xDA, 0xD9


def jpeg_xmp(content: bytes) -> str:
    """Return the XMP of a JPEG's first image, its extension put together behind it.

    Args:
        content: the file.
    """
    return "".join(jpeg_packets(content))


def jpeg_packets(content: bytes) -> tuple[str, str]:
    """Return the plain XMP packet of a JPEG's first image and its extension, put together.

    Args:
        content: the file.

    Reference:
        XMP Specification Part 3, 1.1.3: a GUID of 32 characters, the full length and the offset
        of each piece, all in APP1 segments.
    """
    plain = ""
    pieces: dict[bytes, dict[int, bytes]] = {}
    for marker, start, end in segments(content):
        body = content[start + 4 : end]
        if marker != APP1:
            continue
        if body.startswith(XMP):
            plain += body[len(XMP) :].decode("utf-8", "replace")
        elif body.startswith(EXTENDED_XMP):
            head = body[len(EXTENDED_XMP) :]
            guid, offset = head[:32], struct.unpack(">I", head[36:40].ljust(4, b"\0"))[0]
            pieces.setdefault(guid, {})[offset] = head[40:]
    extended = ""
    for guid, parts in pieces.items():
        if guid.decode("latin-1") in plain or len(pieces) == 1:
            extended += b"".join(parts[at] for at in sorted(parts)).decode("utf-8", "replace")
    return plain, extended


def segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of a JPEG's segments before the coded picture.

    >>> list(segments(bytes.fromhex("ffd8 ffe1 0004 abcd ffda")))
    [(225, 2, 8)]
    """
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in (_SCAN, _END):
            return
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        length = struct.unpack_from(">H", content, at + 2)[0]
        yield marker, at, at + 2 + length
        at += 2 + max(length, 2)


def xmp_text(xmp: str, name: str) -> str | None:
    """Return a property, as attribute or element, such as ``GDepth:Near``; None where absent.

    >>> xmp_text('<a GDepth:Near="0.5"/>', "GDepth:Near")
    '0.5'
    >>> xmp_text("<apdi:Kind>disparity</apdi:Kind>", "apdi:Kind")
    'disparity'
    """
    quoted = re.escape(name)
    found = re.search(rf"""\b{quoted}\s*=\s*(?:"([^"]*)"|'([^']*)')""", xmp) or re.search(
        rf"<{quoted}(?:\s[^>]*)?>([^<]*)</", xmp
    )
    if found is None:
        return None
    return html.unescape(next(group for group in found.groups() if group is not None)).strip()


def xmp_number(xmp: str, name: str) -> float | None:
    """Return a property as a finite number; None where it is absent or none.

    >>> xmp_number('<a GDepth:Near="0.5" GDepth:Far="nan"/>', "GDepth:Far")
    """
    try:
        number = float(xmp_text(xmp, name) or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def xmp_list(xmp: str, name: str) -> list[float]:
    """Return the numbers of a sequence such as ``depthData:IntrinsicMatrix``."""
    found = re.search(rf"<{re.escape(name)}>(.*?)</{re.escape(name)}>", xmp, re.DOTALL)
    if found is None:
        return []
    try:
        return [float(one) for one in re.findall(r"<rdf:li[^>]*>([^<]*)</rdf:li>", found[1])]
    except ValueError:
        return []


def packets(content: bytes) -> list[str]:
    """Return every XMP packet that lies plainly in a file (HEIC items, appended JPEG images)."""
    return [
        found.decode("utf-8", "replace")
        for found in re.findall(rb"<x:xmpmeta\b.*?</x:xmpmeta>", content, re.DOTALL)
    ]
