"""What the numbers of a depth file are: metres, millimetres or disparity, and how to say so.

The file's own word comes first, then the numbers themselves, and a caller's choice overrides both.
Whatever was taken is said in one line; options are in backticks, so that the command line and the
node can call them by their own names.
"""

from dataclasses import dataclass

import numpy as np

from ...checks import SMALLEST_DEPTH
from .raw import DEPTH, DIOPTRES, DISPARITY, DISTANCE, METRES, MILLIMETRES, VALUES, RawDepth

FAR_FLOAT = 1e9  # m; Blender writes 1e10 where there is no surface
FAR_HALF = 65504.0  # largest half float, where renderers clip infinity
_FULL_RANGE = 65000  # a 16-bit picture of disparity is stretched to white
_ROOM = 20000  # 16-bit steps; sensors in millimetres end at 20 m
_GAP = 200  # steps that no sensor measures below: 20 cm
_WHOLE_METRES = 255  # integers up to here are metres, or levels of 8 bits
_TALL = 200.0  # whole floats beyond this median are millimetres

_WORDS = {
    METRES: "metres",
    MILLIMETRES: "millimetres",
    DISTANCE: "ray distance in metres",
    DIOPTRES: "disparity in 1/m",
    DISPARITY: "disparity, near is white",
    DEPTH: "depth, near is black",
}


@dataclass(frozen=True, eq=False)
class Planes:
    """Depth as numbers that are known.

    Attributes:
        depth: [H,W] float32, m or, not `metric`, the reciprocal of normalised disparity; infinity
            at sky and holes.
        holes: [H,W] bool: not measured.
        sky: [H,W] bool: measured to be infinitely far.
        metric: True for metres.
        along_ray: True where depth is still the distance along the ray of each pixel.
        line: how the numbers were read.
    """

    depth: np.ndarray
    holes: np.ndarray
    sky: np.ndarray
    metric: bool
    along_ray: bool
    line: str


def check_values(values: str) -> str:
    """Return what a caller says the numbers are, after checking it.

    Raises:
        ValueError: an unknown word.
    """
    if values not in VALUES:
        raise ValueError(f"values: expected one of {', '.join(VALUES)}, found {values!r}. Use one.")
    return values


def to_depth(
    raw: RawDepth, values: str = "automatic", scale: float | None = None, invert: bool = False
) -> Planes:
    """Return the numbers of a file as depth.

    Args:
        raw: what the file holds.
        values: what the caller says they are, one of `VALUES`.
        scale: metres for one unit, where the caller says so. For disparity: metres × unit, so a
            stereo map in px takes focal length in px times baseline in m, and a picture the
            distance of its white.
        invert: near and far are swapped: a picture's white is far, or metres are 1/m.

    >>> sensor = RawDepth(np.array([[0, 1500], [4000, 4500]], np.uint16), top=65535.0)
    >>> planes = to_depth(sensor)
    >>> planes.depth.tolist(), planes.holes.sum()
    ([[inf, 1.5], [4.0, 4.5]], np.int64(1))
    >>> planes.line
    'read as millimetres (1500 … 4500 of 65535); `values` or `scale` changes that'
    """
    numbers = raw.values.astype(np.float64)
    quantity, sure = _quantity(raw, numbers, check_values(values), scale)
    shown = _range_words(raw, numbers)
    if invert:
        quantity = {
            DISPARITY: DEPTH,
            DEPTH: DISPARITY,
            METRES: DIOPTRES,
            MILLIMETRES: DIOPTRES,
            DISTANCE: DIOPTRES,
            DIOPTRES: METRES,
        }[quantity]
    depth, sky, metric = _convert(raw, numbers, quantity, scale)
    holes = ~(depth > SMALLEST_DEPTH) | (np.isinf(depth) & ~sky)
    if raw.measured is not None:
        holes |= ~raw.measured
    sky &= ~holes
    if holes.all():
        raise ValueError(
            f"holds no depth: every pixel is 0, negative or not a number ({shown}). Check the file."
        )
    with np.errstate(over="ignore"):
        planes = np.where(holes, np.inf, depth).astype(np.float32)
    return Planes(
        planes,
        holes,
        sky,
        metric,
        quantity == DISTANCE,
        _line(quantity, sure, shown, scale, invert),
    )


def _line(quantity: str, sure: str, shown: str, scale: float | None, invert: bool) -> str:
    text = f"read as {_WORDS[quantity]}{' (inverted)' if invert else ''} ({shown})"
    if scale is not None:
        text += f" times {scale:g} m"
    if sure:
        return f"{text}, {sure}"
    return f"{text}; `values` or `scale` changes that"


def _quantity(
    raw: RawDepth, numbers: np.ndarray, values: str, scale: float | None
) -> tuple[str, str]:
    """Return what the numbers are, and why that is sure; an empty reason where it was guessed."""
    if values != "automatic":
        return values, "as asked for"
    if raw.quantity is not None:
        return raw.quantity, "as the file says"
    if raw.likely is not None and not (scale is not None and raw.likely == MILLIMETRES):
        return raw.likely, ""
    if scale is not None:
        return METRES, "as asked for"
    return _guess(raw, numbers[np.isfinite(numbers) & (numbers > 0)]), ""


