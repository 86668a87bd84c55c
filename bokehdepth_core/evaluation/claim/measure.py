"""Every scene as each seed's two networks see it: right stack, wrong one, made-up one, no stack.

The made-up stack is what a generator without knowledge of its own can give: frames rendered from
the depth that the network without stacks guesses from the photo. It needs no truth, so what it
gains would be gained in use.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch

from ...callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ...datatypes import BokehStack, DepthMap
from ...depth.protocol import DepthEstimator
from ...generator.rendered import RenderedStackGenerator
from ..depth_run import NONE, SHUFFLED, STACK, DepthResult, Scene, measured, stack_of, with_others

GENERATED = "generated"
CONDITIONS = (STACK, SHUFFLED, GENERATED, NONE)
GENERATED_RADIUS = 0.1  # largest blur of a generated stack, of the picture's shorter side


@dataclass(frozen=True)
class Pair:
    """The two networks of one seed.

    Attributes:
        stack: trained with stacks.
        photo: trained without any.
    """

    stack: DepthEstimator
    photo: DepthEstimator


def measure_claim(
    pairs: Mapping[int, Pair],
    scenes: Iterable[Scene],
    *,
    focus: str = "nearest",
    count: int | None = None,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> list[DepthResult]:
    """Return the scores of each seed's pair on all scenes; depth is compared after an affine fit.

    Args:
        pairs: by seed.
        scenes: each with a stack; one whose size no other has is left out, it has no control.
        focus: what is sharp in the frames, "nearest" or "farthest".
        count: of the scenes where it is known, for the progress.
        on_progress: called after each scene.
        check_cancelled: raises to stop.

    Returns:
        A result for each seed, scene and one of `CONDITIONS`; `estimator` is "seed 0" and so on.

    Raises:
        ValueError: a scene without a stack, or none that can be compared.
    """
    results: list[DepthResult] = []
    for done, scene in enumerate(with_others(scenes), 1):
        if len(scene.sample.pictures) < 2:
            raise ValueError(f"{scene.name}: no stack. The claim is about stacks; leave it out.")
        if scene.other is not None:
            for seed, pair in pairs.items():
                check_cancelled()
                results += _of_pair(f"seed {seed}", pair, scene, focus, check_cancelled)
        on_progress(done, max(done, count or done))
    if not results:
        raise ValueError("scenes: no two of one size, so there is no wrong stack. Give more.")
    return results


def _of_pair(
    name: str, pair: Pair, scene: Scene, focus: str, check_cancelled: CheckCancelled
) -> list[DepthResult]:
    alone = pair.photo.estimate(
        scene.sample.pictures[:1], None, focus=focus, check_cancelled=check_cancelled
    )
    stacks = {
        STACK: stack_of(scene, STACK),
        SHUFFLED: stack_of(scene, SHUFFLED),
        GENERATED: generated_stack(scene, alone, focus, check_cancelled),
    }
    found = [
        measured(name, pair.stack, scene, condition, stack, "affine", focus, check_cancelled)
        for condition, stack in stacks.items()
    ]
    found.append(measured(name, pair.photo, scene, NONE, None, "affine", focus, check_cancelled))
    return found


def generated_stack(
    scene: Scene,
    guess: DepthMap,
    focus: str = "nearest",
    check_cancelled: CheckCancelled = never_cancelled,
) -> BokehStack:
    """Return frames rendered from a guess of the depth, with the strengths of the scene's own.

    The guess has no scale, so the strongest frame is given a largest blur of a tenth of the
    picture's shorter side.

    Args:
        scene: whose photo is blurred.
        guess: [1,H,W], of the photo; its disparity counts up to scale and offset.
        focus: "nearest" or "farthest" of the guess is sharp.
        check_cancelled: raises to stop.
    """
    disparity = guess.disparity.detach().float()
    low, high = disparity.amin(), disparity.amax()
    normalized = (disparity - low) / (high - low).clamp(min=1e-12)
    depth = DepthMap.from_normalized_disparity(normalized)
    photo = scene.sample.pictures[0]
    strengths = scene.sample.strengths[1:]
    radius = GENERATED_RADIUS * min(photo.shape[:2])
    plane = depth.depth.amin() if focus == "nearest" else depth.depth.amax()
    made = RenderedStackGenerator(torch.device("cpu")).generate(
        photo,
        (radius * strengths / strengths.max()).tolist(),
        depth=depth,
        focus_depth=float(plane),
        check_cancelled=check_cancelled,
    )
    return replace(made, strengths=tuple(strengths.tolist()))
