"""OpenEXR files as named planes of numbers: every part, layer and channel, on the display window.

An EXR file is a list of parts, each with channels such as ``R``, ``Z`` or ``ViewLayer.Depth.Z``.
`read_exr` looks at the headers first and refuses what would not fit into memory; `ExrPart.plane`
gives one channel where it belongs in the picture, and `ExrPart.inside` where it holds pixels.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from .atomic import whole_file
from .exr_deep import deep_bytes
from .exr_headers import MOST_ATTRIBUTES, MOST_CHANNELS, count_names

MAX_PIXELS = 178_956_970  # as Pillow refuses pictures: twice its MAX_IMAGE_PIXELS
MAX_BYTES = 4 * 2**30  # of all channels unpacked: 120 half-float channels of 4096 × 4096
MAX_DEEP_CELLS = 2**24  # pixels × channels: OpenEXR makes an array for each, about 130 bytes
MAX_DEEP_BYTES = 2**30  # of all deep samples unpacked: 130 million of Z and A
_CHUNK_BYTES = 16  # the least a chunk takes: 8 in the offset table, 8 of its own head
_LINES_A_CHUNK = 256  # the most that any compression packs together (DWAB)


@dataclass(frozen=True, eq=False)
class ExrPart:
    """One part of an EXR file.

    Attributes:
        name: of the part; empty in most single-part files.
        header: its attributes, as OpenEXR's package gives them.
        size: (height, width) of the display window, px: the picture that is meant.
        deep: True where a pixel is a list of samples; `samples` then reads them, not `plane`.
        channels: stored pixels by the name of the channel, on the data window, in their own
            dtype (float16, float32 or uint32); [h,w], or arrays of arrays where `deep`.
    """

    name: str
    header: Mapping[str, Any]
    size: tuple[int, int]
    deep: bool
    channels: Mapping[str, np.ndarray]

    def plane(self, channel: str) -> np.ndarray:
        """Return one channel on the display window, [H,W], in its own dtype; 0 outside its data."""
        return self._placed(self.channels[channel], 0)

    def samples(self, channel: str) -> np.ndarray:
        """Return a deep channel on the display window, [H,W], of arrays or None for no sample."""
        return self._placed(self.channels[channel], None)

    @property
    def inside(self) -> np.ndarray:
        """[H,W] bool: True within the data window, where the file holds pixels at all."""
        height, width = _window_size(self.header["dataWindow"])
        return self._placed(np.ones((height, width), bool), False)

    def _placed(self, stored: np.ndarray, outside: object) -> np.ndarray:
        """Return pixels of the data window on the display window (the parts they share)."""
        (left, top), (right, bottom) = _corners(self.header["dataWindow"])
        (left0, top0), (right0, bottom0) = _corners(self.header["displayWindow"])
        if (left, top, right, bottom) == (left0, top0, right0, bottom0):
            return stored
        placed = np.full(self.size, outside, stored.dtype)
        x0, x1 = max(left, left0), min(right, right0) + 1
        y0, y1 = max(top, top0), min(bottom, bottom0) + 1
        if x0 < x1 and y0 < y1:
            placed[y0 - top0 : y1 - top0, x0 - left0 : x1 - left0] = stored[
                y0 - top : y1 - top, x0 - left : x1 - left
            ]
        return placed


def read_exr(path: str | Path) -> tuple[ExrPart, ...]:
    """Return all parts of an EXR file, unpacked; scanlines or tiles, flat or deep.

    Args:
        path: an .exr file. It is opened here, so any name will do.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, cut off, with more channels than any has, or larger than `MAX_PIXELS`,
            `MAX_BYTES` or, deep, `MAX_DEEP_CELLS` or `MAX_DEEP_BYTES` when unpacked.

    Reference:
        OpenEXR File Layout, openexr.com: windows are inclusive corners, y grows downwards.

    Example:
        >>> import tempfile
        >>> import OpenEXR
        >>> path = tempfile.mkdtemp() + "/a.exr"
        >>> OpenEXR.File({}, {"Z": np.ones((2, 3), "f")}).write(path)
        >>> part = read_exr(path)[0]
        >>> part.plane("Z").shape, bool(part.inside.all())
        ((2, 3), True)
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such EXR file. Check the path.")
    with source.open("rb") as file, _plain_errors(source):
        if file.read(4) != b"\x76\x2f\x31\x01":
            raise ValueError("it is no EXR file")
        _check_names(source, file)
        headers = [part.header for part in _parts(source, file, header_only=True)]
        _check_sizes(source, headers)
        _check_samples(source, file, headers)
        parts = tuple(_part(one) for one in _parts(source, file, header_only=False))
    # OpenEXR drops parts and channels that it cannot decode.
    whole = len(headers) == len(parts) and all(
        {channel.name for channel in header["channels"]} == set(part.channels)
        for header, part in zip(headers, parts, strict=True)
    )
    if not whole:
        raise ValueError(f"{source.name}: damaged EXR file (pixels are missing). Save it again.")
    return parts


