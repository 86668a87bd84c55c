"""The labelling of a sweep: the candidate of least energy, from costs and neighbours' votes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..matching.argmin import WinnerTakeAll
from .measurement import SAME_RADIUS, Measurement, agree, labels_of
from .propagation import SAMPLES, cross_bilateral_votes

VOTE_WEIGHT = 1.5  # of the neighbours' log-vote against the pixel's own log-cost; tuned on pub1-4
VOTE_FLOOR = 0.05  # votes that a label has without any neighbour
ENOUGH_VOTES = 0.2  # confident like neighbours that settle a pixel
SURE = 0.6  # confidence from which a pixel's own costs place it between two candidates
OUTVOTED = 0.2  # of its support: what a pixel's vote for the label it was given counts
LEAST_SHARE = 0.02  # of its cost that counts where all its blur is that of others


@dataclass(frozen=True, eq=False)
class Voters:
    """What every pixel votes for.

    Attributes:
        labels: [H,W], positions among the candidates, 0…C−1, with fractions.
        weight: [H,W], 0…1.
    """

    labels: Tensor
    weight: Tensor


@dataclass(frozen=True, eq=False)
class Labelling:
    """The picture, or a strip of its rows, labelled.

    Attributes:
        offset: [rows,W], 1/m.
        support: [rows,W], 0…1: what has little is filled afterwards.
    """

    offset: Tensor
    support: Tensor


def first_voters(measured: Measurement, share: Tensor) -> Voters:
    """Return votes for each pixel's own cheapest candidate, by its confidence."""
    return Voters(labels_of(measured.offset, measured.offsets), measured.confidence * share)


def next_voters(
    measured: Measurement, share: Tensor, labelled: Labelling, strongest: float
) -> Voters:
    """Return votes of the same pixels, but for those that were outvoted: for their new label.

    Args:
        measured: costs of the whole picture.
        share: [H,W], 0…1 (`ownership.py`).
        labelled: the whole picture.
        strongest: the largest strength, px·m.
    """
    same = agree(labelled.offset, measured.offset, SAME_RADIUS / strongest)
    offset = torch.where(same, measured.offset, labelled.offset)
    weight = torch.where(same, measured.confidence, OUTVOTED * labelled.support)
    return Voters(labels_of(offset, measured.offsets), weight * share)


def label_rows(
    measured: Measurement,
    share: Tensor,
    voters: Voters,
    guide: Tensor,
    rows: tuple[int, int],
    samples: int = SAMPLES,
) -> Labelling:
    """Return the candidates of least energy in a strip of rows.

    Args:
        measured: costs of the whole picture.
        share: [H,W], 0…1, of what a pixel shows that is its own surface's (`ownership.py`).
        voters: of the whole picture.
        guide: [C,H,W], what voters are alike in (`likeness`).
        rows: first, even, and one past the last row wanted.
        samples: number of neighbours that vote for each pixel.
    """
    here, offsets = slice(*rows), measured.offsets
    labels, sure = labels_of(measured.offset, offsets), measured.confidence
    votes = cross_bilateral_votes(voters.labels, voters.weight, guide, len(offsets), rows, samples)
    support = votes.sum(0)
    own = measured.log_costs(rows)
    energy = share[here].clamp(min=LEAST_SHARE) * own - VOTE_WEIGHT * _log_share(votes, support)
    best = WinnerTakeAll()
    for candidate, cost in zip(offsets, energy, strict=True):
        best.update(candidate, cost)
    offset = best.vertex()
    # Where a sure pixel's own cost says the same, its position is exact; votes blur it.
    position = labels_of(offset, offsets)
    same = ((position - labels[here]).abs() <= 1) & (sure[here] * share[here] > SURE)
    offset = torch.where(same, measured.offset[here], offset)
    chosen = position.round().long()
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
