"""What is different in the sweep of a focus stack: candidates, weights of frames, and the result.

Frames focused at different distances tell near from far of each other's focus plane, so the
candidates are disparities themselves, on both sides of every plane: frame k is taken for the
reference blurred by r = K_k · (d − d_k), with d_k the disparity of its own plane.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ....callbacks import CheckCancelled
from ....datatypes import BokehStack, DepthMap
from ....optics.aperture import DISC
from .candidates import CLEAR_COST, COARSE_STEP, FINE_STEP, LARGEST_RADIUS, QUICK_SIDE, _shrunk
from .cost import CostVolume

ROOM = 2.0  # px of radius tried beyond what the quick look sees
SHARPEST = 4.0  # px: a frame blurred by this much at a candidate weighs half


def candidate_disparities(stack: BokehStack, check_cancelled: CheckCancelled) -> list[float]:
    """Return the disparities to try, ascending, >= 0, 1/m, for a stack with focus depths."""
    side = min(stack.reference.shape[:2])
    shrink = max(1, side // QUICK_SIDE)
    small = replace(
        stack,
        reference=_shrunk(stack.reference[None], shrink)[0],
        frames=_shrunk(stack.frames, shrink),
        strengths=tuple(strength / shrink for strength in stack.strengths),
    )
    low, high = _range_seen(small, _ladder(small, *_widest(small)), check_cancelled)
    room = ROOM / min(stack.strengths)
    return _ladder(stack, max(low - room, 0.0), high + room)


def focus_weights(radii: list[float], device: torch.device) -> Tensor:
    """Return how much each frame counts at a candidate that blurs it by `radii`, [N,1,1], sum 1.

    A wide blur mixes in what lies beside a pixel and says little; so does the farthest frame.

    Example:
        >>> focus_weights([0.0, -4.0], torch.device("cpu")).flatten()
        tensor([0.6667, 0.3333])
    """
    squares = torch.tensor(radii, device=device)[:, None, None].square()
    weights = 1 / (1 + squares / SHARPEST**2)
    return weights / weights.sum()


def focus_stack_depth(disparity: Tensor, confidence: Tensor, *, metric: bool) -> DepthMap:
    """Return the depth map [1,H,W] of a focus stack; normalised where the planes are relative.

    Args:
        disparity: [H,W], 1/m, or in the unit of relative focus planes.
        confidence: [H,W], 0…1.
        metric: the focus planes are in metres.
    """
    if metric:
        return DepthMap(torch.reciprocal(disparity.clamp(min=0))[None], confidence[None])
    low, high = disparity.min(), disparity.max()
    share = (disparity - low) / (high - low).clamp(min=torch.finfo(disparity.dtype).tiny)
    normalized = DepthMap.from_normalized_disparity(share.clamp(0, 1)[None])
    return DepthMap(normalized.depth, confidence[None], metric=False)


def _widest(stack: BokehStack) -> tuple[float, float]:
    """Return the lowest and highest disparity whose blur can be measured, 1/m."""
    planes = stack.focus_disparities or ()
    radius = max(LARGEST_RADIUS * min(stack.reference.shape[:2]), 2.0) / 2
    reach = radius / min(stack.strengths)
    return max(min(planes) - reach, 0.0), max(planes) + reach


def _ladder(stack: BokehStack, low: float, high: float) -> list[float]:
    """Return disparities from `low` to `high`, a step of blur apart in the least blurred frame."""
    planes = stack.focus_disparities or ()
    strongest = max(stack.strengths)
    found = [low]
    while found[-1] < high or len(found) < 3:
        sharpest = strongest * min(abs(found[-1] - plane) for plane in planes)
        found.append(found[-1] + max(FINE_STEP, COARSE_STEP * sharpest) / strongest)
    return found


def _range_seen(
    stack: BokehStack, ladder: list[float], check_cancelled: CheckCancelled
) -> tuple[float, float]:
    """Return the lowest and highest disparity present, from the plain cost of small pictures."""
    planes = stack.focus_disparities or ()
    largest = max(stack.strengths) * (ladder[-1] - min(0.0, ladder[0]))
    volume = CostVolume(stack, largest, DISC, 1.0)
    slices = []
    for disparity in ladder:
        check_cancelled()
        weights = focus_weights(volume.radii(disparity), volume.device)
        slices.append((weights * volume.slice_at(disparity).plain).sum(0))
    costs = torch.stack(slices)
    lowest, label = costs.min(0)
    mean = costs.mean(0)
    clear = (lowest < 0.2 * mean) & (mean > CLEAR_COST)
    if not clear.any():
        return min(planes), max(planes)
    values = torch.tensor(ladder, device=costs.device)[label[clear]][:1_000_000]
    low, high = (float(torch.quantile(values, share)) for share in (0.005, 0.995))
    return min(low, *planes), max(high, *planes)
