"""Embedded colour profiles (ICC): pixels of any depth to linear Rec.709, in floating point.

Colour engines for Python convert 8 bits a channel. Profiles are few kinds of tables, though: a
matrix with three curves (Adobe RGB, Display P3, ProPhoto), one curve (grey), or a table of colours
between curves (CMYK, scanners). Each is evaluated here as ICC.1:2022 defines it, so that 8-bit,
16-bit and float pictures take one way.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .rgb_spaces import D50, D50_TO_REC709, transform

_CHANNELS = {b"RGB ": 3, b"GRAY": 1, b"CMYK": 4, b"Lab ": 3}
_XYZ_TOP = 1 + 32767 / 32768  # ICC.1:2022, 6.3.4.2: what full scale of an encoded XYZ is
_LEGACY_LAB = 65535 / 65280  # 6.3.4.2 and 10.10: Lab in lut16Type ends at FF00
# Annex D: black of the reference medium, which perceptual tables of version 4 mean by black.
_PERCEPTUAL_BLACK = np.array([0.00336, 0.0034731, 0.00287])
_CLUT_CELLS = 40_000_000  # numbers in a table of colours; 4 inks at 55 steps hold 27 million
_ROWS = 1 << 18  # pixels that are worked on together

Step = Callable[[np.ndarray], np.ndarray]


class ProfileError(ValueError):
    """A profile that cannot be read."""


@dataclass(frozen=True)
class Profile:
    """What brings device values to linear Rec.709.

    Attributes:
        channels: of the device: 1 grey, 3 RGB or Lab, 4 CMYK.
        steps: from device values 0…1 [N,channels] to XYZ under D50 [N,3].
    """

    channels: int
    steps: Sequence[Step]

    def to_light(self, values: np.ndarray) -> np.ndarray:
        """Return linear Rec.709 [...,3], not clipped, of device values [...,channels]."""
        flat = values.reshape(-1, values.shape[-1])
        light = np.empty((len(flat), 3), np.float32)
        for start in range(0, len(flat), _ROWS):
            part = flat[start : start + _ROWS].astype(np.float64)
            for step in self.steps:
                part = step(part)
            light[start : start + _ROWS] = transform(D50_TO_REC709, part)
        return light.reshape(*values.shape[:-1], 3)


def read_profile(data: bytes) -> Profile:
    """Return the way from a profile's device values to linear Rec.709.

    Args:
        data: an ICC profile of version 2 or 4: matrix and curves, one curve, or `A2B0`.

    Raises:
        ProfileError: damaged, or of a kind that pictures are not stored in.

    Reference:
        ICC.1:2022, 8.3 and 10; perceptual intent, black to black.

    Example:
        >>> from PIL import ImageCms
        >>> srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        >>> read_profile(srgb).to_light(np.ones((1, 3))).round(2).tolist()
        [[1.0, 1.0, 1.0]]
    """
    try:
        return _read(data)
    except (
        struct.error,
        IndexError,
        ValueError,
        ZeroDivisionError,
        np.linalg.LinAlgError,
    ) as error:
        raise ProfileError(str(error)) from error


def _read(data: bytes) -> Profile:
    space, connection, version = data[16:20], data[20:24], data[8]
    if data[36:40] != b"acsp" or space not in _CHANNELS:
        raise ProfileError(f"no profile of a picture ({space!r})")
    tags = _tags(data)
    if b"A2B0" in tags:
        steps = _table(tags[b"A2B0"], _CHANNELS[space], connection, version)
    elif space == b"GRAY":
        curve = _curve(tags[b"kTRC"])[0]
        steps = [lambda grey: _grey(curve(grey[:, 0]), connection)]
    elif space == b"RGB ":
        curves = [_curve(tags[name])[0] for name in (b"rTRC", b"gTRC", b"bTRC")]
        columns = np.stack([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
        steps = [_each(curves), lambda light: transform(columns, light)]
    else:
        raise ProfileError("it has no table of colours")
    fixed = version >= 4 and b"A2B0" in tags
    black = _PERCEPTUAL_BLACK if fixed else _darkest(steps, space)
    if black.any():
        steps.append(lambda xyz: (xyz - black) * D50 / (D50 - black))
    return Profile(_CHANNELS[space], steps)


def _darkest(steps: Sequence[Step], space: bytes) -> np.ndarray:
    """Return XYZ of the darkest grey that a device gives: its black is shown as no light at all.

    Reference:
        ISO 18619, black point compensation; the lightness is at most 50 there.
    """
    if space == b"Lab ":
        return np.zeros(3)
    values = np.full((1, _CHANNELS[space]), 1.0 if space == b"CMYK" else 0.0)
    for step in steps:
        values = step(values)
    y = min(max(float(values[0, 1]), 0.0), ((50 + 16) / 116) ** 3)
    return y * D50


def _tags(data: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", data, 128)
    if count > 200:
        raise ProfileError(f"{count} tags")
    found = {}
    for index in range(count):
        name, offset, size = struct.unpack_from(">4sII", data, 132 + 12 * index)
        if offset + size > len(data):
            raise ProfileError("cut off")
        found[name] = data[offset : offset + size]
    needed = (b"A2B0", b"kTRC", b"rTRC")
    if not any(name in found for name in needed):
        raise ProfileError("neither curves nor a table")
    return found


def _fixed(data: bytes, offset: int, count: int) -> np.ndarray:
    """Return s15Fixed16 numbers."""
    return np.array(struct.unpack_from(f">{count}i", data, offset)) / 65536


def _xyz(tag: bytes) -> np.ndarray:
    return _fixed(tag, 8, 3)


def _curve(tag: bytes) -> tuple[Step, int]:
    """Return a curve (10.6 curveType or 10.18 parametricCurveType), and its length in bytes."""
    if tag[:4] == b"para":
        return _parametric(tag)
    if tag[:4] != b"curv":
        raise ProfileError(f"unknown curve {tag[:4]!r}")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return lambda x: x, 12
    if count == 1:
        gamma = struct.unpack_from(">H", tag, 12)[0] / 256
        return lambda x: _power(x, gamma), 14
    return _sampled(_numbers(tag, 12, count, ">u2") / 65535), 12 + 2 * count


def _numbers(data: bytes, offset: int, count: int, kind: str) -> np.ndarray:
    return np.frombuffer(data, kind, count, offset).astype(np.float64)


def _sampled(table: np.ndarray) -> Step:
    """Return a curve between its points, which goes on straight above 1 for brighter light."""
    grid = np.linspace(0, 1, len(table))
    slope = (table[-1] - table[-2]) * (len(table) - 1)
    return lambda x: np.interp(x, grid, table) + np.maximum(x - 1, 0) * slope


def _power(x: np.ndarray, gamma: float) -> np.ndarray:
    """Return x^gamma, mirrored below 0, where scene-linear pictures may lie."""
    return np.asarray(np.sign(x) * np.abs(x) ** gamma)


def _parametric(tag: bytes) -> tuple[Step, int]:
    (kind,) = struct.unpack_from(">H", tag, 8)
    count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(kind)
    if count is None:
        raise ProfileError(f"unknown curve type {kind}")
    g, a, b, c, d, e, f = [float(one) for one in _fixed(tag, 12, count)] + [0.0] * (7 - count)
    if kind == 0:
        return lambda x: _power(x, g), 16
    if kind in (1, 2):  # a power from -b/a on, a constant below; c is added in type 2
        d, e, f, c = -b / a, c, c, 0.0

    def curve(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(x >= d, _power(a * x + b, g) + e, c * x + f))

    return curve, 12 + 4 * count


def _each(curves: Sequence[Step]) -> Step:
    """Return a step that puts every channel through its own curve."""
    return lambda x: np.stack([curve(x[:, i]) for i, curve in enumerate(curves)], axis=1)


def _grey(values: np.ndarray, connection: bytes) -> np.ndarray:
    if connection == b"Lab ":
        zero = np.zeros_like(values)
        return _lab_to_xyz(np.stack([100 * values, zero, zero], axis=1))
    return np.asarray(values[:, None] * D50)


# --- tables of colours ---------------------------------------------------------------------------


def _table(tag: bytes, channels: int, connection: bytes, version: int) -> list[Step]:
    if tag[8] != channels or tag[9] != 3:
        raise ProfileError(f"a table from {tag[8]} to {tag[9]} channels")
    kind = tag[:4]
    if kind in (b"mft1", b"mft2"):
        steps = _lut(tag, wide=kind == b"mft2")
    elif kind == b"mAB ":
        steps = _lut_a_to_b(tag)
    else:
        raise ProfileError(f"unknown table {kind!r}")
    if connection == b"XYZ ":
        return [*steps, lambda x: x * _XYZ_TOP]
    lab_scale = _LEGACY_LAB if kind == b"mft2" else 1.0
    return [*steps, lambda x: _lab_to_xyz(_decoded_lab(x * lab_scale, lab_scale))]


def _decoded_lab(values: np.ndarray, scale: float) -> np.ndarray:
    top = np.array([100.0, 255.0, 255.0])
    return np.asarray(values * top - [0.0, 128.0, 128.0])


def _lut(tag: bytes, wide: bool) -> list[Step]:
    """Return the steps of lut8Type and lut16Type (10.10, 10.11)."""
    channels, out, grid = tag[8], tag[9], tag[10]
    kind, top = (">u2", 65535) if wide else (">u1", 255)
    entries, ends = struct.unpack_from(">HH", tag, 48) if wide else (256, 256)
    at = 52 if wide else 48
    size = np.dtype(kind).itemsize
    before = _numbers(tag, at, channels * entries, kind).reshape(channels, entries) / top
    at += size * channels * entries
    cells = _cells([grid] * channels, out)
    table = _numbers(tag, at, cells, kind).reshape(*[grid] * channels, out) / top
    at += size * cells
    after = _numbers(tag, at, out * ends, kind).reshape(out, ends) / top
    return [
        _each([_sampled(one) for one in before]),
        lambda x: interpolate(table, x),
        _each([_sampled(one) for one in after]),
    ]


def _lut_a_to_b(tag: bytes) -> list[Step]:
    """Return the steps of lutAToBType (10.12): A curves, table, M curves, matrix, B curves."""
    channels, out = tag[8], tag[9]
    b, matrix, m, table, a = struct.unpack_from(">5I", tag, 12)
    steps: list[Step] = []
    if a:
        steps.append(_each(_curves(tag, a, channels)))
    if table:
        steps.append(_colour_table(tag, table, channels, out))
    if m:
        steps.append(_each(_curves(tag, m, out)))
    if matrix:
        weights, offsets = _fixed(tag, matrix, 9).reshape(3, 3), _fixed(tag, matrix + 36, 3)
        steps.append(lambda x: x @ weights.T + offsets)
    return [*steps, _each(_curves(tag, b, out))]


def _curves(tag: bytes, at: int, count: int) -> list[Step]:
    found = []
    for _ in range(count):
        curve, length = _curve(tag[at:])
        found.append(curve)
        at += length + -length % 4
    return found


def _colour_table(tag: bytes, at: int, channels: int, out: int) -> Step:
    grid = list(tag[at : at + channels])
    kind, top = (">u2", 65535) if tag[at + 16] == 2 else (">u1", 255)
    cells = _cells(grid, out)
    table = _numbers(tag, at + 20, cells, kind).reshape(*grid, out) / top
    return lambda x: interpolate(table, x)


def _cells(grid: Sequence[int], out: int) -> int:
    cells = int(np.prod([float(side) for side in grid])) * out
    if min(grid) < 2 or cells > _CLUT_CELLS:
        raise ProfileError(f"a table of {cells} numbers")
    return cells


def interpolate(table: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return a table's values [N,out] at points [N,n], 0…1, by simplex interpolation.

    In three dimensions that is the tetrahedral interpolation of colour engines: from the lowest
    corner of a cell one walks along the axes, the largest fraction first.

    Args:
        table: [g1,…,gn,out].
        points: [N,n]; clipped to 0…1.

    Example:
        >>> table = np.array([[[0.0], [1.0]], [[2.0], [3.0]]])
        >>> interpolate(table, np.array([[0.5, 0.25]])).tolist()
        [[1.25]]
    """
    sides = np.array(table.shape[:-1])
    place = np.clip(points, 0, 1) * (sides - 1)
    corner = np.minimum(place.astype(np.int64), sides - 2)
    fraction = place - corner
    strides = np.append(np.cumprod(sides[:0:-1])[::-1], 1).astype(np.int64)
    flat = table.reshape(-1, table.shape[-1])
    index = corner @ strides
    order = np.argsort(-fraction, axis=1)
    steps = np.take_along_axis(fraction, order, axis=1)
    value = flat[index] * (1 - steps[:, :1])
    for axis in range(len(sides)):
        index = index + strides[order[:, axis]]
        rest = steps[:, axis + 1 : axis + 2] if axis + 1 < len(sides) else 0.0
        value += flat[index] * (steps[:, axis : axis + 1] - rest)
    return np.asarray(value)


# --- the profile connection space ----------------------------------------------------------------


def _lab_to_xyz(lab: np.ndarray) -> np.ndarray:
    """Return XYZ under D50 of CIE L*a*b* [N,3] (CIE 15:2004)."""
    y = (lab[:, 0] + 16) / 116
    f = np.stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200], axis=1)
    return np.asarray(np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2) * D50)


def lab_to_light(lab: np.ndarray) -> np.ndarray:
    """Return linear Rec.709 [...,3], not clipped, of L* 0…100, a* and b* under D50."""
    xyz = _lab_to_xyz(lab.reshape(-1, 3).astype(np.float64))
    return transform(D50_TO_REC709, xyz).astype(np.float32).reshape(lab.shape)
