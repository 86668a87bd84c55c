"""Hostile photos with depth inside: XMP in JPEG, and HEIC."""

import base64
import io
import struct
import tempfile
from pathlib import Path

import numpy as np
from depth_files import HEIGHT, WIDTH, gdepth_xmp, photo, xmp
from hostile_case import EITHER, Case, mutations, png

_PEAK = "ns.adobe.com/xmp"


def _jpeg_with(*packets):
    packed = io.BytesIO()
    photo().save(packed, "JPEG")
    content = packed.getvalue()
    segments = b"".join(
        b"\xff\xe1" + struct.pack(">H", 2 + len(packet)) + packet for packet in packets
    )
    return content[:2] + segments + content[2:]


def plain_xmp(text):
    return _jpeg_with(b"http://ns.adobe.com/xap/1.0/\0" + text.encode())


def _extended(identity, total, *parts):
    head = b"http://ns.adobe.com/xmp/extension/\0" + identity
    pointer = xmp("xmpNote", "http://ns.adobe.com/xmp/note/", {"HasExtendedXMP": identity.decode()})
    first = b"http://ns.adobe.com/xap/1.0/\0" + pointer.encode()
    return _jpeg_with(first, *[head + struct.pack(">II", total, at) + one for at, one in parts])


def portraits():
    levels = np.tile(np.arange(1, 13, dtype=np.uint8) * 20, (9, 1))
    good = gdepth_xmp(levels)
    laughs = "".join(
        f'<!ENTITY l{at} "{f"&l{at - 1};" * 10}">' for at in range(1, 30)
    )  # each ten times the one before
    entities = f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]>' + good.replace("RangeLinear", "&l29;")
    outside = good.replace("<x:xmpmeta", '<!DOCTYPE a SYSTEM "file:///etc/passwd"><x:xmpmeta', 1)
    huge = base64.b64encode(png(60_000, 60_000, 8, 0, pixels=bytes(64))).decode()
    eps = base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n").decode()
    identity = b"A" * 32
    lies = {
        "data cut": gdepth_xmp(levels, Data="iVBORw0K"),
        "data no base64": gdepth_xmp(levels, Data="(((("),
        "data huge": gdepth_xmp(levels, Data=huge),
        "data postscript": gdepth_xmp(levels, Data=eps),
        "near nan": gdepth_xmp(levels, Near="nan"),
        "near 0": gdepth_xmp(levels, Near="0", Format="RangeInverse"),
        "far infinite": gdepth_xmp(levels, Far="inf"),
        "far below near": gdepth_xmp(levels, Near="9", Far="1"),
        "negative": gdepth_xmp(levels, Near="-9", Far="-1"),
        "huge range": gdepth_xmp(levels, Near="1e-300", Far="1e300"),
        "unknown format": gdepth_xmp(levels, Format="RangeCubic"),
        "unknown unit": gdepth_xmp(levels, Units="parsecs"),
        "words": gdepth_xmp(levels, Near="near", Far="far"),
    }
    found = [
        Case(f"gdepth, {what}", "a.jpg", plain_xmp(text), "depth", EITHER)
        for what, text in lies.items()
    ]
    odd = {
        "entities": plain_xmp(entities),
        "document outside": plain_xmp(outside),
        "deep": plain_xmp("<a>" * 15_000),
        "extension of 4 GB": _extended(identity, 2**32 - 1, (0, b"<x:xmpmeta/>")),
        "extension far away": _extended(identity, 100, (2**32 - 9, b"abc")),
        "extension overlapping": _extended(identity, 10, (0, b"0123456789"), (5, b"0123456789")),
        "extension missing": _extended(identity, 10),
        "segment too long": _jpeg_with()[:2] + b"\xff\xe1\xff\xffhttp://ns.adobe.com/xap/1.0/\0",
        "segment too short": _jpeg_with()[:2] + b"\xff\xe1\0\0" + _jpeg_with()[2:],
        "attributes": plain_xmp("<a " + " ".join(f'b{at}="1"' for at in range(5000)) + "/>"),
        "quotes": plain_xmp("GDepth:Data=" * 5000),
    }
    found += [
        Case(f"jpeg, {what}", "a.jpg", content, "depth", EITHER) for what, content in odd.items()
    ]
    items = (
        '<Container:Item Item:Mime="image/jpeg" Item:Length="99999999999" Item:Semantic="Depth" '
        'Item:DataURI="android/depthmap"/>'
    )
    for length in ("99999999999", "-5", "nan", "1e30", ""):
        text = xmp(
            "Container",
            "http://ns.google.com/photos/dd/1.0/container/",
            {},
            f"<Container:Directory><rdf:Seq>{items.replace('99999999999', length)}</rdf:Seq>"
            "</Container:Directory>",
        )
        found.append(
            Case(f"dynamic depth of {length} bytes", "a.jpg", plain_xmp(text), "depth", EITHER)
        )
    return found


def iphone(deep):
    try:
        import heic_portrait
        import pillow_heif  # noqa: F401
    except ImportError:
        return []
    from depth_files import iphone_packet

    levels = (np.tile(np.linspace(0, 1, WIDTH), (HEIGHT, 1)) * 255).astype(np.uint8)
    picture = photo().resize((2 * WIDTH, 2 * HEIGHT))
    cases = []

    def written(packet):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.heic"
            heic_portrait.write(path, picture, levels, packet)
            return path.read_bytes()

    good = written(iphone_packet())
    cases += mutations("iphone", "a.heic", good, "depth", tail=EITHER, deep=deep)
    lies = {
        "range of words": ("<apdi:FloatMaxValue>2<", "<apdi:FloatMaxValue>two<"),
        "range of nan": ("<apdi:FloatMaxValue>2<", "<apdi:FloatMaxValue>nan<"),
        "range of 1e400": ("<apdi:FloatMaxValue>2<", "<apdi:FloatMaxValue>1e400<"),
        "range turned": ("<apdi:FloatMinValue>0.25<", "<apdi:FloatMinValue>9<"),
        "range negative": ("<apdi:FloatMinValue>0.25<", "<apdi:FloatMinValue>-9<"),
        "camera of words": ("<rdf:li>360</rdf:li>", "<rdf:li>x</rdf:li>"),
        "camera of nan": ("<rdf:li>360</rdf:li>", "<rdf:li>nan</rdf:li>"),
        "camera of 0": ("<rdf:li>360</rdf:li>", "<rdf:li>0</rdf:li>"),
        "camera width 0": ("ReferenceWidth>360<", "ReferenceWidth>0<"),
        "camera width nan": ("ReferenceWidth>360<", "ReferenceWidth>nan<"),
    }
    for what, (old, new) in lies.items():
        content = written(iphone_packet().replace(old, new))
        cases.append(Case(f"iphone, {what}", "a.heic", content, "depth", EITHER))
    return cases
