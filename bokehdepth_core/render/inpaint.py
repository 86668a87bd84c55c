"""What is hidden behind depth edges, completed from where it comes into view."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..callbacks import CheckCancelled, never_cancelled

EDGE_STEP = 1.0  # px of defocus between neighbours that makes a depth edge
BESIDE = 1.5  # px from a depth edge at which a pixel holds one side only
SMOOTHINGS = 5  # of what is hidden, each twice as wide as the one before

_SQUARE = [(y, x) for y in range(3) for x in range(3)]
_EXCHANGES = (
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3)),
    *((5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)


@dataclass(frozen=True, eq=False)
class Behind:
    """For every pixel the nearest place where a surface behind it comes into view.

    Attributes:
        row, column: [H,W], px; the pixel itself where there is none.
        distance: [H,W], px; infinity where there is none.
    """

    row: Tensor
    column: Tensor
    distance: Tensor


def search_reach(radius: float) -> float:
    """Return how far, px, a surface behind an edge is searched for, for a blur of `radius` px."""
    return 1.5 * radius + 3


def completion_reach(radius: float) -> float:
    """Return how far, px, the surfaces at a pixel depend on others, for a blur of `radius` px."""
    return search_reach(radius) + 2**SMOOTHINGS + 3


def _grid(like: Tensor) -> tuple[Tensor, Tensor]:
    height, width = like.shape
    rows = torch.arange(height, dtype=torch.float32, device=like.device)
    columns = torch.arange(width, dtype=torch.float32, device=like.device)
    return rows[:, None].expand(height, width), columns[None, :].expand(height, width)


def nearest_behind(
    signed: Tensor, edge: Tensor, reach: float, check_cancelled: CheckCancelled = never_cancelled
) -> Behind:
    """Find for every pixel, up to `reach` px away, the nearest pixel of `edge` that is behind it.

    Jump flooding (Rong and Tan 2006): candidates travel in halving steps, and a pixel keeps the
    nearest one that lies behind its own surface.
    """
    rows, columns = _grid(signed)
    nowhere = torch.full_like(signed, torch.inf)
    seeds = torch.stack([rows, columns, signed]).masked_fill(~edge, torch.inf)
    best, nearest = torch.full_like(seeds, torch.inf), nowhere
    step = 1 << max(0, int(reach).bit_length() - 1)
    steps = [step >> k for k in range(step.bit_length())] + [1]
    for step in steps:
        for dy, dx in around(step):
            check_cancelled()
            for source in (best, seeds):
                found = _shifted(source, dy, dx)
                distance = (rows - found[0]).square() + (columns - found[1]).square()
                better = (found[2] < signed - EDGE_STEP) & (distance < nearest)
                best = torch.where(better, found, best)
                nearest = torch.where(better, distance, nearest)
    distance = nearest.sqrt()
    there = distance <= reach
    return Behind(
        torch.where(there, best[0], rows),
        torch.where(there, best[1], columns),
        distance.masked_fill(~there, torch.inf),
    )


def around(step: int) -> list[tuple[int, int]]:
    """Return the eight ways (dy, dx) of `step` px to a neighbour."""
    return [(dy, dx) for dy in (-step, 0, step) for dx in (-step, 0, step) if dy or dx]


def _shifted(planes: Tensor, dy: int, dx: int) -> Tensor:
    """Return planes moved by (dy, dx), infinity where nothing comes in."""
    height, width = planes.shape[-2:]
    moved = torch.full_like(planes, torch.inf)
    if abs(dy) < height and abs(dx) < width:
        moved[..., max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = planes[
            ..., max(-dy, 0) : height - max(dy, 0), max(-dx, 0) : width - max(dx, 0)
        ]
    return moved


def clip(rows: Tensor, columns: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return places, px, rounded and kept within a plane [H,W], as indices."""
    height, width = like.shape
    # Not `round`, which goes to even numbers and so depends on where the picture begins.
    rows, columns = (rows + 0.5).floor(), (columns + 0.5).floor()
    return rows.clamp(0, height - 1).long(), columns.clamp(0, width - 1).long()


