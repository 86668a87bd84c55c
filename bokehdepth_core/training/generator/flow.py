"""Rectified flow: a batch on its way from a picture to noise, and what the network is to say there.

    x_t = (1 - t) x0 + t ε,    the network predicts ε - x0

for latents x0 of the blurred frame; the photo's latents follow as reference tokens, as in sampling.
Every draw follows from the seed and the sample's number alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..dice import Dice

TIMES = ("logit-normal", "uniform")


@dataclass(frozen=True, eq=False)
class Example:
    """A photo and one blurred frame of it, encoded.

    Attributes:
        target: [T,C], packed latents of the frame.
        reference: [T,C], packed latents of the photo.
        places: [2T,A], position ids of target and reference tokens.
        text: [L,J], prompt tokens.
        text_places: [L,A], their position ids.
        pooled: [P], pooled prompt; empty for networks that take none.
        strength: K that the adapter is given, px·m.
        with_strength: False where the strength is kept back.
        noise: [T,C], ε.
        time: t, 0…1.
    """

    target: Tensor
    reference: Tensor
    places: Tensor
    text: Tensor
    text_places: Tensor
    pooled: Tensor
    strength: float
    with_strength: bool
    noise: Tensor
    time: float


@dataclass(frozen=True, eq=False)
class FlowBatch:
    """Examples side by side, as the network takes them.

    Attributes:
        noisy: [B,T,C], x_t.
        velocity: [B,T,C], ε - x0.
        reference: [B,T,C].
        places: [2T,A], the same for all.
        text: [B,L,J].
        text_places: [L,A].
        pooled: [B,P].
        strengths: [B], px·m.
        with_strength: [B], 1, or 0 where the strength is kept back.
        times: [B], t.
    """

    noisy: Tensor
    velocity: Tensor
    reference: Tensor
    places: Tensor
    text: Tensor
    text_places: Tensor
    pooled: Tensor
    strengths: Tensor
    with_strength: Tensor
    times: Tensor

    def to(self, device: torch.device) -> "FlowBatch":
        """Return the batch on a device."""
        return FlowBatch(*(getattr(self, one.name).to(device) for one in fields(self)))


def collate(examples: Sequence[Example]) -> FlowBatch:
    """Return examples of one size as a batch."""

    def stacked(name: str) -> Tensor:
        return torch.stack([getattr(one, name) for one in examples])

    target, noise = stacked("target").float(), stacked("noise")
    times = torch.tensor([one.time for one in examples])
    t = times[:, None, None]
    first = examples[0]
    return FlowBatch(
        (1 - t) * target + t * noise,
        noise - target,
        stacked("reference").float(),
        first.places,
        stacked("text"),
        first.text_places,
        stacked("pooled"),
        torch.tensor([one.strength for one in examples]),
        torch.tensor([float(one.with_strength) for one in examples]),
        times,
    )


def drawn_time(dice: Dice, times: str, shift: float) -> float:
    """Return t of one example, within 0…1.

    Args:
        dice: that decides it.
        times: "logit-normal", most often in the middle, or "uniform".
        shift: above 1 moves times towards noise: t' = s t / (1 + (s - 1) t).

    Reference:
        Esser et al., Scaling rectified flow transformers, ICML 2024, sections 3.1 and 5.3.2.
    """
    draw = dice.uniform(0, 1)
    if times == "uniform":
        return shifted(draw, shift)
    return shifted(1 / (1 + math.exp(-float(dice.normal(1)))), shift)


def shifted(t: float, shift: float) -> float:
    """Return a time moved towards noise.

    Example:
        >>> shifted(0.5, 3.0)
        0.75
    """
    return shift * t / (1 + (shift - 1) * t)


def flow_loss(found: Tensor, batch: FlowBatch) -> Tensor:
    """Return the mean squared error of the velocity of each example, [B].

    Args:
        found: [B,T,C], as the network predicts it.
        batch: that it was given.
    """
    return (found.float() - batch.velocity).square().flatten(1).mean(1)
