"""Depth written into a copy of a JPEG photo, as phones carry it: Google's GDepth in its XMP.

Everything else of the photo is kept byte by byte: EXIF, colour profile, coded picture, and what
lies behind it. Only an earlier GDepth is replaced.
"""

import base64
import hashlib
import io
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from torch import Tensor

from ....checks import check_image
from ....datatypes import DepthMap
from ...pictures.images import quantize
from ...pictures.opening import open_image
from ..pictures import turned
from ..units import FAR_FLOAT
from .xmp import APP1, EXTENDED_XMP, XMP, jpeg_packets, segments

JPEG_SUFFIXES = (".jpg", ".jpeg")
_SOI = b"\xff\xd8\xff"
_APP0, _APP2 = 0xE0, 0xE2
_LONGEST = 65533  # bytes of a segment behind marker and length
_PIECE = 65400  # bytes of extended XMP in a segment; its own head takes 75
_TOP = 65535
_SKY = 10 * FAR_FLOAT  # m; written as Far where there is sky, and read as sky again
_ASPECT = 0.02  # share by which the shapes of photo and depth may differ
_ORIENTATION = 0x0112  # EXIF 2.32
_GDEPTH = "http://ns.google.com/photos/1.0/depthmap/"
_NOTE = "http://ns.adobe.com/xmp/note/"
_TEXTS = "urn:bokehdepth:texts"
_EMPTY = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF></x:xmpmeta>'
)


