"""The sides of soft edges, held from frame to frame.

Which end of its ramp a pixel goes to (`scene/depth_edges.py`) can hang on a hair, and grain or a
little noise in the depth then throws it from one side to the other. Where nothing moves, a pixel
stays on its side until the other one has won for several frames in a row.
"""

import torch
from torch import Tensor

from ...callbacks import CheckCancelled
from ..panorama import own_columns, with_other_end
from ..scene.depth_edges import SMALLEST_VISIBLE, SUPPORT_RADIUS, edge_sources

PATIENCE = 5  # frames that another side has to win, and one more
SAME = 0.12  # of the disparity; a pixel whose own changes by more is decided anew


class HeldEdges:
    """Refines depth frame by frame; keeps three planes, whatever the number of frames."""

    def __init__(self, steady: float, wraps: bool = False) -> None:
        """Set how long a side is held, 0…1, at 0 not at all; and whether the borders join."""
        self.steady = steady
        self._around = SUPPORT_RADIUS if wraps else 0
        self._source: Tensor | None = None  # [H·W], where each pixel's depth is taken from
        self._lost = self._before = torch.zeros(0)

    def next(
        self, photo: Tensor, depth: Tensor, still: Tensor, check_cancelled: CheckCancelled
    ) -> Tensor:
        """Return the refined depth of the next frame, [H,W].

        Args:
            photo: [H,W,3], sRGB, 0…1.
            depth: [H,W], m, > 0; infinity is allowed.
            still: [H,W], 0…1, how surely each pixel stands still.
            check_cancelled: raises to stop.
        """
        visible = SMALLEST_VISIBLE * depth.float().reciprocal().mean()
        photo = with_other_end(photo.movedim(-1, 0), self._around).movedim(0, -1)
        depth, still = (with_other_end(one, self._around) for one in (depth, still))
        fresh = edge_sources(photo, depth, visible, check_cancelled)
        own = depth.float().flatten().reciprocal()
        if self._source is None or self._source.shape != fresh.shape:
            self._source, self._lost = fresh, torch.zeros_like(own)
        else:
            resting = still.flatten() > 0.5
            resting &= (own - self._before).abs() <= SAME * torch.maximum(own, self._before)
            self._source = self._decided(fresh, own, resting)
        self._before = own
        return own_columns(depth.flatten()[self._source].view_as(depth), self._around)

    def _decided(self, fresh: Tensor, own: Tensor, resting: Tensor) -> Tensor:
        """Return where each pixel's depth is taken from, [H·W]."""
        assert self._source is not None  # noqa: S101 (the first frame sets it)
        held = self._source
        differs = torch.sign(own[fresh] - own) != torch.sign(own[held] - own)
        lost = torch.where(differs, self._lost + 1, 0.0)
        anew = ~(resting & resting[held]) | (lost > PATIENCE * self.steady)
        self._lost = torch.where(anew, 0.0, lost)
        return torch.where(anew, fresh, held)
