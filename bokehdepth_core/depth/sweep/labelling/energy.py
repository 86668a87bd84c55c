"""The labelling of a sweep: the candidate of least energy, from costs and neighbours' votes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..matching.argmin import WinnerTakeAll
from ..matching.cost import to_full
from .propagation import cross_bilateral_votes

VOTE_WEIGHT = 1.5  # of the neighbours' log-vote against the pixel's own log-cost; tuned on pub1-4
VOTE_FLOOR = 0.05  # votes that a label has without any neighbour
ENOUGH_VOTES = 0.2  # confident like neighbours that settle a pixel
LEAST_SHARE = 0.02  # of its cost that counts where all its blur is that of others


@dataclass(frozen=True, eq=False)
class Measurement:
    """What every pixel's own costs say, on blocks of 2 x 2 pixels.

    Attributes:
        offsets: C candidates, 1/m, ascending from 0.
        log_costs: [C,h,w].
        offset: [h,w], 1/m, of the cheapest candidate.
        confidence: [h,w], 0…1, in it.
        floor: cost below which candidates do not differ.
    """

    offsets: list[float]
    log_costs: Tensor
    offset: Tensor
    confidence: Tensor
    floor: float

    @property
    def cost_range(self) -> Tensor:
        """How much worse than a perfect candidate the worst one matches, [h,w]."""
        return (self.log_costs.amax(0).exp() - self.floor).clamp(min=0) + self.floor


@dataclass(frozen=True, eq=False)
class Labelling:
    """A strip of rows, labelled.

    Attributes:
        offset: [rows,W], 1/m.
        support: [rows,W], 0…1: what has little is filled afterwards.
    """

    offset: Tensor
    support: Tensor


def label_rows(
    measured: Measurement, share: Tensor, guide: Tensor, rows: tuple[int, int]
) -> Labelling:
    """Return the candidates of least energy in a strip of rows.

    Args:
        measured: costs of the whole picture.
        share: [H,W], 0…1, of what a pixel shows that is its own surface's (`ownership.py`).
        guide: [3,H,W], sRGB.
        rows: first, even, and one past the last row wanted.
    """
    height, width = guide.shape[1:]
    here, offsets = slice(*rows), measured.offsets
    labels = to_pixels(labels_of(measured.offset, offsets), height, width)
    sure = to_pixels(measured.confidence, height, width)
    votes = cross_bilateral_votes(labels, sure * share, guide, len(offsets), rows)
    support = votes.sum(0)
    own = to_full(measured.log_costs, width, rows)
    energy = share[here].clamp(min=LEAST_SHARE) * own - VOTE_WEIGHT * _log_share(votes, support)
    best = WinnerTakeAll()
    for candidate, cost in zip(offsets, energy, strict=True):
        best.update(candidate, cost)
    offset = best.vertex()
    chosen = labels_of(offset, offsets).round().long()
    agreement = torch.exp(own.amin(0) - own.gather(0, chosen[None])[0])
    return Labelling(
        offset,
        torch.maximum((support / ENOUGH_VOTES).clamp(max=1), sure[here] * share[here] * agreement),
    )


def _log_share(votes: Tensor, support: Tensor) -> Tensor:
    """Return the log-share of the votes that each candidate has, with half of its neighbours'."""
    shared = votes.clone()
    shared[1:] += 0.5 * votes[:-1]
    shared[:-1] += 0.5 * votes[1:]
    return torch.log((shared + VOTE_FLOOR) / (support + 5 * VOTE_FLOOR))


def labels_of(offset: Tensor, offsets: list[float]) -> Tensor:
    """Return offsets as positions among the candidates, 0…C−1, with fractions."""
    ladder = torch.tensor(offsets, dtype=offset.dtype, device=offset.device)
    above = torch.bucketize(offset, ladder).clamp(1, len(offsets) - 1)
    low, high = ladder[above - 1], ladder[above]
    return above - 1 + ((offset - low) / (high - low)).clamp(0, 1)


def to_pixels(plane: Tensor, height: int, width: int) -> Tensor:
    """Return a plane of 2 x 2 blocks, [h,w], repeated to [height,width]; nothing is mixed."""
    repeated = plane.repeat_interleave(2, 0).repeat_interleave(2, 1)
    return repeated[:height, :width]
