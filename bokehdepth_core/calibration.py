"""How far a stack's frames obey the lens model: radius proportional to bokeh strength."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .aperture import DISC, Aperture
from .checks import check_number, check_shape
from .datatypes import BokehStack, DepthMap
from .hooks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from .sweep import frame_radii

CONFIDENT = 0.8
SMALLEST_RADIUS = 1.0  # px in the strongest frame: smaller blur says nothing about scale


@dataclass(frozen=True)
class StackCalibration:
    """How well a stack's blur follows its bokeh strengths.

    Attributes:
        r_squared: share of the variance of radius, over frames within each pixel, that one number
            per pixel times K explains; 1 is a perfect stack, 0 or below is no stack at all;
            0 too where no pixel is confident.
        frame_scales: measured over stated bokeh strength of each frame, 1 where exact; NaN
            where no pixel is confident.
        confident_pixels: number of 2 x 2 blocks of pixels that decided.
        metric_scale: K in px·m over stated K, from a depth map; None without one.
    """

    r_squared: float
    frame_scales: tuple[float, ...]
    confident_pixels: int
    metric_scale: float | None = None

    @property
    def summary(self) -> str:
        """One line for a person."""
        if self.confident_pixels == 0:
            return "no pixel is both blurred and textured enough: the calibration is not known"
        scales = ", ".join(f"{scale:.2f}" for scale in self.frame_scales)
        text = (
            f"R² {self.r_squared:.3f} of blur radius against strength over "
            f"{self.confident_pixels} confident pixels; strength of frames x {scales}"
        )
        if self.metric_scale is not None:
            text += f"; one unit of strength is {self.metric_scale:.3g} px·m"
        return text


def check_calibratable(strengths: Sequence[float]) -> None:
    """Check that a stack of these strengths can be calibrated.

    Raises:
        ValueError: fewer than two different strengths.
    """
    if len(set(strengths)) < 2:
        raise ValueError(
            f"strengths: found {len(set(strengths))} different value, a line needs two. "
            "Give frames of at least two bokeh strengths."
        )


def calibrate_stack(
    stack: BokehStack,
    depth: DepthMap | None = None,
    focus_depth: float | None = None,
    *,
    aperture: Aperture = DISC,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> StackCalibration:
    """Return how linear the blur radius of a stack is in its bokeh strengths, and its scale.

    Each frame's radius is measured without the others and regressed on K through the origin.

    Args:
        stack: at least two frames of different strength.
        depth: [1,H,W], m, ties the strengths to metres; needs `focus_depth`.
        focus_depth: depth of the plane that is sharp in the frames, m.
        aperture: shape of the lens opening that made the frames.
        on_progress: called as work proceeds.
        check_cancelled: raises to stop.

    Raises:
        ValueError: fewer than two different strengths, a depth map without metres or of another
            size, or a depth map without a focus depth.
    """
    check_calibratable(stack.strengths)
    truth = _true_offset(stack, depth, focus_depth)
    radii, confidence = frame_radii(
        stack, aperture=aperture, on_progress=on_progress, check_cancelled=check_cancelled
    )
    strengths = torch.tensor(stack.strengths).to(radii)
    slope = (radii * strengths[:, None, None]).sum(0) / strengths.square().sum()
    chosen = (confidence.amin(0) > CONFIDENT) & (slope * strengths.max() > SMALLEST_RADIUS)
    return StackCalibration(
        _r_squared(radii[:, chosen], slope[chosen], strengths),
        _frame_scales(radii[:, chosen], slope[chosen], strengths),
        int(chosen.sum()),
        None if truth is None else _metric_scale(slope, truth, chosen),
    )


def _true_offset(
    stack: BokehStack, depth: DepthMap | None, focus_depth: float | None
) -> Tensor | None:
    if depth is None:
        return None
    if not depth.metric:
        raise ValueError(
            "depth: holds normalised disparity, which has no scale. Give a depth map in metres."
        )
    check_shape(depth.depth, "depth", "1 H W")
    if depth.depth.shape[1:] != stack.reference.shape[:2]:
        raise ValueError(
            f"depth: expected {list(stack.reference.shape[:2])} like the stack, found "
            f"{list(depth.depth.shape[1:])}. Give the depth map of the same picture."
        )
    if focus_depth is None:
        raise ValueError(
            "focus_depth: needed with a depth map. Give the distance of the plane that is sharp."
        )
    plane = check_number(focus_depth, "focus_depth", above=0)
    # The measurement stands for blocks of 2 x 2 pixels.
    offset = (depth.disparity[0] - 1.0 / plane).abs()
    return offset[::2, ::2]


def _r_squared(radii: Tensor, slope: Tensor, strengths: Tensor) -> float:
    """Return R² of [N,P] radii around slope · strengths, against each pixel's mean radius."""
    if slope.numel() == 0:
        return 0.0
    residual = (radii - strengths[:, None] * slope).square().sum()
    spread = (radii - radii.mean(0)).square().sum()
    return float(1 - residual / spread.clamp(min=1e-12))


def _frame_scales(radii: Tensor, slope: Tensor, strengths: Tensor) -> tuple[float, ...]:
    """Return for each frame the median of measured over expected radius."""
    if slope.numel() == 0:
        return tuple(float("nan") for _ in strengths)
    ratios = radii / (strengths[:, None] * slope)
    return tuple(ratios.median(dim=1).values.tolist())


def _metric_scale(slope: Tensor, truth: Tensor, chosen: Tensor) -> float:
    """Return the median of measured over true offset, px·m per unit of strength."""
    used = chosen & (truth > 0)
    return float((slope[used] / truth.to(slope)[used]).median()) if used.any() else float("nan")
