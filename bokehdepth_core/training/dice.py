"""Seeded draws: the same seeds give the same numbers, whatever was drawn elsewhere."""

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

Anything = TypeVar("Anything")


class Dice:
    """Random numbers of one scene.

    Args:
        seeds: whole numbers that decide everything drawn.

    Example:
        >>> Dice(1, 2).uniform(0, 1) == Dice(1, 2).uniform(0, 1)
        True
    """

    def __init__(self, *seeds: int) -> None:
        digest = hashlib.sha256(repr(tuple(map(int, seeds))).encode()).digest()
        # PyTorch's generator takes 64 bits; neighbouring seeds become unrelated.
        self.generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def log_uniform(self, low: float, high: float) -> float:
        """Return a number whose logarithm is evenly spread."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def integer(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def chance(self, probability: float) -> bool:
        """Return True as often as `probability` says."""
        return self.uniform(0, 1) < probability

    def choice(self, options: Sequence[Anything]) -> Anything:
        """Return one of the options."""
        return options[self.integer(0, len(options) - 1)]

    def rand(self, *shape: int) -> Tensor:
        """Return numbers evenly spread over 0…1."""
        return torch.rand(shape, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        """Return normally distributed numbers of mean 0 and deviation 1."""
        return torch.randn(shape, generator=self.generator)
