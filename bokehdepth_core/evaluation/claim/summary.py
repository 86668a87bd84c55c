"""From the results of all seeds to the numbers of the claim, each with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..bootstrap import Interval, bootstrap, bootstrap_ratio
from ..depth_run import NONE, SHUFFLED, STACK, DepthResult
from .measure import CONDITIONS, GENERATED

SCORES = {"affine_error": "affine", "abs_rel": "AbsRel", "silog": "SILog", "delta_1": "δ1"}
ERRORS = ("affine_error", "abs_rel", "silog")  # less is better
RATIOS = (STACK, SHUFFLED, GENERATED)  # over the error of the network trained without stacks
WANTED, WANTED_AT_MOST = 0.5, 0.6  # ratio of errors, and the upper end of its interval


@dataclass(frozen=True)
class Spread:
    """A number of all seeds together.

    Attributes:
        interval: of the mean over scenes, each scene's the mean over seeds.
        seeds: the number of each seed alone.
    """

    interval: Interval
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class Claim:
    """The numbers of the claim.

    Attributes:
        scores: by score, then by condition.
        ratios: by score that is an error, then by condition: error over that without a stack.
        scenes: how many were compared.
        seeds: how many pairs of networks.
    """

    scores: dict[str, dict[str, Spread]]
    ratios: dict[str, dict[str, Spread]]
    scenes: int
    seeds: int

    @property
    def is_reached(self) -> bool:
        """True where the right stack halves the error, and its interval ends below 0.6."""
        found = self.ratios["affine_error"][STACK].interval
        return found.mean <= WANTED and found.high < WANTED_AT_MOST


def summarise_claim(results: Sequence[DepthResult], *, seed: int = 0) -> Claim:
    """Return means and ratios with intervals over scenes, and each seed's own.

    A ratio is that of two means over the same scenes, drawn together.

    Args:
        results: of `measure_claim`.
        seed: of the bootstrap.
    """
    names = tuple(dict.fromkeys(one.estimator for one in results))
    scenes = tuple(dict.fromkeys(one.scene for one in results))
    found = {
        score: values for score in SCORES if (values := _values(results, score, names, scenes))
    }
    scores = {
        score: {
            condition: Spread(bootstrap(_over_seeds(each), seed=seed), tuple(map(_mean, each)))
            for condition, each in values.items()
        }
        for score, values in found.items()
    }
    ratios = {
        score: {one: _ratio(values[one], values[NONE], seed) for one in RATIOS}
        for score, values in found.items()
        if score in ERRORS
    }
    return Claim(scores, ratios, len(scenes), len(names))


def _values(
    results: Sequence[DepthResult], score: str, names: Sequence[str], scenes: Sequence[str]
) -> dict[str, list[list[float]]]:
    """Return a score by condition, seed and scene; scenes that lack it anywhere are left out.

    A scene that reaches to infinity everywhere has no metres, so only an affine error.
    """
    table = {
        (one.condition, one.estimator, one.scene): getattr(one.scores, score) for one in results
    }
    lacking = {key[-1] for key, value in table.items() if value is None}
    usable = [scene for scene in scenes if scene not in lacking]
    if not usable:
        return {}
    return {
        condition: [[table[condition, name, scene] for scene in usable] for name in names]
        for condition in CONDITIONS
    }


def _ratio(values: Sequence[list[float]], others: Sequence[list[float]], seed: int) -> Spread:
    each = tuple(_mean(one) / _mean(other) for one, other in zip(values, others, strict=True))
    return Spread(bootstrap_ratio(_over_seeds(values), _over_seeds(others), seed=seed), each)


def _over_seeds(values: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean over seeds for each scene."""
    return [_mean(one) for one in zip(*values, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
