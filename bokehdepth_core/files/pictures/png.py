"""What Pillow leaves out of PNG: 16 bits a channel, and the chunks that say what colours mean."""

import io
import struct
import zlib
from fractions import Fraction
from typing import IO

import numpy as np

from .profiles.rgb_spaces import P3_D65, P3_DCI, REC601_525, REC601_625, REC709, REC2020, Primaries
from .profiles.transfer import KNOWN_TRANSFERS, Transfer, gamma_transfer, named_transfer

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
MOST_CHUNKS = 65_536  # beside the pixels': a million of them take Pillow 2 s
_LARGEST_CHUNK = 1 << 24  # bytes; profiles of printers are a few million
_LARGEST_PROFILE = 1 << 25
_SRGB_GAMMA = 45455  # PNG specification, 11.3.2.2: what writers of sRGB put into gAMA
_UNSPECIFIED = 2  # ITU-T H.273
# ITU-T H.273, ColourPrimaries.
_CICP_PRIMARIES = {
    1: REC709,
    5: REC601_625,
    6: REC601_525,
    7: REC601_525,
    9: REC2020,
    11: P3_DCI,
    12: P3_D65,
}


def colour_chunks(file: IO[bytes]) -> dict[bytes, bytes]:
    """Return the chunks of an open PNG that tell about its colours, by their names.

    The file is read from its start up to the pixels; other kinds of file give none.

    Reference:
        PNG specification, third edition, 5.3 and 11.3.2.
    """
    file.seek(0)
    found: dict[bytes, bytes] = {}
    if file.read(8) != SIGNATURE:
        return found
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"IDAT" or length > _LARGEST_CHUNK:
            break
        if name in (*_COLOUR_CHUNKS, b"IHDR"):
            found.setdefault(name, file.read(length))
            file.seek(4, io.SEEK_CUR)
        else:
            file.seek(length + 4, io.SEEK_CUR)
    return found


def check_chunks(file: IO[bytes]) -> None:
    """Refuse an open PNG with more than `MOST_CHUNKS` beside its pixels; go to the file's start.

    Raises:
        ValueError: it has more.
    """
    file.seek(0)
    count, name = 0, b""
    if file.read(8) == SIGNATURE:
        while name != b"IEND" and len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            count += name != b"IDAT"
            if count > MOST_CHUNKS:
                raise ValueError(f"holds more than {MOST_CHUNKS} chunks. Export it again.")
            file.seek(length + 4, io.SEEK_CUR)
    file.seek(0)


def embedded_profile(chunks: dict[bytes, bytes]) -> bytes | None:
    """Return the ICC profile in the chunks of a PNG; None where there is none or cICP goes first.

    A damaged one comes back as it is found, for the reader of profiles to refuse.
    """
    data = chunks.get(b"iCCP")
    if data is None or b"cICP" in chunks:
        return None
    _, _, rest = data.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(rest[1:], _LARGEST_PROFILE)
    except zlib.error:
        return rest


def colour_space(chunks: dict[bytes, bytes]) -> tuple[Primaries, Transfer] | None:
    """Return the primaries and curve that chunks name; None where they are sRGB or nothing is said.

    The order is the specification's: cICP, (iCCP,) sRGB, then gAMA and cHRM.
    """
    if b"cICP" in chunks and len(chunks[b"cICP"]) == 4:
        primaries, transfer, _, full = chunks[b"cICP"]
        return _CICP_PRIMARIES.get(primaries, REC709), named_transfer(transfer, bool(full))
    if b"sRGB" in chunks or b"iCCP" in chunks:
        return None
    gamma = _numbers(chunks.get(b"gAMA"), 1)
    corners = _numbers(chunks.get(b"cHRM"), 8)
    space = REC709
    if corners is not None and min(corners[1::2]) > 0:
        white, red, green, blue = ((corners[i] / 1e5, corners[i + 1] / 1e5) for i in range(0, 8, 2))
        space = Primaries(red, green, blue, white)
    plain = gamma is None or gamma[0] in (0, _SRGB_GAMMA)
    if plain and space.is_near(REC709):
        return None
    curve = named_transfer(13) if plain or gamma is None else gamma_transfer(1e5 / gamma[0])
    return (REC709 if space.is_near(REC709) else space), curve


def unknown_code(chunks: dict[bytes, bytes]) -> str:
    """Return what of `cICP` is not known here and taken as sRGB's; "" where all is known.

    Example:
        >>> unknown_code({b"cICP": bytes([22, 13, 0, 1])})
        'cICP primaries 22'
    """
    if len(chunks.get(b"cICP", b"")) != 4:
        return ""
    primaries, transfer, _, _ = chunks[b"cICP"]
    unknown = []
    if primaries not in (*_CICP_PRIMARIES, _UNSPECIFIED):
        unknown.append(f"cICP primaries {primaries}")
    if transfer not in (*KNOWN_TRANSFERS, _UNSPECIFIED):
        unknown.append(f"cICP transfer {transfer}")
    return ", ".join(unknown)


def is_hdr(chunks: dict[bytes, bytes]) -> bool:
    """Return whether the chunks name a curve that reaches beyond white: PQ or HLG."""
    return len(chunks.get(b"cICP", b"")) == 4 and chunks[b"cICP"][1] in (16, 18)


def _numbers(data: bytes | None, count: int) -> tuple[int, ...] | None:
    return struct.unpack(f">{count}I", data) if data and len(data) == 4 * count else None


def is_deep(chunks: dict[bytes, bytes]) -> bool:
    """Return whether the chunks are of a PNG of 16 bits a channel."""
    head = chunks.get(b"IHDR", b"")
    return len(head) == 13 and head[8] == 16


def decode_deep(file: IO[bytes]) -> np.ndarray:
    """Return the levels of a 16-bit PNG, [H,W,C] uint16: grey, grey and alpha, RGB or RGBA.

    Args:
        file: opened; its size was checked before.

    Raises:
        ValueError: damaged or cut off.
    """
    import av

    decoder = av.CodecContext.create("png", "r")
    try:
        frame = decoder.decode(av.Packet(_bare(file)))[0]
    except (av.error.FFmpegError, IndexError) as error:
        raise OSError(error.strerror if isinstance(error, OSError) else "no pixels") from error
    kinds = {"gray16be": 1, "ya16be": 2, "rgb48be": 3, "rgba64be": 4}
    channels = kinds.get(frame.format.name)
    if channels is None:
        raise OSError(f"unexpected pixels {frame.format.name}")
    plane = frame.planes[0]
    rows = np.frombuffer(bytes(plane), ">u2").reshape(-1, plane.line_size // 2)[: frame.height]
    used = rows[:, : frame.width * channels]
    return np.asarray(used.reshape(frame.height, frame.width, channels))


def _bare(file: IO[bytes]) -> bytes:
    """Return an open PNG without the chunks that do not say where pixels are.

    FFmpeg would refuse the whole file for a damaged profile.
    """
    file.seek(8)
    kept = [SIGNATURE]
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name in _PIXEL_CHUNKS:
            kept += [head, file.read(length + 4)]
        else:
            file.seek(length + 4, io.SEEK_CUR)
    return b"".join(kept)


def encode_deep(levels: np.ndarray) -> bytes:
    """Return a PNG of 16 bits a channel from levels [H,W,3] or [H,W,4], uint16."""
    import av

    kind = "rgba64be" if levels.shape[2] == 4 else "rgb48be"
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = levels.shape[:2]
    encoder.pix_fmt = kind
    encoder.time_base = Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(levels, format=kind)
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
