"""RGB colour spaces by their primaries: from any of them to linear Rec.709 and back.

Everything that a file may say about its colours ends in one place: linear light on the Rec.709
primaries with white D65, in which the sRGB curve makes sRGB. The arithmetic is numpy's.
"""

from dataclasses import dataclass

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])  # ICC.1:2022, profile connection space
_D65_XY = (0.3127, 0.3290)
# Bradford's cone responses, ICC.1:2022, annex E.
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True)
class Primaries:
    """Where red, green, blue and white of a colour space lie, CIE 1931 x and y."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float] = _D65_XY

    def to_xyz(self) -> np.ndarray:
        """Return the matrix [3,3] from linear RGB to XYZ under the space's own white, Y = 1."""
        columns = np.stack([_xyz(xy) for xy in (self.red, self.green, self.blue)], axis=1)
        return np.asarray(columns * np.linalg.solve(columns, _xyz(self.white)))

    def is_near(self, other: "Primaries") -> bool:
        """Return whether no coordinate differs by 0.002, as rounding in files makes them."""
        pairs = zip(self.flat(), other.flat(), strict=True)
        return all(abs(a - b) < 0.002 for a, b in pairs)

    def flat(self) -> tuple[float, ...]:
        """Return the eight numbers, red first and white last, as EXR stores them."""
        return (*self.red, *self.green, *self.blue, *self.white)


REC709 = Primaries((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))  # ITU-R BT.709
REC2020 = Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))  # ITU-R BT.2020
P3_D65 = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))  # SMPTE EG 432-1
P3_DCI = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351))
REC601_625 = Primaries((0.640, 0.330), (0.290, 0.600), (0.150, 0.060))  # ITU-R BT.601, 625 lines
REC601_525 = Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))  # 525 lines
# S-2014-004, ACEScg: the AP1 primaries.
ACESCG = Primaries((0.713, 0.293), (0.165, 0.830), (0.128, 0.044), (0.32168, 0.33767))


def _xyz(xy: tuple[float, float]) -> np.ndarray:
    x, y = xy
    return np.array([x / y, 1.0, (1.0 - x - y) / y])


def adaptation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the matrix [3,3] that brings XYZ under one white to another, Bradford's way.

    Args:
        source: XYZ of the white it is seen under.
        target: XYZ of the white wanted.

    Reference:
        ICC.1:2022, annex E.
    """
    gain = (_BRADFORD @ target) / (_BRADFORD @ source)
    return np.asarray(np.linalg.inv(_BRADFORD) @ (gain[:, None] * _BRADFORD))


def between(source: Primaries, target: Primaries) -> np.ndarray:
    """Return the matrix [3,3] from linear RGB on some primaries to others.

    Example:
        >>> wide = between(P3_D65, REC709)
        >>> (wide @ [1.0, 1.0, 1.0]).round(6).tolist()  # white stays white
        [1.0, 1.0, 1.0]
    """
    adapt = adaptation(_xyz(source.white), _xyz(target.white))
    return np.asarray(np.linalg.inv(target.to_xyz()) @ adapt @ source.to_xyz())


# From XYZ under D50, in which ICC profiles meet, to linear Rec.709.
D50_TO_REC709 = np.linalg.inv(adaptation(_xyz(_D65_XY), D50) @ REC709.to_xyz())


def transform(matrix: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return pixels [...,3] times a colour matrix [3,3], in the pixels' own dtype."""
    return np.asarray(pixels @ matrix.T.astype(pixels.dtype))


def srgb_curve(light: np.ndarray) -> np.ndarray:
    """Return sRGB-encoded values of linear light, any shape; continued beyond 0…1.

    Reference:
        IEC 61966-2-1.
    """
    curve = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, light * 12.92, curve).astype(light.dtype)


def srgb_light(values: np.ndarray) -> np.ndarray:
    """Return linear light of sRGB-encoded values; the inverse of `srgb_curve`."""
    curve = ((np.maximum(values, 0.04045) + 0.055) / 1.055) ** 2.4
    return np.where(values <= 0.04045, values / 12.92, curve).astype(values.dtype)
