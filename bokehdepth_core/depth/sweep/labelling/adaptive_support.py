"""Costs of pixels at colour edges, averaged over what looks like the pixel alone.

The window in which pictures are compared takes in what lies on either side of an edge; strands of
hair and the wall between them then have one cost, that of the stronger contrast. Where a pixel's
window is mixed, its squared differences are averaged anew over neighbours of like colour: adaptive
support weights.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .propagation import COLOR_SIGMA
from .window import both_ways, half_steps, shifted, strips

REACH = 3  # px
ALIKE = 0.7  # share of like colours from which a window needs no other weights; tuned on pub1-4
MOST = 0.6  # of the pixels that have their own, which bounds time and memory


@dataclass(frozen=True, eq=False)
class AdaptiveSupport:
    """The pixels with a mixed window, and what neighbours weigh.

    Two neighbours weigh the same for each other, so half of the window is kept.

    Attributes:
        pixels: [n], positions in the flattened picture, ascending.
        likeness: [H+2·REACH,W+2·REACH] float16 each, of every pixel and the one at each step of
            `half_steps` from it; the picture's border repeats.
        total: [H,W], of all neighbours and the pixel itself.
    """

    pixels: Tensor
    likeness: list[Tensor]
    total: Tensor

    @property
    def width(self) -> int:
        """Width of the picture, px."""
        return self.total.shape[1]

    def mean(self, planes: Tensor) -> Tensor:
        """Return the weighted means of planes [N,H,W] around the pixels, [N,n]."""
        padded = functional.pad(planes[None], (REACH,) * 4, mode="replicate")[0]
        means = torch.empty_like(planes)
        for here, around in strips(planes.shape[1], self.width, REACH):
            total, beside = planes[:, here].clone(), padded[:, around]
            for (dy, dx, _), each in zip(half_steps(REACH), self.likeness, strict=True):
                onwards, back = both_ways(each[around].to(planes.dtype), dy, dx, REACH)
                total.addcmul_(onwards, shifted(beside, dy, dx, REACH))
                total.addcmul_(back, shifted(beside, -dy, -dx, REACH))
            torch.div(total, self.total[here], out=means[:, here])
        return means.flatten(1).index_select(1, self.pixels)


def adaptive_support(guide: Tensor) -> AdaptiveSupport:
    """Return the pixels whose window is mixed, and the weights of their neighbours.

    Args:
        guide: [3,H,W], sRGB.

    Reference:
        Yoon and Kweon, "Adaptive support-weight approach for correspondence search", PAMI 2006.

    Example:
        >>> halves = torch.zeros(3, 8, 8)
        >>> halves[:, :, 4:] = 1
        >>> support = adaptive_support(halves)
        >>> [round(float(mean), 6) for mean in support.mean(halves[:1])[0, 2:4]]  # beside the edge
        [0.0, 1.0]
    """
    padded = functional.pad(guide[None], (REACH,) * 4, mode="replicate")[0]
    alike, most, pairs = torch.ones_like(guide[0]), 1.0, []
    for dy, dx, nearness in half_steps(REACH):
        # What is rolled in from the other end is never asked for.
        apart = padded.roll((-dy, -dx), (1, 2)).sub_(padded).square_().sum(0)
        likeness = apart.mul_(1 / (-2 * COLOR_SIGMA**2)).exp_().mul_(nearness).half()
        alike += sum(both_ways(likeness.to(guide.dtype), dy, dx, REACH))
        most += 2 * nearness
        pairs.append(likeness)
    limit = alike.flatten().sort().values[int(MOST * alike.numel())]
    mixed = (alike < ALIKE * most) & (alike <= limit)
    return AdaptiveSupport(mixed.flatten().nonzero()[:, 0], pairs, alike)