def portrait_bytes(
    depth: DepthMap,
    image: Tensor | None = None,
    photo: str | Path | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return a JPEG that carries depth.

    The depth is a 16-bit PNG of RangeInverse: half a step is 1/131070 of the range of 1/depth. Sky
    stays sky. Without metres it is written without a unit. The camera matrix has no place in GDepth
    and is left out.

    Args:
        depth: one map, [1,H,W], upright.
        image: [h,w,3] or [1,h,w,3], sRGB, 0…1; encoded as JPEG where no `photo` is given.
        photo: a JPEG file, whose copy carries the depth.
        metadata: texts by name, kept in the XMP too.

    Raises:
        FileNotFoundError: no such photo.
        ValueError: no photo, one that is no JPEG, or one of another shape than the depth.

    Reference:
        Google, Depthmap Metadata: properties and encoding. Adobe, XMP Specification Part 3, 1.1.3:
        the plain packet, and the extended one in pieces under its MD5.

    >>> import torch
    >>> grey = torch.full((1, 4, 6, 3), 0.5)
    >>> portrait_bytes(DepthMap(torch.full((1, 4, 6), 2.0)), grey)[:3].hex()
    'ffd8ff'
    """
    content, orientation, size = _photo_of(image, photo)
    height, width = depth.depth.shape[1:]
    if abs(width * size[0] / (height * size[1]) - 1) > _ASPECT:
        raise ValueError(
            f"photo: {size[0]}x{size[1]} for a depth map of {height}x{width}. "
            "Give the photo that the depth is of."
        )
    small, large = _properties(depth, orientation)
    return _with_depth(content, small, large, metadata or {})


def is_jpeg(path: Path) -> bool:
    """Return whether a file is a JPEG by its first bytes.

    Raises:
        FileNotFoundError: no such file.
    """
    with path.open("rb") as file:
        return file.read(3) == _SOI


def _photo_of(image: Tensor | None, photo: str | Path | None) -> tuple[bytes, int, tuple[int, int]]:
    """Return a JPEG's bytes, its EXIF orientation and its upright (height, width)."""
    if photo is None:
        if image is None:
            raise ValueError(
                "image: a .jpg that carries depth needs the photo. Give it, or write .exr."
            )
        picture = image[0] if image.ndim == 4 and image.shape[0] == 1 else image
        sizes = check_image(picture, pattern="H W 3")
        return _as_jpeg(picture), 1, (sizes["H"], sizes["W"])
    source = Path(photo)
    with open_image(source) as opened:
        if opened.format not in ("JPEG", "MPO"):
            raise ValueError(
                f"{source.name}: depth can be written into a JPEG, this is {opened.format}. "
                "Give a JPEG, or give the picture itself as `image`."
            )
        orientation, (width, height) = opened.getexif().get(_ORIENTATION, 1), opened.size
    size = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    return source.read_bytes(), orientation, size


def _as_jpeg(picture: Tensor) -> bytes:
    from PIL import Image

    packed = io.BytesIO()
    Image.fromarray(quantize(picture, 8)).save(packed, "JPEG", quality=95, subsampling=0)
    return packed.getvalue()


# --- depth as GDepth ----------------------------------------------------------------------------


def _properties(depth: DepthMap, orientation: int) -> tuple[dict[str, str], dict[str, str]]:
    """Return GDepth's properties: those of the plain packet, and the pictures of the extended."""
    metres = depth.depth[0].detach().cpu().double().numpy()
    near, far, share = range_inverse(metres, 1.0 if not depth.metric else None)
    back = {6: 8, 8: 6}.get(orientation, orientation)  # the turn that undoes the photo's
    small = {"Format": "RangeInverse", "Near": repr(near), "Far": repr(far), "Mime": "image/png"}
    if depth.metric:
        small |= {"Units": "m", "MeasureType": "OpticalAxis"}
    large = {"Data": _as_png(turned((share * _TOP).round().astype(np.uint16), back))}
    if depth.confidence is not None:
        small["ConfidenceMime"] = "image/png"
        sure = depth.confidence[0].detach().cpu().clamp(0, 1).numpy()
        large["Confidence"] = _as_png(turned((sure * _TOP).round().astype(np.uint16), back))
    return small, large


def range_inverse(metres: np.ndarray, near: float | None = None) -> tuple[float, float, np.ndarray]:
    """Return near, far and the shares 0…1 of depth [H,W] between them; 0 is near.

    Args:
        metres: > 0; infinity is sky, which makes far so large that it is read as sky again.
        near: the depth of share 0 where it is not the nearest of all.

    Reference:
        Google, Depthmap Metadata, RangeInverse: d_n = far (d − near) / (d (far − near)).

    >>> near, far, share = range_inverse(np.array([[1.0, 2.0], [4.0, 1.0]]))
    >>> near, far, share.round(3).tolist()
    (1.0, 4.0, [[0.0, 0.667], [1.0, 0.0]])
    """
    seen = metres[metres < FAR_FLOAT]
    low = min(float(seen.min()) if seen.size else 1.0, np.inf if near is None else near)
    far = _SKY if seen.size < metres.size else float(seen.max())
    if far <= low:  # a plane; any other far does
        far = 2 * low
    inverse = np.reciprocal(np.minimum(metres, far))
    return low, far, ((1 / low - inverse) / (1 / low - 1 / far)).clip(0, 1)


def _as_png(steps: np.ndarray) -> str:
    from PIL import Image

    packed = io.BytesIO()
    Image.fromarray(steps).save(packed, "PNG")
    return base64.b64encode(packed.getvalue()).decode("ascii")


# --- XMP in the file ----------------------------------------------------------------------------


def _with_depth(
    content: bytes, small: dict[str, str], large: dict[str, str], metadata: Mapping[str, str]
) -> bytes:
    """Return a JPEG with its XMP replaced by one that says the depth too."""
    plain, extended = (_without_depth(one) or _EMPTY for one in jpeg_packets(content))
    extended = _described(extended, _GDEPTH, "GDepth", large)
    if metadata:
        extended = _described(extended, _TEXTS, "bokehdepth", metadata)
    packed = extended.encode("utf-8", "replace")
    guid = hashlib.md5(packed, usedforsecurity=False).hexdigest().upper()  # as the XMP says
    plain = _described(plain, _GDEPTH, "GDepth", small)
    plain = _described(plain, _NOTE, "xmpNote", {"HasExtendedXMP": guid})
    body = XMP + plain.encode("utf-8", "replace")
    if len(body) > _LONGEST:
        raise ValueError(
            f"photo: its XMP leaves no room for depth ({len(body)} of {_LONGEST} bytes). "
            "Remove its editing history, or give another copy."
        )
    pieces = [_segment(body)]
    for start in range(0, len(packed), _PIECE):
        head = guid.encode("ascii") + struct.pack(">II", len(packed), start)
        pieces.append(_segment(EXTENDED_XMP + head + packed[start : start + _PIECE]))
    return _replaced(content, b"".join(pieces))


def _segment(body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, APP1, len(body) + 2) + body


def _replaced(content: bytes, packets: bytes) -> bytes:
    """Return a JPEG with other XMP segments; everything else stays, byte by byte.

    They stand behind JFIF and EXIF. In front of a multi-picture index (CIPA DC-007), whose offsets
    count from itself, bytes may come and go; behind it old XMP is blanked and keeps its length.
    """
    kept, at, place, indexed = [], 2, 2, False
    for marker, start, end in segments(content):
        body = content[start + 4 : end]
        indexed |= marker == _APP2 and body.startswith(b"MPF\0")
        if marker == APP1 and body.startswith((XMP, EXTENDED_XMP)):
            kept.append(content[at:start])
            if indexed:
                kept.append(content[start : start + 4] + bytes(len(body)))
            at = end
        elif marker == _APP0 or (marker == APP1 and body.startswith(b"Exif\0")):
            place = end if place == start else place
    rest = b"".join([*kept, content[at:]])
    return content[:2] + rest[: place - 2] + packets + rest[place - 2 :]


def _without_depth(packet: str) -> str:
    """Return an XMP packet without GDepth's properties, its pointer to an extension and padding."""
    for name in (r"GDepth:\w+", "xmpNote:HasExtendedXMP", r"bokehdepth:\w+"):
        packet = re.sub(rf"""\s{name}\s*=\s*(?:"[^"]*"|'[^']*')""", "", packet)
        packet = re.sub(rf"<({name})(?:\s[^>]*)?(?:/>|>[^<]*</\1>)", "", packet)
    empty = r"""<rdf:Description rdf:about=""(?:\s+xmlns:\w+="[^"]*")*\s*/>"""
    return re.sub(r"\s+(?=<\?xpacket end)", "\n", re.sub(empty, "", packet))


def _described(packet: str, space: str, prefix: str, values: Mapping[str, str]) -> str:
    """Return an XMP packet with one more description.

    Raises:
        ValueError: it has no place for one.
    """
    end = packet.rfind("</rdf:RDF>")
    if end < 0:
        raise ValueError("photo: its XMP is damaged or of an unknown form. Give a copy without it.")
    said = "".join(
        f"\n {prefix}:{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}={quoteattr(text)}"
        for name, text in values.items()
    )
    own = f'<rdf:Description rdf:about="" xmlns:{prefix}="{space}"{said}/>'
    return f"{packet[:end]}{own}{packet[end:]}"
