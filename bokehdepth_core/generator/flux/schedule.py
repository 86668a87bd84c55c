"""The noise levels σ that FLUX is sampled at: from 1, noise alone, to 0.

Levels that are evenly spaced are moved towards noise, the more of them the larger the picture:

    σ' = e^μ / (e^μ + 1/σ − 1)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ...checks import check_number
from .architectures import FLUX2, Family

# FLUX.1: μ grows linearly from the first to the second number of image tokens.
FLUX1_TOKENS, FLUX1_SHIFTS = (256, 4096), (0.5, 1.15)
# FLUX.2: two lines in the number of image tokens, slope and start: one for 10 steps, one for 200.
FLUX2_TEN, FLUX2_TWO_HUNDRED = (8.73809524e-05, 1.89833333), (0.00016927, 0.45666666)
FLUX2_LARGE = 4300  # tokens from which the second line holds for any number of steps
MAX_LEVELS = 1001


@dataclass(frozen=True)
class Course:
    """How a batch is sampled.

    Attributes:
        steps: sampling steps.
        guidance: as in `FluxGenerator.generate`.
        levels: noise levels in place of the published ones, falling to 0; None takes those.
    """

    steps: int
    guidance: float
    levels: Sequence[float] | None = None


def shift_of(family: Family, steps: int, tokens: int) -> float:
    """Return μ of a picture.

    Args:
        family: of the network.
        steps: sampling steps.
        tokens: image tokens, without the reference's: height/16 · width/16.

    Reference:
        The published samplers of FLUX.1 and FLUX.2 (Black Forest Labs).

    Example:
        >>> from .architectures import FLUX1
        >>> round(shift_of(FLUX1, 50, 4096), 3)
        1.15
    """
    if family.name != FLUX2.name:
        slope = (FLUX1_SHIFTS[1] - FLUX1_SHIFTS[0]) / (FLUX1_TOKENS[1] - FLUX1_TOKENS[0])
        return FLUX1_SHIFTS[0] + slope * (tokens - FLUX1_TOKENS[0])
    many = FLUX2_TWO_HUNDRED[0] * tokens + FLUX2_TWO_HUNDRED[1]
    if tokens > FLUX2_LARGE:
        return many
    few = FLUX2_TEN[0] * tokens + FLUX2_TEN[1]
    return few + (many - few) * (steps - 10) / 190


def noise_levels(family: Family, steps: int, tokens: int) -> Tensor:
    """Return the published noise levels of a picture, [steps+1], float32, falling from 1 to 0.

    Args:
        family: as in `shift_of`, like the two that follow.
        steps: …
        tokens: …
    """
    shift = math.exp(shift_of(family, steps, tokens))
    uniform = torch.linspace(1.0, 1.0 / steps, steps, dtype=torch.float64)
    shifted = shift / (shift + 1 / uniform - 1)
    return torch.cat([shifted, shifted.new_zeros(1)]).float()


def check_noise_levels(levels: Sequence[float] | Tensor) -> tuple[float, ...]:
    """Return noise levels that somebody chose, with a 0 at the end where it is missing.

    Raises:
        ValueError: fewer than two levels, too many, levels outside 0…1, or levels that do not fall.

    Example:
        >>> check_noise_levels([1.0, 0.5])
        (1.0, 0.5, 0.0)
    """
    given = torch.as_tensor(levels, dtype=torch.float64).flatten().tolist()
    if not 0 < len(given) <= MAX_LEVELS:
        raise ValueError(f"sigmas: give 2 to {MAX_LEVELS} noise levels: found {len(given)}.")
    values = [check_number(one, "sigmas", 0.0, 1.0) for one in given]
    values += [0.0] if values[-1] else []
    if len(values) < 2 or any(after >= before for before, after in pairwise(values)):
        raise ValueError(
            "sigmas: give noise levels that fall from 1 to 0: found "
            f"{', '.join(f'{one:g}' for one in given[:6])}{', …' if len(given) > 6 else ''}."
        )
    return tuple(values)
