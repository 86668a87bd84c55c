"""What a generated bokeh stack is worth: does its blur obey K, and is the subject left alone?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, never_cancelled
from ...color import linear_to_srgb, srgb_to_lab, srgb_to_linear
from ...datatypes import BokehStack, DepthMap
from ...depth.alignment import align_stack
from ...depth.sweep.calibration import ENOUGH_PIXELS, StackBlur, measured_blur
from ..picture_metrics import psnr

SHARP = 0.5  # px of blur in the strongest frame: what counts as the subject's plane
EQUAL_DB = 99.0  # in place of infinity, where nothing differs
FEWEST_SHARP = 64  # pixels in the focus mask


@dataclass(frozen=True)
class StackScores:
    """Figures of one stack; None where they were not measured.

    Attributes:
        r_squared: of blur radius against K, see `StackCalibration`.
        slope: blur over the blur that depth and lens formula give, median; 1 is exact.
        monotony: share of neighbouring strengths whose radius grows with K.
        subject_psnr: dB, frames against the photo inside the focus mask.
        colour: distance of mean colours (of light), frames against the photo, in LAB.
        moved: largest displacement or wobble of a frame, px.
        unaligned: frames that could not be aligned.
        shown: K that each frame shows, by depth and lens formula; NaN where nothing tells.
        blocks: 2 x 2 blocks of pixels that the blur was measured on.
    """

    r_squared: float | None
    slope: float | None
    monotony: float | None
    subject_psnr: float | None
    colour: float
    moved: float
    unaligned: int
    shown: tuple[float, ...]
    blocks: int


@dataclass(frozen=True, eq=False)
class Truth:
    """What depth says about a photo.

    Attributes:
        offset: [H,W], |d - d_f|, blur radius in px per unit of strength.
    """

    offset: Tensor

    def blur(self, strengths: Sequence[float]) -> StackBlur:
        """Return the blur of frames by the lens formula, on blocks of 2 x 2 pixels."""
        values = torch.tensor(strengths)
        slope = self.offset[::2, ::2].float()
        sure = torch.ones_like(slope, dtype=torch.bool)
        return StackBlur(values[:, None, None] * slope, slope, sure, values)

    def in_focus(self, strengths: Sequence[float]) -> Tensor:
        """Return the focus mask, [H,W] bool."""
        return self.offset * max(strengths) < SHARP


def truth_of(depth: DepthMap, focus_depth: float) -> Truth:
    """Return what a depth map [1,H,W] says of a photo focused at a depth.

    Example:
        >>> depth = DepthMap(torch.tensor([[[1.0, 2.0]]]))
        >>> truth_of(depth, 1.0).offset
        tensor([[0.0000, 0.5000]])
    """
    return Truth((depth.disparity[0] - 1 / focus_depth).abs())


def score_stack(
    stack: BokehStack,
    truth: Truth | None = None,
    *,
    check_cancelled: CheckCancelled = never_cancelled,
) -> StackScores:
    """Return the figures of a stack. Its blur is measured after alignment, as the sweep does.

    Args:
        stack: at least two frames of different strength.
        truth: of the photo; None leaves out what needs depth.
        check_cancelled: raises to stop.
    """
    aligned, report = align_stack(stack, strict=False, check_cancelled=check_cancelled)
    blur = measured_blur(aligned, check_cancelled=check_cancelled)
    count = int(blur.chosen.sum())
    enough = count >= ENOUGH_PIXELS
    slope, shown = None, tuple(math.nan for _ in stack.strengths)
    if truth is not None:
        true_blur = truth.blur(stack.strengths)
        slope = _known(blur.slope_against(true_blur))
        shown = _shown(blur, true_blur)
    return StackScores(
        blur.r_squared if enough else None,
        slope,
        blur.monotony if enough else None,
        None if truth is None else _subject_psnr(stack, truth.in_focus(stack.strengths)),
        _colour_shift(stack),
        max(max(one.moved, one.wobble) for one in report.frames),
        len(report.problems),
        shown,
        count,
    )


def _shown(blur: StackBlur, truth: StackBlur) -> tuple[float, ...]:
    """Return K of each frame by its radii over the true offsets, median."""
    both = blur.chosen & truth.chosen
    if int(both.sum()) < ENOUGH_PIXELS:
        return tuple(math.nan for _ in blur.strengths)
    found: list[float] = (blur.radii[:, both] / truth.slope[both]).median(dim=1).values.tolist()
    return tuple(found)


def _subject_psnr(stack: BokehStack, mask: Tensor) -> float | None:
    if int(mask.sum()) < FEWEST_SHARP:
        return None
    errors = [10 ** (-psnr(frame, stack.reference, mask) / 10) for frame in stack.frames]
    mean = sum(errors) / len(errors)
    return EQUAL_DB if mean == 0 else min(EQUAL_DB, -10 * math.log10(mean))


def _colour_shift(stack: BokehStack) -> float:
    """Return the mean over frames of the distance between mean colours in LAB.

    Means are of linear light, which a lens's blur keeps.
    """
    photo = _mean_lab(stack.reference)
    return float(torch.stack([(_mean_lab(one) - photo).norm() for one in stack.frames]).mean())


def _mean_lab(picture: Tensor) -> Tensor:
    light = srgb_to_linear(picture.float()).flatten(0, 1).mean(0)
    return srgb_to_lab(linear_to_srgb(light))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
