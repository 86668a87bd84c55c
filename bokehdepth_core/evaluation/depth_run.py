"""Depth of many scenes, each seen with its stack, without, and with the stack of another scene.

The last is the control: an estimator that is as good with another scene's frames does not read
them. Scenes come from a manifest or are made; whatever cannot be used is named.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ..datatypes import BokehStack
from ..depth.protocol import DepthEstimator
from ..depth.sweep.estimator import SweepEstimator
from ..training.manifest import REFUSE, Entry, Report
from ..training.samples import Sample, load_sample
from .depth_scores import DepthScores, score_depth

STACK, NONE, SHUFFLED = "stack", "none", "shuffled"
CONDITIONS = (STACK, NONE, SHUFFLED)
_FARTHEST_FOCUS = 1e6  # m; networks take no infinity
_MOST_SIZES = 16  # of pictures that are kept to lend their frames to others


@dataclass(frozen=True, eq=False)
class Scene:
    """One scene that depth is measured on.

    Attributes:
        name: for tables and messages.
        sample: photo, depth and stack.
        other: [N,H,W,3], frames of another scene; None where no other fits.
    """

    name: str
    sample: Sample
    other: Tensor | None = None


@dataclass(frozen=True)
class DepthResult:
    """One estimate against the truth.

    Attributes:
        estimator: name.
        scene: name.
        condition: one of `CONDITIONS`.
        scores: how far it is off.
        metric: True where the estimate was in metres.
    """

    estimator: str
    scene: str
    condition: str
    scores: DepthScores
    metric: bool


def manifest_scenes(
    entries: Sequence[Entry],
    *,
    on_bad: str = REFUSE,
    nan_is_unknown: bool = False,
    report: Report = lambda line: None,
) -> Iterator[Scene]:
    """Yield the scenes of a manifest, read one by one.

    Args:
        entries: as `read_manifest` gives them.
        on_bad: "refuse" raises at the first that cannot be used; "skip" reports it and goes on.
        nan_is_unknown: take NaN in depth for "not measured".
        report: called with a line for each entry that was skipped.

    Raises:
        ValueError: with "refuse", a file that cannot be used.
    """
    for entry in entries:
        try:
            sample = load_sample(entry, nan_is_unknown=nan_is_unknown)
            if not sample.known.any():
                raise ValueError(f"{entry.where}: no pixel with a known depth. Leave the line out.")
        except ValueError as error:
            if on_bad == REFUSE:
                raise
            report(f"skipped {error}")
            continue
        yield Scene(entry.where, sample)


def with_others(scenes: Iterable[Scene]) -> Iterator[Scene]:
    """Yield each scene with the frames of the one before it that is of the same size.

    The first of a size comes at the end, with the frames of the last. A scene that is alone with
    its size and its number of frames has no other.

    Example:
        >>> def scene(name, value):
        ...     pictures = torch.full((2, 1, 1, 3), value)
        ...     plane = torch.ones(1, 1)
        ...     return Scene(name, Sample(pictures, torch.tensor([0.0, 9.0]), plane, plane > 0))
        >>> found = with_others([scene("a", 0.1), scene("b", 0.2), scene("c", 0.3)])
        >>> [(one.name, round(float(one.other.mean()), 1)) for one in found]
        [('b', 0.1), ('c', 0.2), ('a', 0.3)]
    """
    first: dict[torch.Size, Scene] = {}
    last: dict[torch.Size, Scene] = {}
    for scene in scenes:
        size = scene.sample.pictures.shape
        if size[0] < 2 or (size not in last and len(last) >= _MOST_SIZES):
            yield scene
            continue
        if size in last:
            yield replace(scene, other=last[size].sample.pictures[1:])
        else:
            first[size] = scene
        last[size] = scene
    for size, scene in first.items():
        lender = last[size]
        yield scene if lender is scene else replace(scene, other=lender.sample.pictures[1:])


def run_depth_evaluation(
    estimators: Mapping[str, DepthEstimator],
    scenes: Iterable[Scene],
    *,
    align: str = "metric",
    focus: str = "nearest",
    on_bad: str = REFUSE,
    report: Report = lambda line: None,
    count: int | None = None,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> list[DepthResult]:
    """Return the scores of all estimators on all scenes, under every condition that they can meet.

    The sweep needs a stack; a network without DSFA looks at the photo alone; a scene without a
    stack is seen without, one that no other fits has no control. Frames of another scene are taken
    with the strengths and the focus plane of the scene's own.

    Args:
        estimators: by name.
        scenes: as from `manifest_scenes`.
        align: one of `ALIGNMENTS`.
        focus: what is sharp in the frames, "nearest" or "farthest"; told to the estimators.
        on_bad: "refuse" stops at an estimate that fails, "skip" reports it and goes on without.
        report: called with a line for each scene that was skipped.
        count: of the scenes where it is known, for the progress.
        on_progress: called after each scene.
        check_cancelled: raises to stop.

    Raises:
        ValueError: with "refuse", a scene that an estimator cannot use; the message names it.
    """
    results: list[DepthResult] = []
    for done, scene in enumerate(with_others(scenes), 1):
        check_cancelled()
        try:
            for name, estimator in estimators.items():
                results += _measured(name, estimator, scene, align, focus, check_cancelled)
        except ValueError as error:
            if on_bad == REFUSE:
                raise ValueError(f"{scene.name}: {error}") from error
            report(f"skipped {scene.name}: {error}")
            results = [one for one in results if one.scene != scene.name]
        on_progress(done, max(done, count or done))
    return results


def conditions_of(estimator: DepthEstimator, scene: Scene) -> tuple[str, ...]:
    """Return the conditions under which an estimator can see a scene."""
    if not getattr(estimator, "reads_stack", True):
        return (NONE,)
    found = [STACK] if len(scene.sample.pictures) > 1 else []
    if not isinstance(estimator, SweepEstimator):
        found.append(NONE)
    if scene.other is not None:
        found.append(SHUFFLED)
    return tuple(found)


def _measured(
    name: str,
    estimator: DepthEstimator,
    scene: Scene,
    align: str,
    focus: str,
    check_cancelled: CheckCancelled,
) -> list[DepthResult]:
    """Return the scores of one estimator on one scene."""
    results = []
    for condition in conditions_of(estimator, scene):
        check_cancelled()
        stack = None if condition == NONE else stack_of(scene, condition)
        results.append(
            measured(name, estimator, scene, condition, stack, align, focus, check_cancelled)
        )
    return results


def measured(
    name: str,
    estimator: DepthEstimator,
    scene: Scene,
    condition: str,
    stack: BokehStack | None,
    align: str,
    focus: str,
    check_cancelled: CheckCancelled = never_cancelled,
) -> DepthResult:
    """Return the scores of one estimator on one scene with a given stack, or with none.

    Args:
        name: of the estimator.
        estimator: is asked once.
        scene: with the truth.
        condition: name of what the estimator sees.
        stack: that it sees; None for the photo alone.
        align: one of `ALIGNMENTS`.
        focus: what is sharp in the frames.
        check_cancelled: raises to stop.
    """
    sample = scene.sample
    plane = sample.focus_disparity
    metric_plane = plane == plane and sample.metric  # NaN: nobody knows
    distance = min(1 / max(plane, 1e-12), _FARTHEST_FOCUS) if metric_plane else None
    found = estimator.estimate(
        sample.pictures[:1],
        stack,
        focus=focus,
        focus_depth=None if stack is None else distance,
        check_cancelled=check_cancelled,
    )
    scores = score_depth(
        found, sample.disparity, known=sample.known, align=align, true_metric=sample.metric
    )
    return DepthResult(name, scene.name, condition, scores, found.metric)


def stack_of(scene: Scene, condition: str) -> BokehStack:
    """Return the scene's own stack, or with "shuffled" that with the frames of another."""
    frames = scene.sample.pictures[1:]
    if condition == SHUFFLED and scene.other is not None:
        frames = scene.other
    strengths = tuple(scene.sample.strengths[1:].tolist())
    return BokehStack(scene.sample.pictures[0], frames, strengths)
