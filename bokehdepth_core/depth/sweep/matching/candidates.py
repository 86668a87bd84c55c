"""Which offsets |d − d_f| a sweep tries: found from a quick look at small pictures of the stack."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ....callbacks import CheckCancelled
from ....datatypes import BokehStack
from ....optics.aperture import DISC
from .argmin import WinnerTakeAll
from .cost import CostVolume

FINE_STEP = 1.0  # px of radius between candidates in the strongest frame …
COARSE_STEP = 0.07  # … or this share of the radius, whichever is larger
USUAL_RADIUS = 0.06  # of the shorter side: always tried
LARGEST_RADIUS = 1 / 6  # of the shorter side: wider PSFs leave too little to compare
CLEAR_COST = 1e-3  # squared difference of the mean candidate where there is texture
QUICK_SIDE = 128  # px, shorter side of the pictures of the quick look


def candidate_offsets(stack: BokehStack, check_cancelled: CheckCancelled) -> list[float]:
    """Return the offsets to try, 1/m, ascending from 0, with room above the largest one present."""
    strongest = max(range(len(stack.strengths)), key=stack.strengths.__getitem__)
    radii = candidate_radii(stack, [strongest], check_cancelled)
    return [radius / stack.strengths[strongest] for radius in radii]


def candidate_radii(
    stack: BokehStack, frames: Sequence[int], check_cancelled: CheckCancelled
) -> list[float]:
    """Return the radii to try, px, ascending from 0, with room above the largest in the frames."""
    side = min(stack.reference.shape[:2])
    seen = max(_largest_radius_seen(stack, frame, check_cancelled) for frame in frames)
    return radius_ladder(
        min(max(1.2 * seen + 2.0, USUAL_RADIUS * side), max(LARGEST_RADIUS * side, 2.0))
    )


def radius_ladder(largest: float) -> list[float]:
    """Return radii, px, from 0 to the first at or above `largest`; at least three."""
    radii = [0.0]
    while radii[-1] < largest or len(radii) < 3:
        radii.append(radii[-1] + max(FINE_STEP, COARSE_STEP * radii[-1]))
    return radii


def _largest_radius_seen(stack: BokehStack, frame: int, check_cancelled: CheckCancelled) -> float:
    """Return the largest radius in one frame, px, from a sweep over small pictures."""
    height, width = stack.reference.shape[:2]
    shrink = max(1, min(height, width) // QUICK_SIDE)
    small = BokehStack(
        _shrunk(stack.reference[None], shrink)[0],
        _shrunk(stack.frames[frame : frame + 1], shrink),
        (1.0,),
    )
    largest = LARGEST_RADIUS * min(height, width) / shrink
    volume = CostVolume(small, largest, DISC, 1.0)
    best = WinnerTakeAll()
    total: Tensor | float = 0.0
    radii = radius_ladder(largest)
    for radius in radii:
        check_cancelled()
        cost = volume.slice_at(radius).plain[0]
        total = total + cost
        best.update(radius, cost)
    mean = total / len(radii)
    clear = (best.cost < 0.1 * mean) & (mean > CLEAR_COST)
    if not clear.any():
        return 0.0
    return shrink * float(torch.quantile(best.vertex()[clear].flatten()[:1_000_000], 0.99))


def _shrunk(images: Tensor, shrink: int) -> Tensor:
    pooled = functional.avg_pool2d(images.to(torch.float32).permute(0, 3, 1, 2), shrink)
    return pooled.permute(0, 2, 3, 1)
