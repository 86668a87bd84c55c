"""Radiance pictures (.hdr, .pic): scene-linear light in four bytes a pixel."""

import re
from typing import IO

import numpy as np

from ..exr import MAX_PIXELS
from .profiles.rgb_spaces import REC709, Primaries, between, transform

SIGNATURES = (b"#?RADIANCE", b"#?RGBE")
_LONGEST_HEADER = 1 << 16  # bytes
_RUNS = range(8, 32768)  # widths that the newer run-length coding takes
_XYZ_TO_REC709 = np.linalg.inv(REC709.to_xyz())


def decode_radiance(file: IO[bytes]) -> np.ndarray:
    """Return the light of an open Radiance picture, [H,W,3] float32, linear Rec.709, not clipped.

    Its `EXPOSURE` is taken out again, `PRIMARIES` are brought to Rec.709, and it stands upright.

    Raises:
        ValueError: too large, or another coding than RGBE and XYZE.
        OSError: damaged or cut off.

    Reference:
        Radiance, "Picture file format"; Ward, "Real Pixels", Graphics Gems II.
    """
    file.seek(0)
    lines, resolution = _header(file)
    found = re.fullmatch(rb"([-+])([XY]) (\d+) ([-+])([XY]) (\d+)", resolution)
    if found is None or found[2] == found[5]:
        raise OSError("no resolution in its header")
    rows, columns = int(found[3]), int(found[6])
    if not 0 < rows * columns <= MAX_PIXELS:
        raise ValueError(
            f"declares {columns}x{rows} px, more than {MAX_PIXELS // 1_000_000} million pixels. "
            "Scale it down first."
        )
    light = _light(_scanlines(file, rows, columns))
    light = _to_rec709(light, lines)
    if found[2] == b"X":
        light = light.swapaxes(0, 1)
    signs = {found[2]: found[1], found[5]: found[4]}
    if signs[b"Y"] == b"+":
        light = light[::-1]
    if signs[b"X"] == b"-":
        light = light[:, ::-1]
    return np.ascontiguousarray(light)


def _header(file: IO[bytes]) -> tuple[dict[bytes, list[bytes]], bytes]:
    lines: dict[bytes, list[bytes]] = {}
    while True:
        line = file.readline(4096)
        if not line or file.tell() > _LONGEST_HEADER:
            raise OSError("its header has no end")
        if not line.strip():
            return lines, file.readline(4096).strip()
        name, sign, value = line.strip().partition(b"=")
        if sign:
            lines.setdefault(name.strip(), []).append(value.strip())


def _to_rec709(light: np.ndarray, lines: dict[bytes, list[bytes]]) -> np.ndarray:
    coding = lines.get(b"FORMAT", [b"32-bit_rle_rgbe"])[-1]
    if coding not in (b"32-bit_rle_rgbe", b"32-bit_rle_xyze"):
        raise ValueError(f"holds {coding.decode('ascii', 'replace')} pixels. Save it as RGBE.")
    for value in lines.get(b"EXPOSURE", []):
        light = light / np.float32(float(value))
    if coding.endswith(b"xyze"):
        return transform(_XYZ_TO_REC709, light)
    if b"PRIMARIES" in lines:
        numbers = [float(one) for one in lines[b"PRIMARIES"][-1].split()]
        pairs = [(numbers[i], numbers[i + 1]) for i in range(0, 8, 2)]
        own = Primaries(*pairs)
        # Radiance's default white (1/3, 1/3) is written by programs that mean Rec.709.
        if not own.is_near(REC709):
            light = transform(between(own, REC709), light)
    return light


def _light(rgbe: np.ndarray) -> np.ndarray:
    """Return light of [H,W,4] bytes: mantissas and their common exponent."""
    scale = np.ldexp(np.float32(1), rgbe[..., 3:].astype(np.int32) - (128 + 8))
    return np.where(rgbe[..., 3:] > 0, rgbe[..., :3] * scale, 0).astype(np.float32)


def _scanlines(file: IO[bytes], rows: int, columns: int) -> np.ndarray:
    data = file.read()
    out = np.empty((rows, columns, 4), np.uint8)
    at = 0
    for row in range(rows):
        head = data[at : at + 4]
        if len(head) < 4:
            raise OSError("cut off")
        if columns in _RUNS and head[:2] == b"\2\2" and head[2] << 8 | head[3] == columns:
            at = _runs(data, at + 4, out[row])
        else:
            at = _plain(data, at, out[row])
    return out


def _runs(data: bytes, at: int, line: np.ndarray) -> int:
    """Unpack a scanline whose four channels are coded one after the other."""
    width = len(line)
    for channel in range(4):
        filled = 0
        while filled < width:
            count = data[at] if at < len(data) else 0
            run = count > 128
            count = count - 128 if run else count
            taken = data[at + 1 : at + 2] if run else data[at + 1 : at + 1 + count]
            if not count or filled + count > width or len(taken) < (1 if run else count):
                raise OSError("damaged run of pixels")
            line[filled : filled + count, channel] = np.frombuffer(taken, np.uint8)
            at += 1 + len(taken)
            filled += count
    return at


def _plain(data: bytes, at: int, line: np.ndarray) -> int:
    """Unpack a scanline of whole pixels, in which (1, 1, 1, n) repeats the last one n times."""
    filled, shift = 0, 0
    while filled < len(line):
        pixel = data[at : at + 4]
        if len(pixel) < 4:
            raise OSError("cut off")
        at += 4
        if pixel[:3] == b"\1\1\1" and filled:
            count = pixel[3] << shift
            line[filled : filled + count] = line[filled - 1]
            filled, shift = filled + count, shift + 8
        else:
            line[filled] = np.frombuffer(pixel, np.uint8)
            filled, shift = filled + 1, 0
    return at
