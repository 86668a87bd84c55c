"""Alpha matting: the two colours that are mixed in a pixel at a depth edge, and their shares.

A pixel that a depth edge crosses holds light of both sides,

    c = alpha F + (1 - alpha) B,

with F the colour of the near side (foreground), B that of the far side (background) and alpha the
part of the pixel that the near side covers (Porter and Duff 1984). F and B are sampled a little off
the edge. Then alpha is estimated, and the equation is solved for the colour of the side that the
depth map gives the pixel to: B on the far side of an edge, F on the near side.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .discontinuities import (
    EDGE_STEP,
    EDGE_WIDTH,
    DepthEdges,
    Pixels,
    mean_around,
    pixels_at,
    pixels_at_once,
    pixels_beside,
    values_at,
    window_offsets,
)
from .nearest import NearestBackground

WHITE = 1.0  # linear light; more than it comes from lamps and their reflections
SMALLEST_CONTRAST = 0.0003  # |F - B|², linear light, below which the two colours cannot be told
LARGEST_RESIDUAL = 0.1  # share of |F - B|² by which c² may miss the line from B to F
HALF = 0.5  # alpha at which the depth map changes from the far to the near side
BACKGROUND_RADIUS = 3  # px around a far-side pixel in which its pure colour B is looked for
THIN_RADIUS = 2  # px around a pixel of a thin thing in which its purest colour F is looked for


@dataclass(frozen=True, eq=False)
class FarSideMatte:
    """Far-side edge pixels parted into what lies there and what the near side adds.

    Attributes:
        background: [3,H,W], linear light, the picture with B in its far-side edge pixels.
        foreground: [3,H,W], F in those pixels, 0 elsewhere.
        foreground_from: [H,W], int32, flat index of the pixel that F is of; elsewhere its own.
        alpha: [H,W], 0…1, coverage by F; 0 elsewhere.
    """

    background: Tensor
    foreground: Tensor
    foreground_from: Tensor
    alpha: Tensor


@dataclass(frozen=True, eq=False)
class Matte:
    """Result of matting N pixels of one side.

    Attributes:
        alpha: [N], 0…1, coverage by the foreground.
        color: [3,N], linear light of the side the pixels belong to: F or B.
        mixed: [N], bool; elsewhere the pixel is all of its own side and keeps its colour.
    """

    alpha: Tensor
    color: Tensor
    mixed: Tensor


def estimate_alpha(color: Tensor, foreground: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Return alpha of pixels whose F and B are known, and where the estimate can be trusted.

    The least-squares solution of c = alpha F + (1 - alpha) B:
    alpha = (c - B)·(F - B) / |F - B|². It is trusted where it lies between 0 and 1, F and B
    differ, and c is close to the line between them.

    Args:
        color: [3,…,N], linear light c.
        foreground: [3,…,N], linear light F.
        background: [3,…,N], linear light B.

    Returns:
        alpha […,N], 0…1, and trust […,N], bool.

    Example:
        >>> c, f, b = (torch.tensor([[x], [x], [x]]) for x in (0.4, 0.1, 0.5))
        >>> alpha, trusted = estimate_alpha(c, f, b)
        >>> round(alpha.item(), 4), trusted.item()
        (0.25, True)
    """
    line = foreground - background
    contrast = line.square().sum(0)
    alpha = ((color - background) * line).sum(0) / contrast.clamp(min=1e-9)
    residual = (color - background - alpha * line).square().sum(0)
    trusted = (
        (contrast > SMALLEST_CONTRAST)
        & (residual < LARGEST_RESIDUAL * contrast)
        & (alpha > 0)
        & (alpha < 1)
    )
    return alpha.clamp(0, 1), trusted


