"""An HEIC photo with a depth picture, as an iPhone writes it; no library at hand writes one.

pillow-heif writes two pictures; the boxes that make the second the depth of the first are added
(ISO/IEC 23008-12: `auxl` reference, `auxC` property), and what its greys mean lies behind.
"""

import io
import struct

from PIL import Image

DISPARITY = b"urn:mpeg:hevc:2015:auxid:2\0"


def write(path, photo, levels, packet):
    """Write a photo with a depth picture of 8 bits and the XMP packet that describes it."""
    import pillow_heif

    both = pillow_heif.from_pillow(photo)
    both.add_from_pillow(Image.fromarray(levels))
    packed = io.BytesIO()
    both.save(packed, quality=-1)  # lossless
    path.write_bytes(_with_depth(packed.getvalue()) + _box(b"free", packet.encode()))


def _box(kind, body):
    return struct.pack(">I", 8 + len(body)) + kind + body


def _boxes(body):
    """Return kind and content of each box in a row."""
    found = []
    while body:
        (size,) = struct.unpack(">I", body[:4])
        found.append((body[4:8], body[8:size]))
        body = body[size:]
    return found


def _with_depth(content):
    """Return the file with its second picture as the depth of its first."""
    parts = dict(_boxes(content))
    first, second = _item_numbers(parts[b"meta"])
    grown = _meta(parts[b"meta"], first, second, 0)
    meta = _meta(parts[b"meta"], first, second, len(grown) - len(parts[b"meta"]))
    return b"".join(_box(kind, meta if kind == b"meta" else body) for kind, body in _boxes(content))


def _item_numbers(meta):
    body = dict(_boxes(meta[4:]))[b"iloc"]
    count = struct.unpack(">H", body[6:8])[0]
    assert count == 2, "two pictures without metadata"
    return [struct.unpack(">H", body[at : at + 2])[0] for at, _ in _entries(body)]


def _entries(iloc):
    """Return where each entry of an item location box begins, and where its offset stands."""
    assert (iloc[0], iloc[4], iloc[5] & 15) == (0, 0x44, 0), "version 0, 4 bytes an offset"
    skipped = 2 + 2 + (iloc[5] >> 4) + 2  # item, file, base, count of extents
    return [(at, at + skipped) for at in range(8, len(iloc), skipped + 8)]


def _meta(meta, first, second, shift):
    """Return the content of `meta` with depth and all pictures `shift` bytes further on."""
    made = []
    for kind, body in _boxes(meta[4:]):
        if kind == b"iloc":
            body = bytearray(body)
            for _, at in _entries(body):
                (offset,) = struct.unpack(">I", body[at : at + 4])
                body[at : at + 4] = struct.pack(">I", offset + shift)
        elif kind == b"iprp":
            body = _properties(body, second)
        made.append(_box(kind, bytes(body)))
    reference = _box(b"auxl", struct.pack(">HHH", second, 1, first))
    return meta[:4] + b"".join(made) + _box(b"iref", bytes(4) + reference)


def _properties(body, second):
    """Return the property boxes with that of a depth picture, given to the second picture."""
    parts = dict(_boxes(body))
    number = len(_boxes(parts[b"ipco"])) + 1
    properties = parts[b"ipco"] + _box(b"auxC", bytes(4) + DISPARITY)
    old = parts[b"ipma"]
    assert not old[3] & 1, "property numbers of one byte"
    at, entries = 8, []
    for _ in range(struct.unpack(">I", old[4:8])[0]):
        item, count = struct.unpack(">HB", old[at : at + 3])
        given = old[at + 3 : at + 3 + count]
        at += 3 + count
        if item == second:
            given += bytes([0x80 | number])
        entries.append(struct.pack(">HB", item, len(given)) + given)
    return _box(b"ipco", properties) + _box(b"ipma", old[:8] + b"".join(entries))
