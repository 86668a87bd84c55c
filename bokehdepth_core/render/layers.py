"""Depth edges of a photo: what is hidden behind them, and pixels that hold both sides mixed."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..callbacks import CheckCancelled, never_cancelled
from .inpaint import (
    BESIDE,
    EDGE_STEP,
    Behind,
    around,
    clip,
    nearest_behind,
    sample_behind,
    search_reach,
    smoothed,
)

WHITE = 1.0  # linear light; more than it comes from lamps and their reflections
SMALLEST_CONTRAST = 0.0003  # squared distance of two colours in linear light that can be unmixed
LARGEST_MISFIT = 0.1  # share of that distance by which a mixed colour may miss their line
EVEN = 0.5  # share of a pixel at which the depth map changes from the far to the near side
FAR = 3  # px around a mixed pixel of the far side in which its pure colour is looked for
NARROW = 3.5  # px from a depth edge within which what is hidden comes from all around
AROUND = 3  # px around such a pixel in which it is looked for
THIN = 2  # px around a pixel of a thin thing in which its purest colour is looked for


@dataclass(frozen=True, eq=False)
class Surface:
    """Part of the scene, pixel by pixel.

    Attributes:
        light: [3,H,W], linear light.
        defocus: [H,W], px, signed, front positive.
        cover: [H,W], 0…1, share of the pixel that it covers.
    """

    light: Tensor
    defocus: Tensor
    cover: Tensor


def separate_surfaces(
    light: Tensor,
    signed: Tensor,
    radius: float,
    background: tuple[Tensor, Tensor] | None = None,
    check_cancelled: CheckCancelled = never_cancelled,
) -> list[Surface]:
    """Return the visible surface with its edges unmixed, and the hidden one as far as it may show.

    The hidden surface takes the nearest colour in view of the surface behind, and a wider mean of
    such colours the farther that is away. Where it is the blurrier side it is left out: there the
    mean of what is in view is the better guess, and the renderer's division by coverage gives just
    that.

    Args:
        light: [3,H,W], linear light.
        signed: [H,W], px, defocus, front positive.
        radius: px, the largest blur of the picture; how far a hidden surface may come to show.
        background: light and defocus of the hidden surface where they are known: wherever that lies
            behind the visible one.
        check_cancelled: raises to stop.
    """
    towards = _towards_nearer(signed)
    edge = towards[2]
    if background is None and not edge.any():
        return [Surface(light, signed, torch.ones_like(signed))]
    check_cancelled()
    visible, spill = _unmix_far_side(light, signed, *towards)
    behind = nearest_behind(signed, edge, search_reach(radius), check_cancelled)
    check_cancelled()
    hidden_light, hidden_defocus, origin = sample_behind(light, signed, behind)
    row, column = (behind.distance < NARROW).nonzero(as_tuple=True)
    mean, found = _mean_behind(visible, signed, row, column, hidden_defocus[row, column])
    hidden_light[:, row, column] = torch.where(found, mean, hidden_light[:, row, column])
    known = torch.zeros_like(edge)
    if background is not None:
        known = background[1] < signed - EDGE_STEP
        hidden_light = torch.where(known, background[0], hidden_light)
        hidden_defocus = torch.where(known, background[1], hidden_defocus)
    check_cancelled()
    visible, front_cover = _unmix_near_side(visible, light, signed, behind, hidden_light)
    guessed = smoothed(hidden_light, hidden_defocus, behind.distance, check_cancelled)
    hidden_light = torch.where(known, hidden_light, guessed)
    there = torch.isfinite(behind.distance)
    sharper = there & (hidden_defocus.abs() < signed.abs())
    cover = torch.where(known | sharper, 1.0, 1 - front_cover)
    # A leaf before a fence before a wall: behind the fence that the leaf hides stands the wall.
    deeper_defocus = hidden_defocus[origin]
    deeper = sharper & sharper[origin] & (deeper_defocus < hidden_defocus - EDGE_STEP) & ~known
    return [
        Surface(visible, signed, front_cover),
        Surface(hidden_light, hidden_defocus, cover),
        Surface(hidden_light[:, origin[0], origin[1]], deeper_defocus, deeper.to(light)),
        spill,
    ]


def without_spill(light: Tensor, signed: Tensor) -> Tensor:
    """Return light [3,H,W] without what the near side of depth edges adds to the far side's pixels.

    Args:
        light: [3,H,W], linear light.
        signed: [H,W], px, defocus, front positive.
    """
    return _unmix_far_side(light, signed, *_towards_nearer(signed))[0]


def _square(reach: int) -> list[tuple[int, int]]:
    steps = range(-reach, reach + 1)
    return [(dy, dx) for dy in steps for dx in steps if dy or dx]


def _unmix_near_side(
    visible: Tensor, light: Tensor, signed: Tensor, behind: Behind, hidden_light: Tensor
) -> tuple[Tensor, Tensor]:
    """Return `visible` with the near side's own colour at its edges, and its coverage [H,W]."""
    row, column = (behind.distance < BESIDE).nonzero(as_tuple=True)
    length = behind.distance[row, column].clamp(min=1)
    inward = clip(
        row + BESIDE * (row - behind.row[row, column]) / length,
        column + BESIDE * (column - behind.column[row, column]) / length,
        signed,
    )
    inside = (signed[inward] - signed[row, column]).abs() < EDGE_STEP
    thin = ~(inside & (behind.distance[inward] > BESIDE))
    own, back = light[:, row, column], hidden_light[:, row, column]
    pure = light[:, inward[0], inward[1]]
    pure[:, thin] = _purest(light, signed, row[thin], column[thin], back[:, thin])
    share, mixed = _unmix(own, pure, back)
    share = share.clamp(min=EVEN)
    # Of a thin thing no pure colour may be in view: it holds the purest one's share, or all.
    share = torch.where(thin, (share + 1) / 2, share)
    share = torch.where(mixed, share, 1.0)
    brightest = light.max().clamp(min=WHITE)
    visible, cover = visible.clone(), torch.ones_like(signed)
    seen = torch.where(mixed, _rest(own, back, 1 - share, brightest), visible[:, row, column])
    visible[:, row, column], cover[row, column] = seen, share
    return visible, cover


