"""Transfer curves by their numbers in ITU-T H.273: from encoded values to linear light."""

from collections.abc import Callable

import numpy as np

from .rgb_spaces import srgb_light

Transfer = Callable[[np.ndarray], np.ndarray]

WHITE_NITS = 203.0  # ITU-R BT.2408: diffuse white of HDR pictures, taken as light 1
_HLG_PEAK_NITS = 1000.0  # ITU-R BT.2100: nominal peak at which the system gamma is 1.2


def gamma_transfer(gamma: float) -> Transfer:
    """Return the curve light = value^gamma.

    Example:
        >>> gamma_transfer(2.0)(np.array([0.5])).tolist()
        [0.25]
    """
    return lambda values: np.asarray(np.maximum(values, 0) ** gamma, dtype=values.dtype)


def named_transfer(number: int, full_range: bool = True) -> Transfer:
    """Return the curve of H.273's TransferCharacteristics; numbers not known here are sRGB's.

    Args:
        number: 1 BT.709, 4 gamma 2.2, 5 gamma 2.8, 8 linear, 13 sRGB, 16 PQ, 18 HLG; all of them
            are `KNOWN_TRANSFERS`.
        full_range: False where black and white are the codes 16 and 235 of 8 bits.
    """
    curve = KNOWN_TRANSFERS.get(number, srgb_light)
    if full_range:
        return curve
    return lambda values: curve((values * 255 - 16) / 219)


def _bt709(values: np.ndarray) -> np.ndarray:
    """Return the light that BT.709's camera curve encoded (ITU-R BT.709, 1.2)."""
    curve = ((np.maximum(values, 0.081) + 0.099) / 1.099) ** (1 / 0.45)
    return np.where(values < 0.081, values / 4.5, curve).astype(values.dtype)


def _pq(values: np.ndarray) -> np.ndarray:
    """Return light, 1 at 203 cd/m², of PQ (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = np.clip(values, 0, 1).astype(np.float64) ** (1 / m2)
    nits = 10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return np.asarray(nits / WHITE_NITS, dtype=values.dtype)


def _hlg(values: np.ndarray) -> np.ndarray:
    """Return light, 1 at 203 cd/m², of HLG on its 1000 cd/m² display (ITU-R BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
    nits = _HLG_PEAK_NITS * scene * np.maximum(luminance, 0)[..., None] ** 0.2
    return np.asarray(nits / WHITE_NITS, dtype=values.dtype)


KNOWN_TRANSFERS: dict[int, Transfer] = {
    1: _bt709,
    4: gamma_transfer(2.2),
    5: gamma_transfer(2.8),
    6: _bt709,
    8: lambda values: values,
    13: srgb_light,
    14: _bt709,
    15: _bt709,
    16: _pq,
    18: _hlg,
}
