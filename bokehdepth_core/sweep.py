"""Depth from a bokeh stack without weights: the blur sweep.

For each pixel the radius per bokeh strength is sought that turns the sharp reference into every
frame: frame_k = reference blurred by r = K_k · |d − d_f|.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .aperture import DISC, Aperture
from .checks import check_number
from .color import srgb_to_linear
from .datatypes import BokehStack, DepthMap
from .hooks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from .propagate import propagate
from .spot import SpotBlur

FOCUS_SIDES = ("nearest", "farthest")
LARGEST_RADIUS = 1 / 6  # of the picture's shorter side: wider spots leave too little to compare
FINE_STEP = 0.7  # px of radius between candidates in the strongest frame …
COARSE_STEP = 0.05  # … or this share of the radius, whichever is larger


def sweep_depth(
    stack: BokehStack,
    focus: str = "nearest",
    *,
    focus_depth: float | None = None,
    aperture: Aperture = DISC,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> DepthMap:
    """Return depth from the blur of a stack's frames, [1,H,W], with confidence.

    Blur alone does not tell in front of the focus plane from behind it, so the plane must be one
    end of the scene.

    Args:
        stack: sharp reference and its frames.
        focus: which end of the scene is sharp in the frames, "nearest" or "farthest".
        focus_depth: depth of that plane, m; infinity is allowed. None where unknown: the result is
            then normalised disparity, not metres.
        aperture: shape of the lens opening that made the frames.
        on_progress: called as work proceeds.
        check_cancelled: raises to stop.

    Returns:
        Metric depth from d = d_f ∓ |d − d_f|, infinite where that falls to zero; or normalised
        disparity where `focus_depth` is None.

    Raises:
        ValueError: an unknown `focus`, or a focus depth that is not positive.

    Reference:
        arXiv 2512.12425, "depth from bokeh sweep".
    """
    side = _check_focus(focus)
    plane = _focus_disparity(focus_depth)
    offset, confidence = disparity_offset(
        stack,
        behind=side < 0,
        aperture=aperture,
        on_progress=on_progress,
        check_cancelled=check_cancelled,
    )
    confidence = confidence[None]
    if plane is not None:
        disparity = (plane + side * offset).clamp(min=0)[None]
        return DepthMap(torch.reciprocal(disparity), confidence)
    share = offset / offset.max().clamp(min=torch.finfo(offset.dtype).tiny)
    disparity = (share if side > 0 else 1 - share)[None]
    return DepthMap(DepthMap.from_normalized_disparity(disparity).depth, confidence, metric=False)


def disparity_offset(
    stack: BokehStack,
    *,
    behind: bool = True,
    aperture: Aperture = DISC,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> tuple[Tensor, Tensor]:
    """Return |d − d_f| at every pixel, [H,W], 1/m, and its confidence, [H,W], 0…1.

    Confidence is that of the measurement; where it is low, the offset was filled in from confident
    pixels of the same surface.

    Args:
        stack: sharp reference and its frames.
        behind: the scene lies behind the focus plane; matters only where the spot of `aperture`
            differs from itself turned by 180°.
        aperture: shape of the lens opening that made the frames.
        on_progress: called as work proceeds.
        check_cancelled: raises to stop.
    """
    pictures = _Pictures.from_stack(stack, -1.0 if behind else 1.0, aperture)
    candidates = candidate_offsets(stack)
    best = _sweep(pictures, candidates, on_progress, check_cancelled)
    offset, confidence = best.result()
    filled = propagate(offset, confidence, stack.reference.to(offset))
    return filled, confidence


def frame_offsets(
    stack: BokehStack,
    *,
    aperture: Aperture = DISC,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> tuple[Tensor, Tensor]:
    """Return |d − d_f| as each frame alone shows it, [N,H,W], 1/m, and the confidence, [H,W].

    Confidence is that of the least certain frame. Arguments are those of `disparity_offset`.
    """
    found = []
    for index, strength in enumerate(stack.strengths):
        one = BokehStack(stack.reference, stack.frames[index : index + 1], (strength,))
        pictures = _Pictures.from_stack(one, -1.0, aperture)
        best = _sweep(
            pictures,
            candidate_offsets(stack),
            lambda done, total, first=index: on_progress(
                first * total + done, total * len(stack.strengths)
            ),
            check_cancelled,
        )
        found.append(best.result())
    offsets, confidences = zip(*found, strict=True)
    return torch.stack(offsets), torch.stack(confidences).amin(0)


def _check_focus(focus: str) -> int:
    """Return +1 where the scene lies in front of the focus plane, −1 where it lies behind."""
    if focus not in FOCUS_SIDES:
        raise ValueError(
            f'focus: expected "nearest" or "farthest", found {focus!r}. '
            "Say which end of the scene is sharp in the frames."
        )
    return -1 if focus == "nearest" else 1


def _focus_disparity(focus_depth: float | None) -> float | None:
    if focus_depth is None:
        return None
    if focus_depth == float("inf"):
        return 0.0
    hint = "Give the distance of the plane that is sharp in the frames."
    return 1.0 / check_number(focus_depth, "focus_depth", above=0, hint=hint)


def candidate_offsets(stack: BokehStack) -> Tensor:
    """Return the offsets |d − d_f| that a sweep tries, 1/m, ascending from 0."""
    strongest = max(stack.strengths)
    largest = LARGEST_RADIUS * min(stack.reference.shape[:2])
    radii = [0.0]
    while radii[-1] < largest:
        radii.append(radii[-1] + max(FINE_STEP, COARSE_STEP * radii[-1]))
    return torch.tensor(radii) / strongest


@dataclass(frozen=True)
class _Pictures:
    """What a sweep compares: the reference's spectrum and the frames, ready for use."""

    blur: SpotBlur
    spectrum: Tensor
    frames: Tensor
    strengths: tuple[float, ...]
    side: float

    @classmethod
    def from_stack(cls, stack: BokehStack, side: float, aperture: Aperture) -> "_Pictures":
        reference = srgb_to_linear(stack.reference.to(torch.float32)).permute(2, 0, 1)
        frames = srgb_to_linear(stack.frames.to(torch.float32)).permute(0, 3, 1, 2)
        height, width = reference.shape[1:]
        margin = int(LARGEST_RADIUS * min(height, width)) + 2
        blur = SpotBlur((height, width), margin, aperture, reference.device)
        return cls(
            blur, blur.transform(reference), frames.clamp(min=0).sqrt(), stack.strengths, side
        )

    def cost(self, offset: float) -> Tensor:
        """Return how badly each pixel fits an offset, [H,W]."""
        total: Tensor | float = 0.0
        for frame, strength in zip(self.frames, self.strengths, strict=True):
            blurred = self.blur.blur(self.spectrum, self.side * strength * offset)
            difference = (blurred.clamp(min=0).sqrt() - frame).square().sum(0).clamp(max=0.04)
            total = total + gaussian(difference, 2.0) / strength
        return total


