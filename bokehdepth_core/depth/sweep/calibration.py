"""How far a stack's frames obey the lens model: radius proportional to bokeh strength."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ...checks import check_number, check_shape
from ...datatypes import BokehStack, DepthMap
from ...optics.aperture import DISC, Aperture
from ..stacks import check_one_focus
from .radii import frame_radii

CONFIDENT = 0.8
CLOSE = 0.05  # of a strength: below it nobody sees a difference
POOR = 0.9  # R²; real brackets and rendered stacks are above it
ENOUGH_PIXELS = 200  # fewer say too little about a whole stack
PLANES = 256  # tried between the farthest and the nearest depth
SMALLEST_SPREAD = 0.01  # of the largest disparity: less does not tell where the focus plane is
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
        metric_scale: K in px·m over stated K, from a depth map; None without one, or where
            nothing tells.
        focus_depth: depth of the focus plane, m, as given or found with the scale; None likewise.

    Reference:
        `calibrate_stack`, which gives the formulas.

    Example:
        >>> found = StackCalibration(0.98, (1.0, 0.9), 5000, metric_scale=1.25)
        >>> found.measured_strengths((8.0, 16.0))  # px·m
        (10.0, 18.0)
    """

    r_squared: float
    frame_scales: tuple[float, ...]
    confident_pixels: int
    metric_scale: float | None = None
    focus_depth: float | None = None

    @property
    def summary(self) -> str:
        """One line for a person."""
        if self.confident_pixels == 0:
            return "no pixel is both blurred and textured enough: the calibration is not known"
        if self.confident_pixels < ENOUGH_PIXELS:
            return (
                f"only {self.confident_pixels} confident pixels, of {ENOUGH_PIXELS} that an R² "
                "takes: the calibration is not known"
            )
        scales = ", ".join(f"{scale:.2f}" for scale in self.frame_scales)
        text = (
            f"R² {self.r_squared:.3f} of blur radius against strength over "
            f"{self.confident_pixels} confident pixels; strength of frames x {scales}"
        )
        if self.metric_scale is not None:
            text += f"; one unit of strength is {self.metric_scale:.3g} px·m"
        if self.focus_depth is not None:
            text += f", focus at {self.focus_depth:.3g} m"
        return text

    def measured_strengths(self, stated: Sequence[float]) -> tuple[float, ...] | None:
        """Return the strengths that the frames show; None where the calibration is not known.

        In px·m where a depth map told the scale; else measured against one another, in the unit of
        the stated ones.

        Args:
            stated: of the frames, as `calibrate_stack` was given them.

        Example:
            >>> StackCalibration(0.98, (1.0, 0.8), 500).measured_strengths((10, 30))
            (10.0, 24.0)
        """
        unit = 1.0 if self.metric_scale is None else self.metric_scale
        found = tuple(
            unit * scale * strength
            for scale, strength in zip(self.frame_scales, stated, strict=True)
        )
        known = self.confident_pixels >= ENOUGH_PIXELS
        return found if known and all(value > 0 for value in found) else None

    def in_words(self, stated: Sequence[float]) -> str:
        """Return what the calibration means for each strength, as a sentence or two.

        Args:
            stated: of the frames, as `calibrate_stack` was given them.

        Example:
            >>> StackCalibration(0.98, (1.0, 0.8), 500).in_words((10, 30))
            'Measured against one another, K 10 came out as 10, K 30 as 24.'
        """
        found = self.measured_strengths(stated)
        if found is None:
            return "What the strengths came out as is not known."
        off = max(abs(value / k - 1) for value, k in zip(found, stated, strict=True))
        how = "Measured against one another" if self.metric_scale is None else "By the depth"
        if off <= CLOSE:
            text = f"{how}, every K came out as asked for, within {100 * CLOSE:.0f} %."
        else:
            pairs = [f"K {k:g} {{}}as {value:.3g}" for value, k in zip(found, stated, strict=True)]
            first, *others = pairs
            said = ", ".join([first.format("came out "), *(one.format("") for one in others)])
            text = f"{how}, {said}."
        if self.r_squared < POOR:
            text += " The blur hardly follows K: use other steps, noise levels or weights."
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
        depth: [1,H,W], m, ties the strengths to metres.
        focus_depth: depth of the plane that is sharp in the frames, m; None finds it with the
            scale, where the depth map has more than one depth.
        aperture: shape of the lens's aperture that made the frames.
        on_progress: called as work proceeds.
        check_cancelled: raises to stop.

    Raises:
        ValueError: fewer than two different strengths, or a depth map without metres or of another
            size.

    Reference:
        Thin lens, arXiv 2512.12425: r = K |1/Z − 1/Z_f|, so within a pixel r is proportional to K.
        Least squares through the origin: slope = Σ K r / Σ K². R² is the coefficient of
        determination.

    Example:
        >>> photo = torch.rand(24, 32, 3)
        >>> sharp = BokehStack(photo, torch.stack([photo, photo]), (5.0, 10.0))  # no blur
        >>> len(calibrate_stack(sharp).frame_scales)
        2
    """
    check_calibratable(stack.strengths)
    disparity = None if depth is None else _blocks_of(depth, stack)
    plane = None if focus_depth is None else check_number(focus_depth, "focus_depth", above=0)
    blur = measured_blur(
        stack, aperture=aperture, on_progress=on_progress, check_cancelled=check_cancelled
    )
    scale, chosen = None, blur.chosen
    if disparity is not None:
        disparity = disparity.to(blur.slope)
        if plane is None:  # sharp blocks too: they lie on it
            plane = _fitting_plane(blur.slope[blur.sure], disparity[blur.sure])
        scale, plane = _metric_scale(blur.slope[chosen], disparity[chosen], plane)
    return StackCalibration(
        blur.r_squared,
        _frame_scales(blur.radii[:, chosen], blur.slope[chosen], blur.strengths),
        int(chosen.sum()),
        scale,
        None if scale is None else plane,
    )


@dataclass(frozen=True, eq=False)
class StackBlur:
    """The blur that the frames of a stack show, on blocks of 2 x 2 pixels.

    Attributes:
        radii: [N,h,w], px, each frame by itself.
        slope: [h,w], px of radius per unit of strength, by least squares through the origin.
        sure: [h,w] bool: blocks whose radii are clear.
        strengths: [N], px·m, as stated.
    """

    radii: Tensor
    slope: Tensor
    sure: Tensor
    strengths: Tensor

    @property
    def chosen(self) -> Tensor:
        """[h,w] bool: blocks that are sure, and blurred enough to tell something."""
        return self.sure & (self.slope * self.strengths.max() > SMALLEST_RADIUS)

    @property
    def r_squared(self) -> float:
        """R² of radius against K, see `StackCalibration`."""
        return _r_squared(self.radii[:, self.chosen], self.slope[self.chosen], self.strengths)

    @property
    def monotony(self) -> float:
        """Share of pairs of neighbouring strengths whose radius grows with K; NaN without any."""
        order = self.strengths.argsort()
        steps = self.radii[order][:, self.chosen].diff(dim=0)
        return float((steps > 0).float().mean()) if steps.numel() else math.nan

    def slope_against(self, truth: "StackBlur") -> float:
        """Return how many units of the truth's strength one unit is worth; 1 where exact.

        The median over the blocks that are sure in both; NaN where fewer than `ENOUGH_PIXELS` are.

        Args:
            truth: of the same photo and focus.
        """
        both = self.chosen & truth.chosen
        if int(both.sum()) < ENOUGH_PIXELS:
            return math.nan
        return float((self.slope[both] / truth.slope[both]).median())


def measured_blur(
    stack: BokehStack,
    *,
    aperture: Aperture = DISC,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> StackBlur:
    """Return the blur of a stack's frames; the arguments are those of `calibrate_stack`.

    Raises:
        ValueError: a focus stack.
    """
    check_one_focus(stack, "calibration")
    radii, confidence = frame_radii(
        stack, aperture=aperture, on_progress=on_progress, check_cancelled=check_cancelled
    )
    strengths = torch.tensor(stack.strengths).to(radii)
    slope = (radii * strengths[:, None, None]).sum(0) / strengths.square().sum()
    return StackBlur(radii, slope, confidence.amin(0) > CONFIDENT, strengths)


def _blocks_of(depth: DepthMap, stack: BokehStack) -> Tensor:
    """Return disparity, 1/m, of the blocks of 2 x 2 pixels that the measurement stands for."""
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
    return depth.disparity[0, ::2, ::2]


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


def _metric_scale(
    slope: Tensor, disparity: Tensor, focus_depth: float | None
) -> tuple[float | None, float | None]:
    """Return px·m per unit of strength, and the depth of the focus plane, m; None where unknown.

    The scale is the median of measured slope over true offset from the plane.

    Args:
        slope: [P], px of radius per unit of strength.
        disparity: [P], 1/m.
        focus_depth: m; None where it is not known.
    """
    if focus_depth is None:
        return None, None
    offset = (disparity - 1.0 / focus_depth).abs()
    used = offset > 0
    if not used.any():
        return None, None
    return float((slope[used] / offset[used]).median()), focus_depth


def _fitting_plane(slope: Tensor, disparity: Tensor) -> float | None:
    """Return the depth, m, of the plane that |disparity - plane| fits the slopes for best."""
    if len(slope) == 0:
        return None
    low, high = float(disparity.min()), float(disparity.max())
    if high - low <= SMALLEST_SPREAD * high:
        return None
    best, found = float("inf"), None
    for plane in torch.linspace(low, high, PLANES).tolist():
        offset = (disparity - plane).abs()
        scale = (slope * offset).sum() / offset.square().sum()
        error = float((slope - scale * offset).abs().sum())
        if error < best and plane > 0:
            best, found = error, plane
    return None if found is None else 1.0 / found