def _mean_behind(
    light: Tensor, signed: Tensor, row: Tensor, column: Tensor, hidden_defocus: Tensor
) -> tuple[Tensor, Tensor]:
    """Return for pixels the mean light [3,N] of the surface behind, and where any is in view.

    It lies within `AROUND` px, on all sides; the closer counts far more. So a thin thing hides what
    passes from its one side to the other.
    """
    own = signed[row, column]
    total, count = light.new_zeros(3, len(row)), torch.zeros_like(own)
    for dy, dx in _square(AROUND):
        there = clip(row + dy, column + dx, signed)
        behind = signed[there] < own - EDGE_STEP
        same = (signed[there] - hidden_defocus).abs() < EDGE_STEP
        weight = (behind & same) / (dy * dy + dx * dx) ** 3
        total += weight * light[:, there[0], there[1]]
        count += weight
    return total / count.clamp(min=1e-9), count > 0


def _purest(light: Tensor, signed: Tensor, row: Tensor, column: Tensor, back: Tensor) -> Tensor:
    """Return for pixels their neighbour's light [3,N] on the line away from `back` [3,N].

    It is the farthest one within `THIN` px on the same surface, or the pixel's own.
    """
    own, own_defocus = light[:, row, column], signed[row, column]
    found, farthest = own, (own - back).square().sum(0)
    for dy, dx in _square(THIN):
        there = clip(row + dy, column + dx, signed)
        other = light[:, there[0], there[1]]
        contrast = (other - back).square().sum(0)
        _, on_line = _unmix(own, other, back)
        better = on_line & (contrast > farthest) & ((signed[there] - own_defocus).abs() < EDGE_STEP)
        found = torch.where(better, other, found)
        farthest = torch.where(better, contrast, farthest)
    return found


