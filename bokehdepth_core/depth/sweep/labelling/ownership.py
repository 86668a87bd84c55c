"""Whose blur is it? How far what a pixel shows of blur belongs to the pixel's own surface.

The blur of a thin near thing spreads over smooth sky beside it. The costs of the sky's pixels then
tell the blur of that thing, clearly and wrongly. What may speak for a pixel's surface is contrast
among like colours close to it; and an edge, but only for what is the smaller part of its window: a
wire owns its edges, the sky around it does not. Beside thin things the same is asked once more of
a picture without them, which morphological closing and opening give.
"""

import torch
from torch import Tensor
from torch.nn import functional

from .propagation import COLOR_SIGMA
from .window import both_ways, half_steps, shifted, strips

REACH = 4  # px
# Variance that one step of 8 bits, 1.1/255 in square-root-encoded light, makes in the middle of a
# window, three channels' sum: smooth sky comes in bands of such steps.
STEP = 3 * (1.1 / 255) ** 2 / 4
THIN, WIDE = 0.4, 0.65  # share of like colours in the window of what owns its edges, and does not
THIN_SIDE = 7  # px, of the square that closing and opening use; thinner things vanish
THIN_CONTRAST = 0.08  # to what is around, in square-root-encoded light, of a thin thing
BESIDE = 0.1  # share of such a square around a pixel that thin things cover at least
NOISE_MARGIN = 3.0  # times its variance: what noise seldom exceeds in a window
ENOUGH_OWN = 0.1  # contrast of its own over the range of its cost that makes a pixel's blur its own


def own_share(reference: Tensor, noise: float, cost_range: Tensor) -> Tensor:
    """Return how far each pixel's cost speaks of its own surface, [H,W], 0…1.

    Args:
        reference: [3,H,W], square-root-encoded light, of the sharp picture.
        noise: variance of its noise, summed over the channels; that of a step of 8 bits at least.
        cost_range: [H,W], how much worse the worst candidate matches than a perfect one.

    Example:
        >>> grey = torch.full((3, 9, 9), 0.5)
        >>> float(own_share(grey, 0.0, torch.ones(9, 9)).max())
        0.0
    """
    closed, opened = _closed(reference), -_closed(-reference)
    dark, bright = _thin(reference, closed), _thin(reference, opened)
    darkened, brightened = _around(dark), _around(bright)
    # Where there are both it is texture.
    beside = (dark == 0) & (darkened > BESIDE) & (brightened <= BESIDE)
    beside |= (bright == 0) & (brightened > BESIDE) & (darkened <= BESIDE)
    without = torch.where(brightened > darkened, opened, closed)
    share = _share(reference, noise, cost_range)
    alone = _share(without, noise, cost_range)
    return torch.where(beside, (share * alone).sqrt(), share)


def _thin(reference: Tensor, without: Tensor) -> Tensor:
    return ((without - reference).abs().amax(0) > THIN_CONTRAST).to(reference.dtype)


def _share(reference: Tensor, noise: float, cost_range: Tensor) -> Tensor:
    contrast = (_owned_contrast(reference) - max(NOISE_MARGIN * noise, STEP)).clamp(min=0)
    return (contrast / cost_range.clamp(min=1e-9) / ENOUGH_OWN).clamp(max=1)


def _closed(planes: Tensor) -> Tensor:
    """Return planes [C,H,W] without dark things thinner than a square: morphological closing."""
    return -_largest_around(-_largest_around(planes))


def _largest_around(planes: Tensor) -> Tensor:
    """Return the largest value of a square around each pixel, [C,H,W]: of its rows, then theirs."""
    reach = THIN_SIDE // 2
    rows = functional.max_pool2d(planes[None], (1, THIN_SIDE), 1, (0, reach))
    return functional.max_pool2d(rows, (THIN_SIDE, 1), 1, (reach, 0))[0]


def _around(plane: Tensor) -> Tensor:
    """Return the mean of a square around each pixel, [H,W], of what lies within the picture."""
    reach = THIN_SIDE // 2
    rows = functional.avg_pool2d(
        plane[None, None], (1, THIN_SIDE), 1, (0, reach), count_include_pad=False
    )
    squares = functional.avg_pool2d(rows, (THIN_SIDE, 1), 1, (reach, 0), count_include_pad=False)
    return squares[0, 0]


def _owned_contrast(reference: Tensor) -> Tensor:
    """Return the variance around each pixel that its surface owns, [H,W], three channels' sum."""
    height, width = reference.shape[1:]
    padded = functional.pad(reference[None], (REACH,) * 4, mode="replicate")[0]
    owned = torch.empty_like(reference[0])
    for here, around in strips(height, width, REACH):
        owned[here] = _owned_in_strip(padded[:, around])
    return owned


def _owned_in_strip(padded: Tensor) -> Tensor:
    """Return the same, [h,w], of a part of the picture with what is around it."""
    inner = shifted(padded, 0, 0, REACH)
    whole, like = _Moments(inner), _Moments(inner)
    for dy, dx, nearness in half_steps(REACH):
        # What is rolled in from the other end is never asked for.
        apart = padded.roll((-dy, -dx), (1, 2)).sub_(padded)
        square = apart.square().sum(0)
        likeness = (square / (-2 * COLOR_SIGMA**2)).exp_().mul_(nearness)
        for sign, back in ((1, False), (-1, True)):
            step, squared, weight = (
                both_ways(plane, dy, dx, REACH)[back] for plane in (apart, square, likeness)
            )
            whole.add_evenly(step, squared, sign, nearness)
            like.add(step, squared, weight, sign)
    edges = (whole.variance() - like.variance()).clamp(min=0)
    owns_edges = ((WIDE - like.weight / whole.weight) / (WIDE - THIN)).clamp(0, 1)
    return like.variance() + owns_edges * edges


class _Moments:
    """Sums up to a weighted variance around each pixel, which itself has a weight of 1."""

    def __init__(self, planes: Tensor) -> None:
        self.weight = torch.ones_like(planes[0])
        self._first = torch.zeros_like(planes)
        self._second = torch.zeros_like(planes[0])

    def add(self, apart: Tensor, square: Tensor, weight: Tensor, sign: int) -> None:
        """Take in the difference from the pixel but for its sign, [3,h,w], its square, weight."""
        self.weight.add_(weight)
        self._first.addcmul_(apart, weight, value=sign)
        self._second.addcmul_(square, weight)

    def add_evenly(self, apart: Tensor, square: Tensor, sign: int, weight: float) -> None:
        """Take in a neighbour with one weight for all pixels."""
        self.weight.add_(weight)
        self._first.add_(apart, alpha=sign * weight)
        self._second.add_(square, alpha=weight)

    def variance(self) -> Tensor:
        """Return the weighted variance, [h,w]."""
        mean = self._first / self.weight
        return (self._second / self.weight - mean.square().sum(0)).clamp(min=0)
