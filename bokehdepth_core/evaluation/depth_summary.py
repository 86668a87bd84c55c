"""Results of many scenes in one table: means with intervals, and differences scene by scene."""

from collections.abc import Sequence
from dataclasses import dataclass

from .bootstrap import Interval, bootstrap
from .depth_run import CONDITIONS, NONE, SHUFFLED, STACK, DepthResult

SCORES = {
    "affine_error": "affine",
    "abs_rel": "AbsRel",
    "rmse": "RMSE",
    "log10": "log10",
    "silog": "SILog",
    "delta_1": "δ1",
    "delta_2": "δ2",
    "delta_3": "δ3",
    "boundary_f1": "edges F1",
    "ause": "AUSE",
}
DIFFERENCES = ((STACK, NONE), (STACK, SHUFFLED))


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        estimator: name.
        condition: one of `CONDITIONS`, or of two the difference, "stack - none".
        scores: interval by name of the score; what was not measured is absent.
        scenes: how many it is taken over.
    """

    estimator: str
    condition: str
    scores: dict[str, Interval]
    scenes: int


def summarise(results: Sequence[DepthResult], *, seed: int = 0) -> list[Row]:
    """Return means over scenes, and paired differences, for each estimator.

    A difference is taken over the scenes that have both, each with itself, so that scenes that are
    hard for everybody do not widen its interval.

    Args:
        results: of `run_depth_evaluation`.
        seed: of the bootstrap.
    """
    rows = []
    for name in dict.fromkeys(one.estimator for one in results):
        found = {
            condition: {
                one.scene: one
                for one in results
                if (one.estimator, one.condition) == (name, condition)
            }
            for condition in CONDITIONS
        }
        rows += [
            _row(name, condition, list(scenes.values()), None, seed)
            for condition, scenes in found.items()
            if scenes
        ]
        for one, other in DIFFERENCES:
            both = [scene for scene in found[one] if scene in found[other]]
            if both:
                first = [found[one][scene] for scene in both]
                second = [found[other][scene] for scene in both]
                rows.append(_row(name, f"{one} - {other}", first, second, seed))
    return rows


def _row(
    name: str,
    condition: str,
    results: Sequence[DepthResult],
    less: Sequence[DepthResult] | None,
    seed: int,
) -> Row:
    """Return the line of results, or of their differences to others of the same scenes."""
    scores = {}
    for score in SCORES:
        values = [getattr(one.scores, score) for one in results]
        if less is not None:
            others = [getattr(one.scores, score) for one in less]
            values = [
                None if one is None or other is None else one - other
                for one, other in zip(values, others, strict=True)
            ]
        known = [value for value in values if value is not None]
        if known:
            scores[score] = bootstrap(known, seed=seed)
    return Row(name, condition, scores, len(results))
