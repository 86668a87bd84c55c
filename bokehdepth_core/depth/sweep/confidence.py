"""The confidence of a sweep: the probability that a pixel's offset is right.

Right means within max(10 %, 0.02/m). A few signs of a right or wrong offset are measured at every
pixel, and a logistic function of them is the confidence. `benchmarks/fit_confidence.py` fitted its
coefficients, on the public scenes with and without noise and on three others; being sure and wrong
counted twice there, so confidence is rather too low than too high.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SAME = 0.1  # relative difference of two estimates that agree …
SAME_RADIUS = 0.75  # … or px of radius in the strongest frame
MOST_SPREAD = 4.0  # of what agrees: more is no more wrong
SPREAD_SIDES = (5, 25)  # px
NO_SUPPORT = 1e-3  # of votes and own cost: less is nothing at all
BIAS = -0.74
# Own evidence, margin, excess, and the two spreads.
WEIGHTS = (2.812, 0.071, 0.075, -0.065, -0.094)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the labelling of a strip of rows found.

    Attributes:
        own: [C,rows,W], log-cost of each candidate.
        trust: [rows,W], 0…1, in the pixel's own best candidate.
        share: [rows,W], 0…1, of what the pixel shows that is its own surface's.
    """

    own: Tensor
    trust: Tensor
    share: Tensor


def pixel_signs(
    seen: Evidence, offset: Tensor, chosen: Tensor, offsets: list[float], strength: float
) -> Tensor:
    """Return own evidence, margin to a clearly other candidate, and excess over the best one.

    Args:
        seen: what the pixels' own costs say.
        offset: [rows,W], 1/m, of least energy.
        chosen: [rows,W], the nearest candidate.
        offsets: candidates, 1/m.
        strength: the largest, px·m.

    Returns:
        [3,rows,W]: 0…1; −3…6 and 0…4, differences of log-costs.
    """
    scale = _tolerance(offset, strength)
    here = seen.own.gather(0, chosen[None])[0]
    rival = torch.zeros_like(here)  # log-cost of a mismatch beyond every cap
    for candidate, cost in zip(offsets, seen.own, strict=True):
        far = (offset - candidate).abs() > 2 * scale
        rival = torch.where(far, torch.minimum(rival, cost), rival)
    margin, excess = (rival - here).clamp(-3, 6), (here - seen.own.amin(0)).clamp(0, 4)
    return torch.stack([seen.trust * seen.share, margin, excess])


def confidence_of(signs: Tensor, support: Tensor) -> Tensor:
    """Return the probability that each offset is right, [H,W]; 0 where nothing was measured at all.

    Args:
        signs: [5,H,W], from `every_sign`.
        support: [H,W], 0…1: what has little was filled.

    Example:
        >>> signs = torch.zeros(5, 4, 4)
        >>> float(confidence_of(signs, torch.zeros(4, 4)).max())
        0.0
        >>> signs[0] = 1
        >>> round(float(confidence_of(signs, torch.ones(4, 4)).max()), 2)
        0.89
    """
    measured = (support > NO_SUPPORT).any()
    logit = BIAS + sum(w * sign for w, sign in zip(WEIGHTS, signs, strict=True))
    return measured * torch.sigmoid(logit)


def every_sign(signs: Tensor, offset: Tensor, strength: float) -> Tensor:
    """Return the signs of `pixel_signs` and the spreads of the finished map, [5,H,W].

    Args:
        signs: [3,H,W].
        offset: [H,W], 1/m, filled.
        strength: the largest, px·m.
    """
    return torch.stack([*signs, *_spreads(offset, strength)])


def _spreads(offset: Tensor, strength: float) -> list[Tensor]:
    """Return how much offsets differ around each pixel, [H,W], over what agrees, in two squares."""
    scale = _tolerance(offset, strength)
    return [
        (
            (_mean(offset.square(), side) - _mean(offset, side).square()).clamp(min=0).sqrt()
            / scale
        ).clamp(max=MOST_SPREAD)
        for side in SPREAD_SIDES
    ]


def _tolerance(offset: Tensor, strength: float) -> Tensor:
    return (SAME * offset).clamp(min=SAME_RADIUS / strength)


def _mean(plane: Tensor, side: int) -> Tensor:
    """Return the mean of a square around each pixel, [H,W]."""
    padded = functional.pad(plane[None, None], (side // 2,) * 4, mode="replicate")
    return functional.avg_pool2d(padded, side, 1)[0, 0]