def _guess(raw: RawDepth, seen: np.ndarray) -> str:
    """Return what positive finite numbers look like."""
    high = float(seen.max()) if seen.size else 0.0
    if raw.values.dtype.kind == "f" and raw.top is None:
        if raw.colour_only and high <= 1:  # a depth picture that was saved as floats
            return DISPARITY
        whole = seen.size > 0 and bool((seen == np.round(seen)).all())
        return MILLIMETRES if whole and float(np.median(seen)) > _TALL else METRES
    if raw.top == 255:
        picture = raw.values.dtype.kind == "f" or high > 100 or raw.values.dtype == np.uint8
        return DISPARITY if picture else METRES
    return _guess_16_bit(raw, seen, high)


def _guess_16_bit(raw: RawDepth, seen: np.ndarray, high: float) -> str:
    if high <= _WHOLE_METRES:
        return METRES
    rest = seen[seen < 65535]
    below = float(rest.max()) if rest.size else 0.0
    if high == 65535 and 0 < below <= _ROOM:  # the top stands for "not measured"
        return MILLIMETRES
    levels = rest.size and bool((rest % 257 == 0).all())  # 8 bits, widened
    if levels:
        return DISPARITY
    if high >= _FULL_RANGE:
        return DISPARITY if high <= 65535 else MILLIMETRES
    gap = bool((raw.values == 0).any()) and float(seen.min()) >= _GAP
    return MILLIMETRES if high <= _ROOM or gap else DISPARITY


def _convert(
    raw: RawDepth, numbers: np.ndarray, quantity: str, scale: float | None
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return depth (NaN or below zero at holes), where the sky is, and whether it is metres."""
    numbers = np.where(np.isneginf(numbers), np.nan, numbers)
    if quantity in (METRES, MILLIMETRES, DISTANCE) or (quantity == DEPTH and scale is not None):
        return _from_depth(raw, numbers, quantity, scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        if quantity == DIOPTRES:
            depth = (scale or 1.0) / numbers
        elif scale is not None:
            depth = scale / (numbers / (raw.top if raw.top and raw.top > 1 else 1.0))
        else:
            depth = np.reciprocal(_share(raw, numbers, quantity))
    depth = np.where(np.isposinf(numbers) | (numbers < 0) | np.isnan(numbers), np.nan, depth)
    sky = np.isposinf(depth)
    return depth, sky, quantity == DIOPTRES or scale is not None


def _from_depth(
    raw: RawDepth, numbers: np.ndarray, quantity: str, scale: float | None
) -> tuple[np.ndarray, np.ndarray, bool]:
    unit = 0.001 if quantity == MILLIMETRES else 1.0
    if raw.scale is not None and (raw.scale_is_fixed or scale is None):
        unit = raw.scale
    elif scale is not None:
        unit = scale
    half = raw.values.dtype == np.float16
    sky = np.isposinf(numbers) | (numbers >= (FAR_HALF if half else FAR_FLOAT))
    if raw.zero_is_sky:
        sky |= numbers == 0
    depth = np.where(sky, np.inf, numbers * unit)
    unknown = np.isposinf(numbers) & raw.infinity_is_hole
    if raw.top == 65535 and quantity == MILLIMETRES and not raw.scale_is_fixed:
        unknown |= numbers == 65535
    depth = np.where(unknown, np.nan, depth)
    return depth, sky & ~unknown, True


def _share(raw: RawDepth, numbers: np.ndarray, quantity: str) -> np.ndarray:
    """Return normalised disparity 0…1, near is 1; NaN stays NaN."""
    finite = numbers[np.isfinite(numbers) & (numbers > 0)]
    high = float(finite.max()) if finite.size else 1.0
    if raw.top is not None:
        top = raw.top if high <= raw.top else high
    else:
        top = 1.0 if high <= 1 else high
    if quantity == DISPARITY:
        return numbers / top
    if raw.top is None and high > 1:  # distances without a unit: the nearest becomes 1
        with np.errstate(divide="ignore"):
            return np.where(numbers > 0, float(finite.min()) / numbers, np.nan)
    return np.where(np.isnan(numbers) | (numbers < 0), np.nan, 1 - (numbers / top).clip(0, 1))


def _range_words(raw: RawDepth, numbers: np.ndarray) -> str:
    """Return the range of the numbers that are measured, such as "1500 … 4500 of 65535"."""
    shown = numbers if raw.measured is None else numbers[raw.measured]
    finite = shown[np.isfinite(shown) & (shown > 0)]
    if not finite.size:
        return "nothing above 0"
    words = f"{_number(finite.min())} … {_number(finite.max())}"
    return words if raw.top in (None, 1.0) else f"{words} of {raw.top:g}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e7 else f"{value:.4g}"
