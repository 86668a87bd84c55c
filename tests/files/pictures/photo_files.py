"""Photos written byte by byte, as no library at hand writes them."""

import struct
import zlib

import numpy as np

from bokehdepth_core.files.pictures.profiles.rgb_spaces import srgb_light

CODES = np.array([[[200, 60, 40], [60, 180, 70], [50, 70, 200], [128, 128, 128]]]) / 255
LIGHT = srgb_light(CODES)
HALF_A_STEP = 0.5 / 65535


def write_png(path, pixels, *chunks):
    """Write a PNG of 8 or 16 bits, with chunks before its pixels."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width, channels = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(pixels.dtype.newbyteorder(">")).tobytes() for row in pixels)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
        + b"".join(chunk(name, data) for name, data in chunks)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def deep(values):
    return np.round(values * 65535).astype(np.uint16)
