"""How far a confidence is the probability of being right: four measures."""

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 10
SURE = 0.8


@dataclass(frozen=True)
class Reliability:
    """What a confidence is worth on one scene.

    Attributes:
        curve: for each tenth of confidence, its mean, the share of right pixels and of all pixels.
        ause: area between the share of wrong pixels left when the least confident are taken away
            first, and the same when the wrong ones are; 0 is best.
        auroc: chance that a right pixel is more confident than a wrong one.
        sure_and_wrong: share of all pixels that are wrong at a confidence above 0.8.
    """

    curve: tuple[tuple[float, float, float], ...]
    ause: float
    auroc: float
    sure_and_wrong: float

    @property
    def worst(self) -> float:
        """Largest distance of the curve from the diagonal, over bins of a hundredth or more."""
        return max(abs(mean - share) for mean, share, part in self.curve if part >= 0.01)

    @property
    def summary(self) -> str:
        """Two lines for a person."""
        curve = " ".join(f"{mean:.2f}:{share:.2f}({part:.2f})" for mean, share, part in self.curve)
        return (
            f"AUSE {self.ause:.3f}  AUROC {self.auroc:.2f}  sure and wrong "
            f"{100 * self.sure_and_wrong:.1f} %  off the diagonal {self.worst:.2f}\n{curve}"
        )


def reliability(confidence: Tensor, right: Tensor) -> Reliability:
    """Return the measures of a confidence, [H,W], 0…1, of pixels that are right or not, [H,W]."""
    confidence, right = confidence.flatten().double(), right.flatten().double()
    wrong = 1 - right
    return Reliability(
        _curve(confidence, right),
        float(_left(wrong, confidence).mean() - _left(wrong, -wrong).mean()),
        _auroc(confidence, right),
        float((wrong * (confidence > SURE)).mean()),
    )


def _curve(confidence: Tensor, right: Tensor) -> tuple[tuple[float, float, float], ...]:
    bins = (confidence * BINS).long().clamp(0, BINS - 1)
    found = []
    for index in range(BINS):
        here = bins == index
        if here.any():
            part = float(here.double().mean())
            found.append((float(confidence[here].mean()), float(right[here].mean()), part))
    return tuple(found)


def _left(wrong: Tensor, key: Tensor) -> Tensor:
    """Return the mean of `wrong` over what is left as the lowest keys are taken away."""
    # Equal keys go in an order that has nothing to do with where they lie.
    mixed = torch.randperm(len(key), generator=torch.Generator().manual_seed(0))
    order = mixed[key[mixed].argsort(descending=True, stable=True)]
    return wrong[order].cumsum(0) / torch.arange(1, len(key) + 1)


def _auroc(confidence: Tensor, right: Tensor) -> float:
    """Return the area under the ROC curve by mean ranks (Mann-Whitney), NaN if all are alike."""
    _, inverse, counts = confidence.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    ranks = (last - (counts - 1) / 2)[inverse]
    good = right.sum()
    bad = len(right) - good
    return float((ranks[right > 0].sum() - good * (good + 1) / 2) / (good * bad))
