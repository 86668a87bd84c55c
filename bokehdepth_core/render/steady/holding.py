"""Depth of a clip, held where nothing moves until it has really changed.

A mean over frames would lag behind what moves, turn a jittering edge into a ramp, and never quite
stand still. So each pixel holds its disparity. Small differences are averaged over frames, and only
once the average is larger than the noise of networks does the pixel follow, the faster the larger
it is. A large difference is an edge that jitters, or a change: it is taken once it has stayed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .still import reach_beside

NOISE = 0.05  # of the disparity: an error of this size is common between frames of networks
LARGEST_NOISE = 0.12  # of the disparity; more is another surface
VISIBLE = 0.02  # of the frame's mean disparity: less makes no visible blur
PATIENCE = 9  # frames that another surface has to stay before it is believed, and one more
AVERAGED = 0.8  # weight of the differences before in their average
CHANGED = 0.3  # share of still pixels whose surface differs, from which on it is a new scene


class HeldDepth:
    """Returns depth frame by frame; keeps four planes, whatever the number of frames."""

    def __init__(self, steady: float) -> None:
        """Set how much is held, 0…1; 0 holds nothing."""
        self.steady = steady
        self._held: Tensor | None = None  # [H,W], disparity
        self._error = self._other = self._stayed = torch.zeros(0)

    def next(self, depth: Tensor, still: Tensor) -> Tensor:
        """Return the depth of the next frame, [H,W], m.

        Args:
            depth: [H,W], m, > 0; infinity is allowed.
            still: [H,W], 0…1, how surely each pixel stands still.
        """
        fresh = depth.float().reciprocal()
        if self._held is None or self._held.shape != fresh.shape or not bool((still > 0).any()):
            return self._begin(depth, fresh)
        difference = fresh - self._held
        size = torch.maximum(fresh, self._held)
        small = VISIBLE * float(fresh.mean())
        another = difference.abs() > (LARGEST_NOISE * size).clamp(min=small)
        resting = still > 0.5
        if float((another & resting).sum()) > CHANGED * float(resting.sum()):
            return self._begin(depth, fresh)
        self._error = torch.where(
            another, self._error, torch.lerp(difference, self._error, AVERAGED * self.steady)
        )
        noise = (NOISE * self.steady * size).clamp(min=small * self.steady / 2)
        # A surface moves as a whole. Noise, and jitter of thin things, differ from pixel to pixel.
        common = _mean_around(self._error, reach_beside(fresh.shape[1])).abs()
        following = (common / noise.clamp(min=1e-12) - 1).div(2).clamp(0, 1)
        step = torch.where(another, 0.0, following * self._error)
        believed = self._count_another(fresh, another, size, small)
        held = torch.where(believed, self._other, self._held + step)
        self._error = torch.where(believed, 0.0, self._error - step)
        self._held = torch.lerp(fresh, held, still)
        return torch.where(self._held == fresh, depth, self._held.reciprocal().to(depth.dtype))

    def _begin(self, depth: Tensor, fresh: Tensor) -> Tensor:
        self._held, self._other = fresh, fresh
        self._error = self._stayed = torch.zeros_like(fresh)
        return depth

    def _count_another(self, fresh: Tensor, another: Tensor, size: Tensor, small: float) -> Tensor:
        """Return where another surface has stayed long enough, [H,W] bool."""
        near = (fresh - self._other).abs() <= (LARGEST_NOISE * size).clamp(min=small)
        stays = another & near & (self._stayed > 0)
        count = torch.where(stays, self._stayed + 1, 1.0)
        self._stayed = torch.where(another, count, (self._stayed - 1).clamp(min=0))
        mean = torch.lerp(self._other, fresh, 1 / self._stayed.clamp(min=1))
        self._other = torch.where(another, torch.where(stays, mean, fresh), self._other)
        believed = another & (self._stayed > PATIENCE * self.steady)
        self._stayed = torch.where(believed, 0.0, self._stayed)
        return believed


def _mean_around(plane: Tensor, reach: int) -> Tensor:
    """Return the mean of a plane [H,W] over a square of ± reach px."""
    side = 2 * reach + 1
    padded = F.pad(plane[None, None], (reach,) * 4, mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, (1, side), 1), (side, 1), 1)[0, 0]
