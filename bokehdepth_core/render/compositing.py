"""Surfaces cut into slices of equal defocus, blurred by the lens, laid over each other.

Each slice is convolved with the lens's spot of its defocus, and the slices cover each other from
the front: coverage adds up along one surface, which neighbouring slices share, until nothing shows
through.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .layers import WHITE, Surface

SHARP_RADIUS = 0.25  # px; a spot this small lies within one pixel
FRONT_RADIUS = 1.0  # px; a slice blurred by less is not told from one in focus

Blur = Callable[[Tensor, float], Tensor]
BeforeSlice = Callable[[int, int], None]


@dataclass(frozen=True)
class Fineness:
    """How finely defocus is cut.

    Attributes:
        step: px of defocus between slices at the focus plane.
        growth: the same as a share of the defocus, away from it.
    """

    step: float
    growth: float


@dataclass(frozen=True, eq=False)
class Exposure:
    """What the lens lets onto the sensor.

    Attributes:
        light: [3,H,W], linear light.
        front: [4,H,W], the part of it from slices blurred in front of the focus plane, and how
            much of each pixel they hide, 0…1; None where it was not asked for.
    """

    light: Tensor
    front: Tensor | None


def cut_levels(low: float, high: float, fineness: Fineness) -> list[float]:
    """Return the defocus of the slices, px, rising: 0 and both ends of the range among them.

    Args:
        low: smallest defocus of the picture, px; a positive one counts as 0.
        high: largest defocus, px; a negative one counts as 0.
        fineness: distance of neighbouring slices.
    """
    behind, front = _ladder(-low, fineness), _ladder(high, fineness)
    return [-rung for rung in reversed(behind)] + [0.0] + front


def _ladder(end: float, fineness: Fineness) -> list[float]:
    """Return rising steps from above 0 to exactly `end`; none where `end` is not above 0."""
    if end <= 0:
        return []
    rungs = [fineness.step]
    while rungs[-1] < end:
        rungs.append(rungs[-1] + max(fineness.step, fineness.growth * rungs[-1]))
    return [rung * end / rungs[-1] for rung in rungs]


def expose(
    surfaces: list[Surface],
    levels: list[float],
    blur: Blur,
    before_slice: BeforeSlice,
    keep_front: bool = False,
) -> Exposure:
    """Blur the slices of the surfaces, front first, and add them up.

    Args:
        surfaces: what the lens sees, all of one size.
        levels: defocus of the slices, px, rising.
        blur: blurs [C,H,W] by the spot of a defocus, px.
        before_slice: called with the number of slices done and of all; may raise to stop.
        keep_front: give the front's part alone as well.
    """
    glare = any(bool((surface.light > WHITE).any()) for surface in surfaces)
    light = _apart(torch.zeros_like(surfaces[0].light), glare)
    open_share = torch.ones_like(light[:1])
    front = torch.zeros_like(light[:1]).expand(4, -1, -1) if keep_front else None
    for done, level in enumerate(range(len(levels) - 1, -1, -1)):
        before_slice(done, len(levels))
        layer = _slice(surfaces, levels, level, glare)
        if layer is None:
            continue
        if abs(levels[level]) >= SHARP_RADIUS:
            layer = blur(layer, levels[level])
        cover = layer[-1:]
        taken = torch.minimum(cover.clamp(min=0), open_share)
        light.addcmul_(layer[:-1], torch.where(cover > 1e-9, taken / cover, 0.0))
        open_share -= taken
        if keep_front and levels[level] >= FRONT_RADIUS:
            front = torch.cat([_together(light), 1 - open_share])
    # Where no surface is known, what is seen there stands for it; but no lamp stands there twice.
    light[:3] /= (1 - open_share).clamp(min=1e-6)
    return Exposure(_together(light), front)


def _apart(light: Tensor, glare: bool) -> Tensor:
    """Return [6,H,W], light up to white and what is above it, of [3,H,W]; as it is without any."""
    return torch.cat([light.clamp(max=WHITE), (light - WHITE).clamp(min=0)]) if glare else light


def _together(light: Tensor) -> Tensor:
    return light if len(light) == 3 else light[:3] + light[3:]


def _slice(surfaces: list[Surface], levels: list[float], level: int, glare: bool) -> Tensor | None:
    """Return light times coverage, and coverage last, of one slice; None where it is empty.

    A pixel between two levels is shared by them in proportion, so that its mean blur is its own.
    """
    here = levels[level]
    below = levels[level - 1] if level > 0 else here - 1
    above = levels[level + 1] if level + 1 < len(levels) else here + 1
    total: Tensor | None = None
    for surface in surfaces:
        rise = (surface.defocus - below) / (here - below)
        fall = (above - surface.defocus) / (above - here)
        weight = torch.minimum(rise, fall).clamp(0, 1) * surface.cover
        if not weight.any():
            continue
        part = torch.cat([_apart(surface.light, glare) * weight, weight[None]])
        total = part if total is None else total.add_(part)
    return total