def matte(
    color: Tensor,
    foreground: Tensor,
    background: Tensor,
    near_side: bool,
    thin: Tensor,
    usable: Tensor | None = None,
    brightest: Tensor | float = WHITE,
) -> Matte:
    """Solve c = alpha F + (1 - alpha) B for alpha and the own colour of pixels of one side.

    The depth map gives a pixel to the side that covers more of it, so alpha is at least `HALF` on
    the near side and at most `HALF` on the far side. The sampled F of a thin thing is mixed with B
    itself; the other side's share is then halved.

    Args:
        color: [3,N], linear light c.
        foreground: [3,N], linear light, F as sampled.
        background: [3,N], linear light, B as sampled.
        near_side: whether the pixels belong to the near side; then F is solved for, else B.
        thin: [N], bool, where the near side is a thin thing whose pure colour may not be in view.
        usable: [N], bool, where the samples are good; None for everywhere.
        brightest: linear light that no solved colour exceeds.
    """
    alpha, mixed = estimate_alpha(color, foreground, background)
    if usable is not None:
        mixed = mixed & usable
    if near_side:
        alpha = alpha.clamp(min=HALF)
        alpha = torch.where(thin, (alpha + 1) / 2, alpha)
        alpha = torch.where(mixed, alpha, 1.0)
        own = _without(color, background, 1 - alpha, brightest)
    else:
        alpha = torch.where(thin, alpha / 2, alpha.clamp(max=HALF))
        alpha = torch.where(mixed, alpha, 0.0)
        own = _without(color, foreground, alpha, brightest)
    return Matte(alpha, own, mixed)


def _without(color: Tensor, other: Tensor, share: Tensor, brightest: Tensor | float) -> Tensor:
    """Return x of c = share·other + (1 - share)·x, [3,N], between 0 and `brightest`."""
    rest = ((color - share * other) / (1 - share)).clamp(min=0)
    rest = torch.minimum(rest, torch.as_tensor(brightest, dtype=rest.dtype, device=rest.device))
    return torch.where(share > 0, rest, color)


def matte_far_side(light: Tensor, defocus: Tensor, edges: DepthEdges) -> FarSideMatte:
    """Return the picture without what near things add to the far side's edge pixels.

    F is sampled across the edge: two px away, or one where the near thing is thinner than that. B
    is sampled one px away from the edge, or around where that is another surface.

    Args:
        light: [3,H,W], linear light.
        defocus: [H,W], px, front positive.
        edges: depth edges of `defocus`.
    """
    pixels, found, foreground, near = _matted_far_side(light, defocus, edges)
    row, column = pixels
    itself = torch.arange(defocus.numel(), dtype=torch.int32, device=defocus.device)
    out = FarSideMatte(
        light.clone(),
        torch.zeros_like(light),
        itself.view_as(defocus),
        torch.zeros_like(defocus),
    )
    out.background[:, row, column], out.foreground[:, row, column] = found.color, foreground
    out.foreground_from[row, column] = (near[0] * defocus.shape[1] + near[1]).int()
    out.alpha[row, column] = found.alpha
    return out


def without_near_side(light: Tensor, defocus: Tensor, edges: DepthEdges) -> Tensor:
    """Return the `background` that `matte_far_side` finds, [3,H,W], alone."""
    (row, column), found, _, _ = _matted_far_side(light, defocus, edges)
    out = light.clone()
    out[:, row, column] = found.color
    return out


def _matted_far_side(
    light: Tensor, defocus: Tensor, edges: DepthEdges
) -> tuple[Pixels, Matte, Tensor, Pixels]:
    """Return the far-side edge pixels, what they are made of, F [3,N], and the pixels it is of."""
    row, column = edges.far_side.nonzero(as_tuple=True)
    step_y, step_x = edges.step_y[row, column], edges.step_x[row, column]
    away, beside, inner = (
        pixels_at(row + k * step_y, column + k * step_x, defocus) for k in (-1, 1, 2)
    )
    thin = defocus[inner] <= defocus[row, column] + EDGE_STEP
    near = (torch.where(thin, beside[0], inner[0]), torch.where(thin, beside[1], inner[1]))
    background, usable = _sample_far_background(light, defocus, edges, (row, column), away)
    foreground = light[:, near[0], near[1]]
    brightest = light.max().clamp(min=WHITE)
    own = light[:, row, column]
    found = matte(own, foreground, background, False, thin, usable, brightest)
    return (row, column), found, foreground, near