def _unmix_far_side(
    light: Tensor, signed: Tensor, dy: Tensor, dx: Tensor, edge: Tensor
) -> tuple[Tensor, Surface]:
    """Return the far side's own colour at its edge, and the near side's spill over those pixels."""
    row, column = edge.nonzero(as_tuple=True)
    step_y, step_x, own_defocus = dy[edge], dx[edge], signed[edge]
    away, next_to, inner = (clip(row + k * step_y, column + k * step_x, signed) for k in (-1, 1, 2))
    thin = signed[inner] <= own_defocus + EDGE_STEP
    near = tuple(torch.where(thin, a, b) for a, b in zip(next_to, inner, strict=True))
    own, near_light = light[:, row, column], light[:, near[0], near[1]]
    far_light = light[:, away[0], away[1]]
    other = edge[away] | ((signed[away] - own_defocus).abs() >= EDGE_STEP)
    mean, found = _mean_beside(light, signed, row[other], column[other], edge)
    far_light[:, other], pure = mean, ~other
    pure[other] = found
    share, mixed = _unmix(own, near_light, far_light)
    share = torch.where(thin, share / 2, share.clamp(max=EVEN))  # a thin thing's colour is mixed
    share = torch.where(mixed & pure, share, 0.0)
    brightest = light.max().clamp(min=WHITE)
    visible, spill = light.clone(), torch.zeros_like(light)
    cover, spill_defocus = torch.zeros_like(signed), signed.clone()
    visible[:, row, column], spill[:, row, column] = (
        _rest(own, near_light, share, brightest),
        near_light,
    )
    cover[row, column], spill_defocus[row, column] = share, signed[near]
    return visible, Surface(spill, spill_defocus, cover)


def _mean_beside(
    light: Tensor, signed: Tensor, row: Tensor, column: Tensor, mixed: Tensor
) -> tuple[Tensor, Tensor]:
    """Return for pixels the mean light [3,N] of unmixed ones beside them, and where there are any.

    Those lie on the same surface, within `FAR` px; the closer count more.
    """
    own = signed[row, column]
    total, count = light.new_zeros(3, len(row)), torch.zeros_like(own)
    for dy, dx in _square(FAR):
        there = clip(row + dy, column + dx, signed)
        fits = ~mixed[there] & ((signed[there] - own).abs() < EDGE_STEP)
        weight = fits / (dy * dy + dx * dx)
        total += weight * light[:, there[0], there[1]]
        count += weight
    return total / count.clamp(min=1e-6), count > 0


def _rest(light: Tensor, other: Tensor, share: Tensor, brightest: Tensor) -> Tensor:
    """Return the light of what is left of mixed pixels without a share of another light."""
    rest = torch.minimum(((light - share * other) / (1 - share)).clamp(min=0), brightest)
    return torch.where(share > 0, rest, light)


def _towards_nearer(signed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the step (dy, dx) to the closest neighbour across a depth edge, and where one is.

    An edge is a step by more than `EDGE_STEP` and than the slope goes on with on either side: the
    steep rim of a ball is one surface.
    """
    dy, dx = torch.zeros_like(signed), torch.zeros_like(signed)
    found = torch.zeros_like(signed, dtype=torch.bool)
    height, width = signed.shape
    padded = F.pad(signed[None, None], (2, 2, 2, 2), mode="replicate")[0, 0]
    for step_y, step_x in sorted(around(1), key=lambda step: abs(step[0]) + abs(step[1])):
        back, ahead, on = (
            padded[2 + k * step_y :, 2 + k * step_x :][:height, :width] for k in (-1, 1, 2)
        )
        slope = torch.maximum(signed - back, on - ahead).clamp(min=0)
        new = (ahead - signed > EDGE_STEP + slope) & ~found
        dy, dx = dy.masked_fill(new, step_y), dx.masked_fill(new, step_x)
        found |= new
    return dy, dx, found


def _unmix(light: Tensor, front: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share of `front` in a colour on the line to `back`, and where that is sound."""
    line = front - back
    contrast = line.square().sum(0)
    share = ((light - back) * line).sum(0) / contrast.clamp(min=1e-9)
    misfit = (light - back - share * line).square().sum(0)
    sound = (
        (contrast > SMALLEST_CONTRAST)
        & (misfit < LARGEST_MISFIT * contrast)
        & (share > 0)
        & (share < 1)
    )
    return share.clamp(0, 1), sound