def sample_behind(
    light: Tensor, signed: Tensor, behind: Behind
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Return colour and defocus of the surface behind, and where its edge comes into view.

    The sample is taken a little off that edge, whose pixels are mixed.
    """
    rows, columns = _grid(signed)
    length = behind.distance.clamp(min=1)
    first = clip(behind.row, behind.column, signed)
    off = clip(
        behind.row + BESIDE * (behind.row - rows) / length,
        behind.column + BESIDE * (behind.column - columns) / length,
        signed,
    )
    same = (signed[off] - signed[first]).abs() <= EDGE_STEP
    row, column = (torch.where(same, a, b) for a, b in zip(off, first, strict=True))
    return _median(light[:, row, column]), signed[row, column], first


def smoothed(
    hidden_light: Tensor,
    hidden_defocus: Tensor,
    distance: Tensor,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Tensor:
    """Return light [3,H,W] found `distance` px away, as a mean over about as many px of a surface.

    Else every pixel of the edge would be drawn out into a streak. The means grow by the à trous
    scheme (Holschneider et al. 1989): a small kernel whose taps move apart.
    """
    there = torch.isfinite(distance)
    width = (distance - 1).masked_fill(~there, 0)  # of the mean, standard deviation, px
    planes = torch.cat([hidden_light * there, there[None].to(hidden_light)])
    out, finer, finer_width, variance = hidden_light.clone(), hidden_light, 0.0, 0.0
    for level in range(SMOOTHINGS):
        if not (width > finer_width).any():
            break
        check_cancelled()
        step = 1 << level
        variance += step * step / 2  # of the kernel 1, 2, 1
        coarser_width = variance**0.5
        planes = _spread(_spread(planes, hidden_defocus, step, 0), hidden_defocus, 0, step)
        coarser = torch.where(planes[3] > 0, planes[:3] / planes[3].clamp(min=1e-9), finer)
        share = ((width - finer_width) / (coarser_width - finer_width)).clamp(0, 1)
        out = torch.where(width > finer_width, torch.lerp(finer, coarser, share), out)
        finer, finer_width = coarser, coarser_width
    return out


def _spread(planes: Tensor, defocus: Tensor, dy: int, dx: int) -> Tensor:
    """Return planes averaged with those (dy, dx) to either side by weights 1, 2, 1.

    What lies outside of the picture, or on a surface of another defocus, adds nothing.
    """
    out = planes / 2
    for y, x in ((-dy, -dx), (dy, dx)):
        here, beside = _overlap(defocus, y, x), _overlap(defocus, -y, -x)
        same = (defocus[beside] - defocus[here]).abs() < EDGE_STEP * max(dy, dx) ** 0.5
        for plane, spread in zip(planes, out, strict=True):
            spread[here].add_(torch.where(same, plane[beside], 0.0), alpha=0.25)
    return out


def _overlap(plane: Tensor, dy: int, dx: int) -> tuple[slice, slice]:
    """Return where a plane [H,W] and itself moved by (dy, dx) overlap."""
    return tuple(
        slice(min(size, max(0, step)), max(0, min(size, size + step)))
        for size, step in zip(plane.shape, (dy, dx), strict=True)
    )


def _median(planes: Tensor) -> Tensor:
    """Return the median over 3x3 px: drops samples that fell on a mixed pixel after all."""
    padded = F.pad(planes[None], (1, 1, 1, 1), mode="replicate")[0]
    height, width = planes.shape[-2:]
    return torch.stack(
        [
            _median_of_nine([plane[y : y + height, x : x + width] for y, x in _SQUARE])
            for plane in padded
        ]
    )


def _median_of_nine(values: list[Tensor]) -> Tensor:
    """Return the median by a sorting network (Paeth 1990, Graphics Gems, median of 3x3)."""
    for low, high in _EXCHANGES:
        values[low], values[high] = (
            torch.minimum(values[low], values[high]),
            torch.maximum(values[low], values[high]),
        )
    return values[4]
