"""`bokehdepth depth --focus-stack`: depth from photos focused at several distances."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ...checks import parse_strengths
from ...depth.focus_stacks import focus_stack_from_frames, parse_focus_distances
from ...depth.sweep.estimate import sweep_depth
from ...files.pictures.images import read_image, write_image
from ...weights.published import BUILT_IN
from ..inputs import save_depth
from ..lens_options import aperture_of
from ..options import camera_of, check_folder
from ..progress import progress_bar

_UNUSED = (
    *("image", "photo", "stack", "subject", "focus", "focus_distance", "calibration"),
    *("resolution", "precision", "max_depth", "attention_scale", "alibi", "heads", "stages"),
)


def run_focus_stack(options: argparse.Namespace) -> None:
    """Run `depth` with a focus stack.

    Raises:
        ValueError: options that a focus stack leaves without effect, or unusable frames.
        FileNotFoundError: no such file.
    """
    _check_unused(options)
    if options.all_in_focus is not None:
        check_folder(options.all_in_focus)
    distances = parse_focus_distances(options.focus_distances or "")
    frames = _read(options.focus_stack)
    intrinsics = camera_of(options, frames[0])
    if options.output.suffix.lower() == ".ply" and (not distances or intrinsics is None):
        raise ValueError(
            "output: a point cloud needs metres and the view of the lens. "
            "Give --focus-distances, and --focal-length-px or --focal-length-35mm."
        )
    stack, report = focus_stack_from_frames(
        frames.to(options.device),
        distances,
        _strength(options.strengths),
        align=options.align,
    )
    print(report.summary)
    if options.all_in_focus is not None:
        write_image(options.all_in_focus, stack.reference.cpu())
    with progress_bar("depth") as on_progress:
        depth = sweep_depth(
            stack, aperture=aperture_of(options), align=options.align, on_progress=on_progress
        )
    save_depth(options, replace(depth, intrinsics=intrinsics), stack.reference.cpu())
    kind = "metres" if depth.metric else "normalised disparity"
    print(f"{options.output}: {kind} from {len(stack.frames)} focus distances")


def _check_unused(options: argparse.Namespace) -> None:
    """Refuse what would change nothing."""
    given = [name for name in _UNUSED if getattr(options, name)]
    if options.model != BUILT_IN:
        given.append("checkpoint")
    if given:
        raise ValueError(
            f"{given[0]}: has no effect on a focus stack, whose frames give picture and depth. "
            "Leave it out, or leave --focus-stack out."
        )


def _strength(text: str | None) -> float:
    """Return the one strength of all frames, px·m; 0 where it is to be measured."""
    if text is None:
        return 0.0
    values = parse_strengths(text)
    if len(values) != 1:
        raise ValueError(
            f"strengths: {len(values)} given; a focus stack has one for all frames. Give one."
        )
    return values[0]


def _read(paths: Sequence[Path]) -> Tensor:
    """Return the frames, [N,H,W,3], all of the size of the first."""
    frames = [read_image(path) for path in paths]
    first = frames[0]
    for path, frame in zip(paths, frames, strict=True):
        if frame.shape != first.shape:
            raise ValueError(
                f"{path.name}: {frame.shape[0]}x{frame.shape[1]}, the first frame is "
                f"{first.shape[0]}x{first.shape[1]}. Give pictures of one size."
            )
    return torch.stack(frames)