def _sweep(
    pictures: _Pictures, offsets: Tensor, on_progress: OnProgress, check_cancelled: CheckCancelled
) -> "RunningMinimum":
    best = RunningMinimum()
    for index, offset in enumerate(offsets.tolist()):
        check_cancelled()
        on_progress(index, len(offsets))
        best.update(offset, pictures.cost(offset))
    on_progress(len(offsets), len(offsets))
    return best


class RunningMinimum:
    """Keeps the cheapest candidate of each pixel with its two neighbours, not all candidates."""

    def __init__(self) -> None:
        self._last: list[tuple[float, Tensor]] = []

    def update(self, offset: float, cost: Tensor) -> None:
        """Take in the costs [H,W] of the next candidate; offsets ascend from 0."""
        if not self._last:
            self._cost = cost
            self._offsets = torch.stack([torch.full_like(cost, offset)] * 3)
            self._around = torch.stack([cost, cost])
            self._mean = cost.clone()
            self._count = 1
            self._fresh = torch.ones_like(cost, dtype=torch.bool)
            self._last = [(offset, cost)]
            return
        before, cost_before = self._last[-1]
        # The candidate after a new minimum completes its neighbourhood.
        if len(self._last) == 1 and before == 0:
            # Blur is the same for −r and r: the minimum at 0 has a mirrored neighbour.
            self._offsets[0] = -offset
            self._around[0] = cost
        self._offsets[2] = torch.where(self._fresh, offset, self._offsets[2])
        self._around[1] = torch.where(self._fresh, cost, self._around[1])
        better = cost < self._cost
        self._cost = torch.where(better, cost, self._cost)
        self._offsets[0] = torch.where(better, before, self._offsets[0])
        self._offsets[1] = torch.where(better, offset, self._offsets[1])
        self._offsets[2] = torch.where(better, offset, self._offsets[2])
        self._around[0] = torch.where(better, cost_before, self._around[0])
        self._around[1] = torch.where(better, cost, self._around[1])
        self._fresh = better
        self._mean = self._mean + cost
        self._count += 1
        self._last = [self._last[-1], (offset, cost)]

    def result(self) -> tuple[Tensor, Tensor]:
        """Return the offset at the vertex of a parabola through the three, and confidence 0…1."""
        low, mid, high = self._offsets
        left, right = mid - low, high - mid
        rise_left = (self._around[0] - self._cost).clamp(min=0)
        rise_right = (self._around[1] - self._cost).clamp(min=0)
        # Vertex of the parabola through three unevenly spaced points.
        above = rise_left * right.square() - rise_right * left.square()
        below = rise_left * right + rise_right * left
        vertex = mid + torch.where(below > 0, 0.5 * above / below.clamp(min=1e-20), 0.0)
        vertex = torch.minimum(torch.maximum(vertex, (mid + low) / 2), (mid + high) / 2)
        contrast = (self._mean / self._count - self._cost).clamp(min=0)
        confidence = contrast / (contrast + 3 * self._cost + 3e-5)
        return vertex.clamp(min=0), confidence


def gaussian(plane: Tensor, sigma: float) -> Tensor:
    """Return a plane [H,W] averaged over a Gaussian window of `sigma` px, inside the picture."""
    reach = min(int(3 * sigma + 0.5), min(plane.shape) - 1)
    taps = torch.arange(-reach, reach + 1, dtype=plane.dtype, device=plane.device)
    kernel = torch.exp(-0.5 * (taps / sigma).square())
    kernel = kernel / kernel.sum()
    padded = torch.nn.functional.pad(plane[None, None], (reach,) * 4, mode="reflect")
    rows = torch.nn.functional.conv2d(padded, kernel[None, None, :, None])
    return torch.nn.functional.conv2d(rows, kernel[None, None, None, :])[0, 0]