def _sample_far_background(
    light: Tensor, defocus: Tensor, edges: DepthEdges, pixels: Pixels, away: Pixels
) -> tuple[Tensor, Tensor]:
    """Return the pure colour B [3,N] of far-side edge pixels, and where there is one, [N] bool.

    It is that of `away`, the pixel on the other side from the edge. Where that is mixed too, or
    another surface, it is the mean of unmixed pixels around on the same surface.
    """
    own = defocus[pixels]
    background = light[:, away[0], away[1]]
    other = edges.far_side[away] | ((defocus[away] - own).abs() >= EDGE_STEP)
    own, pure = own[other], defocus.masked_fill(edges.far_side, torch.inf).flatten()
    mean, found = mean_around(
        light,
        (pixels[0][other], pixels[1][other]),
        BACKGROUND_RADIUS,
        1,
        lambda there, part: (values_at(pure, there) - own[part]).abs_() < EDGE_STEP,
    )
    usable = ~other
    background[:, other], usable[other] = mean, found
    return background, usable


def matte_near_side(
    light: Tensor,
    far_matted: Tensor,
    defocus: Tensor,
    nearest: NearestBackground,
    background: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the picture with the foreground's own colour F at its edges, and alpha there.

    F is sampled `EDGE_WIDTH` px inward from the edge, or around where the near thing is too thin.

    Args:
        light: [3,H,W], linear light.
        far_matted: [3,H,W], the same with its far-side edge pixels matted.
        defocus: [H,W], px, front positive.
        nearest: the nearest background in view.
        background: [3,H,W], B: the occluded background as sampled.

    Returns:
        Light [3,H,W], and alpha [H,W], 0…1, 1 away from edges.
    """
    row, column = (nearest.distance < EDGE_WIDTH).nonzero(as_tuple=True)
    length = nearest.distance[row, column].clamp(min=1)
    inward = pixels_beside(
        (row, column),
        EDGE_WIDTH * (row - nearest.row[row, column]) / length,
        EDGE_WIDTH * (column - nearest.column[row, column]) / length,
        defocus,
    )
    inside = (defocus[inward] - defocus[row, column]).abs() < EDGE_STEP
    thin = ~(inside & (nearest.distance[inward] > EDGE_WIDTH))
    behind, foreground = background[:, row, column], light[:, inward[0], inward[1]]
    thin_pixels = (row[thin], column[thin])
    foreground[:, thin] = _sample_thin_foreground(light, defocus, thin_pixels, behind[:, thin])
    brightest = light.max().clamp(min=WHITE)
    found = matte(light[:, row, column], foreground, behind, True, thin, brightest=brightest)
    out, alpha = far_matted.clone(), torch.ones_like(defocus)
    out[:, row, column] = torch.where(found.mixed, found.color, far_matted[:, row, column])
    alpha[row, column] = found.alpha
    return out, alpha


def _sample_thin_foreground(
    light: Tensor, defocus: Tensor, pixels: Pixels, background: Tensor
) -> Tensor:
    """Return the purest colour F [3,N] around pixels of a thin thing before `background` [3,N].

    Of the neighbours within `THIN_RADIUS` px on the same surface whose line to B holds the pixel's
    colour, it is the one that differs most from B; or else the pixel's own colour.
    """
    row, column = pixels
    offsets = torch.tensor(window_offsets(THIN_RADIUS)).to(row.device)
    down, right = offsets.T[..., None]
    planes, flat = light.flatten(1), defocus.flatten()
    out = light[:, row, column]
    for part in pixels_at_once(len(row), 3 * len(offsets), defocus):
        own, behind = out[:, None, part], background[:, None, part]
        rows, columns = pixels_at(row[part] + down, column[part] + right, defocus)
        there = rows.mul_(defocus.shape[1]).add_(columns)
        other = torch.stack([values_at(plane, there) for plane in planes])
        contrast = (other - behind).square().sum(0)
        _, on_line = estimate_alpha(own, other, behind)
        near = (values_at(flat, there) - defocus[row[part], column[part]]).abs_() < EDGE_STEP
        largest, index = contrast.mul_(on_line & near).max(0)
        better = largest > (own - behind).square().sum(0)[0]
        purest = other.gather(1, index.expand(len(other), 1, -1))[:, 0]
        out[:, part] = torch.where(better, purest, own[:, 0])
    return out