def write_exr(target: Path, header: Mapping[str, Any], channels: Mapping[str, np.ndarray]) -> None:
    """Write an EXR file of one part, whole or not at all.

    Args:
        target: where to.
        header: its attributes.
        channels: pixels by the name of the channel, [H,W] each, float16, float32 or uint32.

    Raises:
        OSError: the file cannot be written; nothing is left of it.
    """
    import OpenEXR

    with whole_file(target) as part, OpenEXR.File(dict(header), dict(channels)) as file:
        try:
            file.write(str(part))
        except RuntimeError as error:  # in place of the system's error, and without its number
            reason = " ".join(str(error).replace(str(part), target.name).split())
            raise OSError(
                f"{target}: cannot be written ({reason}) Free space there, or give another place."
            ) from error


def channel_names(parts: Sequence[ExrPart]) -> list[str]:
    """Return the channels of all parts, a part's name before its own where there are several."""
    several = len(parts) > 1
    return [
        f"{part.name}:{name}" if several and part.name else name
        for part in parts
        for name in part.channels
    ]


def _part(part: Any) -> ExrPart:
    header = dict(part.header)
    kind = str(header.get("type", "")).lower()
    deep = "deep" in kind
    data = _window_size(header["dataWindow"])
    channels = {
        name: channel.pixels if deep else _whole(channel, data)
        for name, channel in part.channels.items()
        if channel.pixels is not None
    }
    return ExrPart(part.name() or "", header, _window_size(header["displayWindow"]), deep, channels)


def _whole(channel: Any, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels of a channel at full size; chroma may be stored for every second pixel."""
    pixels: np.ndarray = channel.pixels
    if channel.xSampling == 1 and channel.ySampling == 1:
        return pixels
    pixels = pixels.repeat(channel.ySampling, axis=0).repeat(channel.xSampling, axis=1)
    return np.ascontiguousarray(pixels[: size[0], : size[1]])


def _parts(source: Path, file: IO[bytes], *, header_only: bool) -> list[Any]:
    import OpenEXR

    file.seek(0)
    try:
        found = OpenEXR.File(file, separate_channels=True, header_only=header_only)
    except TypeError:  # OpenEXR before 3.5 opens names only
        found = OpenEXR.File(str(source), separate_channels=True, header_only=header_only)
    return list(found.parts)


@contextmanager
def _plain_errors(source: Path) -> Iterator[None]:
    """Turn what OpenEXR raises for damaged files into one line."""
    try:
        yield
    except ExrTooLargeError:
        raise
    except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{source.name}: damaged EXR file ({reason}). Save it again.") from error


class ExrTooLargeError(ValueError):
    """An EXR file that would take too much memory."""


def _check_names(source: Path, file: IO[bytes]) -> None:
    """Refuse more names than any file has, before OpenEXR takes them apart."""
    found = zip(count_names(file), (MOST_CHANNELS, MOST_ATTRIBUTES), strict=True)
    for (count, most), what in zip(found, ("channels", "attributes"), strict=True):
        if count > most:
            raise ExrTooLargeError(
                f"{source.name}: more than {most} {what}. Save those that are needed alone."
            )


def _check_sizes(source: Path, headers: Sequence[Mapping[str, Any]]) -> None:
    """Refuse sizes before anything is allocated for them."""
    total = chunks = 0
    for header in headers:
        count = len(header["channels"])
        data = _window_size(header["dataWindow"])
        pixels = math.prod(data)
        for size in (data, _window_size(header["displayWindow"])):
            if math.prod(size) > MAX_PIXELS:
                raise ExrTooLargeError(
                    f"{source.name}: declares {size[1]}x{size[0]} px, more than "
                    f"{MAX_PIXELS // 1_000_000} million pixels. Scale it down first."
                )
        if "deep" in str(header.get("type", "")).lower() and pixels * count > MAX_DEEP_CELLS:
            raise ExrTooLargeError(
                f"{source.name}: a deep EXR of {data[1]}x{data[0]} px with {count} channels takes "
                "too much memory. Flatten it, or keep only Z and A."
            )
        total += 4 * count * pixels  # float32 at most
        chunks += math.ceil(data[0] / _LINES_A_CHUNK)
    if total > MAX_BYTES:
        raise ExrTooLargeError(
            f"{source.name}: unpacks to {total / 2**30:.1f} GiB, more than "
            f"{MAX_BYTES // 2**30} GiB. Save the channels that are needed alone."
        )
    if chunks * _CHUNK_BYTES > source.stat().st_size:
        raise ValueError("it is shorter than its own table of contents")


def _check_samples(source: Path, file: IO[bytes], headers: Sequence[Mapping[str, Any]]) -> None:
    """Refuse deep samples that would take too much memory, by the counts that chunks declare."""
    if not any("deep" in str(header.get("type", "")).lower() for header in headers):
        return
    size = deep_bytes(file, headers)
    if size > MAX_DEEP_BYTES:
        raise ExrTooLargeError(
            f"{source.name}: its deep samples unpack to {size / 2**30:.1f} GiB, more than "
            f"{MAX_DEEP_BYTES // 2**30} GiB. Flatten it, or keep only Z and A."
        )


def _window_size(window: Any) -> tuple[int, int]:
    (left, top), (right, bottom) = _corners(window)
    if right < left or bottom < top:
        raise ValueError("its window is empty")
    return bottom - top + 1, right - left + 1


def _corners(window: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    (left, top), (right, bottom) = ([int(value) for value in corner] for corner in window)
    return (left, top), (right, bottom)
