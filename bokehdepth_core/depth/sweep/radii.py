"""The blur radius that each frame of a stack shows by itself, whatever strength it states."""

from dataclasses import replace

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ...datatypes import BokehStack
from ...devices import exact_float32
from ...optics.aperture import DISC, Aperture
from .estimate import COST_FLOOR
from .labelling.measurement import SAME_RADIUS, distinctness
from .matching.argmin import WinnerTakeAll
from .matching.candidates import candidate_radii
from .matching.cost import CostVolume


def frame_radii(
    stack: BokehStack,
    *,
    aperture: Aperture = DISC,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> tuple[Tensor, Tensor]:
    """Return the blur radius that each frame alone shows, [N,h,w], px, and its confidence, 0…1.

    On blocks of 2 x 2 pixels. The stated strengths play no part; the other
    arguments are those of `disparity_offset`.
    """
    count = len(stack.strengths)
    radii = candidate_radii(stack, range(count), check_cancelled)
    volume = CostVolume(replace(stack, strengths=(1.0,) * count), radii[-1], aperture, -1.0)
    best = [WinnerTakeAll() for _ in range(count)]
    slices = []
    for index, radius in enumerate(radii):
        check_cancelled()
        on_progress(index, len(radii))
        with exact_float32():
            costs = volume.slice_at(radius, check_cancelled).plain
        for one, cost in zip(best, costs, strict=True):
            one.update(radius, cost)
        slices.append((costs + COST_FLOOR).log())
    on_progress(len(radii), len(radii))
    found = torch.stack([one.vertex() for one in best])
    return found, distinctness(torch.stack(slices), radii, found, SAME_RADIUS)
