"""EXR files as photos: their colour and alpha as scene-linear light."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..exr import ExrPart, channel_names, read_exr
from ..names import shown
from .profiles.rgb_spaces import REC709, Primaries

_LUMA = (0.2126, 0.7152, 0.0722)  # OpenEXR's weights of Rec.709 for Y, RY and BY


@dataclass(frozen=True, eq=False)
class ExrPhoto:
    """Colour of an EXR file.

    Attributes:
        light: [H,W,3], linear light, multiplied with alpha.
        alpha: [H,W] or None.
        primaries: what the file says they are; None for Rec.709.
    """

    light: np.ndarray
    alpha: np.ndarray | None
    primaries: Primaries | None


def decode_exr(path: Path) -> ExrPhoto:
    """Return the colour of an EXR file, from the first part and layer that has any.

    R, G and B, or grey as Y or as Y with RY and BY; outside the data window there is nothing.

    Raises:
        ValueError: damaged, too large, deep, or without colour.

    Reference:
        OpenEXR, "Technical Introduction": channel names, luminance/chroma images, premultiplied
        alpha.
    """
    parts = read_exr(path)
    for part in parts:
        if part.deep:
            continue
        for layer in _layers(part):
            light = _light(part, layer)
            if light is not None:
                alpha = _alpha(part, layer)
                return ExrPhoto(light, alpha, _primaries(part))
    if any(part.deep for part in parts):
        raise ValueError(f"{path.name}: a deep EXR is no picture yet. Flatten it first.")
    raise ValueError(
        f"{path.name}: expected the channels R, G and B, or Y, found "
        f"{shown(channel_names(parts))}. Save its colour."
    )


def _layers(part: ExrPart) -> list[str]:
    """Return the layers of a part by the start of their channels' names, the plain one first."""
    starts = {name[: name.rfind(".") + 1] for name in part.channels}
    return sorted(starts, key=lambda start: (start.count("."), start))


def _light(part: ExrPart, layer: str) -> np.ndarray | None:
    def plane(name: str) -> np.ndarray | None:
        found = next((one for one in part.channels if one.lower() == (layer + name).lower()), None)
        return None if found is None else part.plane(found).astype(np.float32)

    rgb = [plane(name) for name in "RGB"]
    if all(one is not None for one in rgb):
        return np.stack([one for one in rgb if one is not None], axis=-1)
    luma = plane("Y")
    if luma is None:
        return None
    chroma_red, chroma_blue = plane("RY"), plane("BY")
    if chroma_red is None or chroma_blue is None:
        return np.repeat(luma[..., None], 3, axis=-1)
    red, blue = (chroma_red + 1) * luma, (chroma_blue + 1) * luma
    green = (luma - _LUMA[0] * red - _LUMA[2] * blue) / np.float32(_LUMA[1])
    return np.stack([red, green, blue], axis=-1)


def _alpha(part: ExrPart, layer: str) -> np.ndarray | None:
    """Return alpha, 0 outside the data window; None where every pixel is covered."""
    name = next((one for one in part.channels if one.lower() == (layer + "A").lower()), None)
    inside = part.inside
    if name is None:
        return None if inside.all() else inside.astype(np.float32)
    alpha = part.plane(name).astype(np.float32)
    return None if (alpha == 1).all() else alpha


def _primaries(part: ExrPart) -> Primaries | None:
    numbers = part.header.get("chromaticities")
    if numbers is None:
        return None
    flat = [float(value) for value in np.ravel(np.array(numbers, dtype=float))]
    if len(flat) != 8 or not np.isfinite(flat).all() or min(flat[1::2]) <= 0:
        return None
    own = Primaries(*((flat[i], flat[i + 1]) for i in range(0, 8, 2)))
    return None if own.is_near(REC709) else own
