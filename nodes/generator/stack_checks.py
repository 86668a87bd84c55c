"""What nodes do to the frames of stacks before they hand them on: aligned, measured, corrected."""

from dataclasses import dataclass, replace

from ...bokehdepth_core import BokehStack, DepthMap, align_stack, calibrate_stack
from ...bokehdepth_core.depth.sweep.calibration_memory import calibration_memory
from ...bokehdepth_core.depth.sweep.estimator import on_device
from ...bokehdepth_core.depth.sweep.frame_faults import frame_faults
from ...bokehdepth_core.depth.sweep.matching.shape import found_aperture
from ..host import pictures, services


def aligned(stacks: tuple[BokehStack, ...]) -> tuple[tuple[BokehStack, ...], str]:
    """Return the stacks with their frames in place, and what was done to them.

    A frame that cannot be aligned stays as it is; the report tells.
    """
    found, reports = [], []
    bar = services.start_bar()
    for index, stack in enumerate(stacks):
        stack, report = align_stack(
            stack,
            strict=False,
            on_progress=services.progress(index, len(stacks), bar),
            check_cancelled=services.check_cancelled,
        )
        found.append(as_result(stack))
        title = f"picture {index + 1}\n" if len(stacks) > 1 else ""
        reports.append(title + report.summary)
    return tuple(found), "\n".join(reports)


def faults(stacks: tuple[BokehStack, ...]) -> list[str]:
    """Return what is wrong with the frames, a sentence each."""
    return [
        f"picture {index + 1}: {said}" if len(stacks) > 1 else said
        for index, stack in enumerate(stacks)
        for said in frame_faults(stack, check_cancelled=services.check_cancelled)
    ]


@dataclass(frozen=True)
class Calibrated:
    """A stack whose blur was measured.

    Attributes:
        stack: with what was found in its settings.
        report: one line for a person.
    """

    stack: BokehStack
    report: str


def calibrated(stack: BokehStack, depth: DepthMap | None, correct: bool) -> Calibrated:
    """Return the stack with a line on how well its blur obeys its strengths, and what they are.

    Args:
        stack: one photo's.
        depth: of the photo, or None.
        correct: give the stack the strengths that its frames show, where they are known.
    """
    services.make_room(
        calibration_memory(stack, moved=services.moves(), check_cancelled=services.check_cancelled)
    )
    stack_there = on_device(stack, services.device())
    found = calibrate_stack(
        stack_there,
        depth if depth is not None and depth.metric else None,
        stack.settings.get("focus_depth"),
        aperture=found_aperture(stack_there, check_cancelled=services.check_cancelled),
        on_progress=services.progress(),
        check_cancelled=services.check_cancelled,
    )
    line = f"{found.summary}. {found.in_words(stack.strengths)}"
    settings = {**stack.settings, "calibration": found.summary}
    shown = found.measured_strengths(stack.strengths) if correct else None
    if shown is None:
        line += " The strengths stay as asked for." if correct else ""
        return Calibrated(replace(stack, settings=settings), line)
    settings["asked_strengths"] = stack.strengths
    return Calibrated(replace(stack, strengths=shown, settings=settings), line)


def one_depth(depth: DepthMap | None, index: int) -> DepthMap | None:
    """Return the depth of one photo of a batch; one map serves all of them."""
    if depth is None:
        return None
    return DepthMap(pictures.item(depth.depth, index), metric=depth.metric)


def as_result(stack: BokehStack) -> BokehStack:
    """Return a stack with its pictures where the host wants results."""
    return replace(
        stack, reference=services.result(stack.reference), frames=services.result(stack.frames)
    )
