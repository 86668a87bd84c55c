"""`bokehdepth depth --subject`: a rough relative depth from a mask of the subject."""

import argparse
import sys

from torch import Tensor

from ...depth.from_mask import depth_from_mask
from ...files.pictures.images import read_image
from ...weights.published import BUILT_IN
from ..inputs import save_depth

FAR_OFF = 0.8  # separation, where none is given
_UNUSED = (
    *("photo", "strengths", "focus_distance"),
    *("resolution", "precision", "max_depth", "attention_scale"),
)


def run_from_mask(options: argparse.Namespace) -> None:
    """Run `depth` with a subject mask.

    Raises:
        ValueError: options that a mask leaves without effect, or an unusable mask.
        FileNotFoundError: no such file.
    """
    _check_unused(options)
    image = read_image(options.image)[None].to(options.device)
    mask = read_mask(options)
    share = FAR_OFF if options.separation is None else options.separation
    found = depth_from_mask(image, mask, ground=options.ground, separation=share)
    save_depth(options, found.depth, image[0])
    print(found.report, file=sys.stderr)
    print(f"{options.output}: normalised disparity from the mask {options.subject.name}")


def read_mask(options: argparse.Namespace) -> Tensor:
    """Return the subject mask, [1,H,W], 0…1: the brightness of a picture, white is the subject."""
    return read_image(options.subject).mean(-1)[None].to(options.device)


def _check_unused(options: argparse.Namespace) -> None:
    chosen = [name for name in _UNUSED if getattr(options, name) not in (None, "auto")]
    chosen += ["stack"] * bool(options.stack) + ["calibration"] * options.calibration
    chosen += ["checkpoint"] * (options.model != BUILT_IN)
    if chosen:
        flag = chosen[0].replace("_", "-")
        raise ValueError(f"{chosen[0]}: a mask alone gives the depth. Leave --{flag} out.")
    if options.output.suffix.lower() == ".ply":
        raise ValueError("output: a point cloud needs metres and a mask gives none. Use .exr.")
