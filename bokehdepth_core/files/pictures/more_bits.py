"""Pictures of more than 8 bits a channel that Pillow brings down to 8: HEIC, AVIF, JPEG 2000.

HEIC is decoded again with all its bits. For the others a warning says that 8 bits were kept.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_HEAD = 1 << 16  # bytes in which the boxes that tell the bits lie
_HIGH_BIT_DEPTH = 0x40  # AV1 in ISO BMFF, av1C: the flag in the byte behind profile and level
_log = logging.getLogger(__name__)


def decode_all_bits(image: "Image", source: Path) -> np.ndarray | None:
    """Return the pixels [H,W,C], 0…1, of a picture whose bits Pillow would drop; else None.

    Args:
        image: as Pillow opened it; it tells the kind.
        source: its file.
    """
    if image.format == "HEIF" and image.info.get("bit_depth", 8) > 8:
        return _decode_heif(source, int(image.info["bit_depth"]))
    if image.format in ("AVIF", "JPEG2000") and image.mode in ("L", "LA", "RGB", "RGBA"):
        with source.open("rb") as file:
            head = file.read(_HEAD)
        if stored_bits(head) > 8:
            _log.warning("%s: has more than 8 bits a channel; 8 are kept.", source.name)
    return None


def stored_bits(head: bytes) -> int:
    """Return the bits a channel of an AVIF or JPEG 2000, by its first bytes; 8 where not told.

    Reference:
        AV1 Codec ISO Media File Format Binding, 2.3.3 (av1C: more than 8 is told as 10 here);
        ITU-T T.800, I.5.3.1 (ihdr: bits less one) and A.5.1 (SIZ: the same).

    >>> stored_bits(b"ihdr" + bytes(10) + bytes([15, 7])), stored_bits(b"")
    (16, 8)
    """
    at = head.find(b"av1C")
    if at >= 0 and len(head) > at + 6:
        return 10 if head[at + 6] & _HIGH_BIT_DEPTH else 8
    at = head.find(b"ihdr")
    if at >= 0 and len(head) > at + 14:
        return (head[at + 14] & 0x7F) + 1
    if head.startswith(b"\xff\x4f\xff\x51") and len(head) > 42:
        return (head[42] & 0x7F) + 1
    return 8


def _decode_heif(source: Path, bits: int) -> np.ndarray:
    """Return an HEIC picture, upright as libheif turns it, [H,W,C], 0…1.

    Reference:
        pillow-heif, open_heif: with convert_hdr_to_8bit off, levels are shifted up to 16 bits.
    """
    from pillow_heif import open_heif

    with source.open("rb") as file:
        levels: np.ndarray = np.asarray(open_heif(file, convert_hdr_to_8bit=False))
    white = ((1 << bits) - 1) << (16 - bits)
    light: np.ndarray = levels.reshape(*levels.shape[:2], -1) / np.float32(white)
    return light.astype(np.float32)
