"""What a depth file holds, before its numbers have become metres."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

METRES = "metres"
MILLIMETRES = "millimetres"
DISTANCE = "distance"  # along the ray of the pixel, m
DIOPTRES = "dioptres"  # disparity in 1/m
DISPARITY = "disparity"  # near is large, without a unit
DEPTH = "depth"  # near is small, without a unit

VALUES = ("automatic", METRES, MILLIMETRES, DISTANCE, DISPARITY, DEPTH)  # what a caller may say


@dataclass(frozen=True, eq=False)
class RawDepth:
    """The numbers of a depth file as they are stored, with what the file says about them.

    Attributes:
        values: [H,W], of any real dtype.
        quantity: what the numbers are where the file says so, one of the constants above; else
            None, and the numbers themselves are the evidence.
        likely: what a name suggests they are (``disp0.pfm``, a channel named distance), or None.
        top: the value that stands for white (255, 65535), None for numbers without a top.
        scale: metres for one unit where the file says so.
        scale_is_fixed: True where that scale was written by this project and stands.
        measured: [H,W] bool, False where the file holds nothing; None: everywhere.
        zero_is_sky: 0 stands for infinity and not for "not measured".
        infinity_is_hole: infinity stands for "not measured" and not for the sky.
        confidence: [H,W], 0…1, or None.
        intrinsics: [3,3], px of `values`, or None.
        photo: reads the photo that lies in the same file, [H,W,3] sRGB; None where there is none.
        notes: what was chosen or guessed so far, a line each.
        colour_only: the numbers come from colour channels that are all equal: a picture of depth.
    """

    values: np.ndarray
    quantity: str | None = None
    likely: str | None = None
    top: float | None = None
    scale: float | None = None
    scale_is_fixed: bool = False
    measured: np.ndarray | None = None
    zero_is_sky: bool = False
    infinity_is_hole: bool = False
    confidence: np.ndarray | None = None
    intrinsics: np.ndarray | None = None
    photo: Callable[[], Tensor] | None = None
    notes: tuple[str, ...] = ()
    colour_only: bool = False


def likely_quantity(name: str) -> str | None:
    """Return what the name of a channel, array or file suggests its numbers are.

    >>> likely_quantity("ViewLayer.Disparity.V"), likely_quantity("distance_to_camera")
    ('disparity', 'distance')
    >>> likely_quantity("depth_mm"), likely_quantity("distance_to_image_plane")
    ('millimetres', None)
    """
    plain = name.lower()
    words = set("".join(c if c.isalnum() else " " for c in plain).split())
    if "plane" in words or "planar" in words:
        return None
    if "disp" in plain or "inverse" in plain or "invdepth" in plain or "inv" in words:
        return DISPARITY
    if "mm" in words or "millimetres" in words or "millimeters" in words:
        return MILLIMETRES
    if "distance" in plain or words & {"range", "ray", "dist", "raydepth", "euclidean"}:
        return DISTANCE
    return None


def written_camera(source: Path, written: str) -> np.ndarray:
    """Return the intrinsics that `write_depth` left in a file as text.

    Args:
        source: the file, for messages.
        written: JSON, a matrix [3,3].

    Raises:
        ValueError: no numbers in JSON.

    >>> written_camera(Path("a.exr"), "[[2, 0, 1], [0, 2, 1], [0, 0, 1]]").tolist()[0]
    [2.0, 0.0, 1.0]
    """
    try:
        with np.errstate(over="ignore"):  # infinity is refused where cameras are checked
            return np.array(json.loads(written), np.float32)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ValueError(
            f"{source.name}: unreadable bokehdepth.intrinsics ({reason}). Save the depth again."
        ) from error
