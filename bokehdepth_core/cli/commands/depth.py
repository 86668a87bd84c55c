"""The command `depth`: from a photo, and its stack where there is one, to a depth file."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from ...checks import parse_strengths
from ...datatypes import BokehStack, DepthMap
from ...depth import BUILT_IN, DepthEstimator, load_depth_estimator
from ...depth.alignment import align_stack
from ...depth.conversion import check_choices
from ...depth.networks.depth_anything import DepthAnything
from ...depth.networks.small import SmallDepth
from ...depth.sweep.calibration import calibrate_stack
from ...depth.sweep.estimator import on_device
from ...depth.sweep.frame_faults import frame_faults
from ...depth.sweep.matching.shape import found_aperture
from ...depth.sweep.messages import collected
from ...files.depth_maps import check_depth_name
from ...files.pictures.images import read_image
from ...optics.aperture import Aperture
from ...weights.published import DEPTH, find_weights
from ..depth_contradictions import check_depth_options, check_file_alone
from ..inputs import carried_depth, save_depth
from ..lens_options import aperture_of, shape_of
from ..options import camera_of, check_folder, network_dtype
from ..progress import progress_bar
from .focus_stack import run_focus_stack
from .from_mask import run_from_mask

if TYPE_CHECKING:
    from ...depth.estimator import NetworkEstimator

_RETRAINED = ("attention_scale", "alibi", "heads", "stages")
_NO_METRES = "this checkpoint knows no metres; use a metric one"


def run_depth(options: argparse.Namespace) -> None:
    """Run `depth`."""
    check_folder(options.output)
    check_depth_name(options.output)
    check_depth_options(options)
    if _from_other_kinds(options):
        return
    _check_choices(options)
    if options.photo is not None and (options.stack or options.model != BUILT_IN):
        raise ValueError(
            "photo: goes with a depth file, and here depth is made from the image. Leave it out."
        )
    if options.model == BUILT_IN and not options.stack and options.strengths is None:
        carried = carried_depth(options)
        if carried is not None:
            check_file_alone(options)
            save_depth(options, carried.depth, carried.photo)
            print(f"{options.output}: {_summary(carried.depth, options.model)}")
            return
    image = read_image(options.image)
    stack = _given_stack(options, image)
    intrinsics = camera_of(options, image)
    estimator = _estimator(options, intrinsics)
    if stack is not None and options.align:
        stack, aligned = align_stack(stack, strict=False)
        print(aligned.summary)
    aperture = _given_aperture(options)
    with collected() as said, progress_bar("depth") as on_progress:
        depth = estimator.estimate(
            image[None],
            stack,
            intrinsics,
            options.resolution,
            focus=options.focus or "nearest",
            focus_depth=options.focus_distance,
            aperture=aperture,
            on_progress=on_progress,
        )
    for record in said:
        if record.levelno < logging.WARNING:  # warnings come by themselves
            print(record.getMessage(), file=sys.stderr)
    save_depth(options, depth, image)
    print(f"{options.output}: {_summary(depth, options.model)}")
    if options.calibration and stack is not None:
        with progress_bar("calibration") as on_progress:
            report = calibrate_stack(
                on_device(stack, options.device),
                aperture=aperture or found_aperture(stack),
                on_progress=on_progress,
            )
        print(report.summary)
        for fault in frame_faults(on_device(stack, options.device)):
            print(fault)


def _given_aperture(options: argparse.Namespace) -> Aperture | None:
    """Return the shape that the options tell; None where they tell none."""
    return aperture_of(options) if shape_of(options) else None


def _from_other_kinds(options: argparse.Namespace) -> bool:
    """Run a focus stack or a mask of the subject where one is given, and return whether one was."""
    if options.focus_stack:
        run_focus_stack(options)
        return True
    _check_image(options)
    if options.subject is not None:
        run_from_mask(options)
        return True
    return False


def _check_image(options: argparse.Namespace) -> None:
    """Refuse a call without a picture, and what goes with a focus stack only."""
    if options.image is None:
        raise ValueError("image: not given. Give the sharp photo, or --focus-stack and its frames.")
    for name in ("focus_distances", "all_in_focus"):
        if getattr(options, name) is not None:
            raise ValueError(
                f"{name}: goes with a focus stack. Give its frames with --focus-stack, or leave "
                f"--{name.replace('_', '-')} out."
            )


def _check_choices(options: argparse.Namespace) -> None:
    """Refuse what the chosen kind of estimator could take no notice of."""
    if options.model != BUILT_IN:
        return
    chosen = [
        name
        for name in ("resolution", "precision", "max_depth", *_RETRAINED)
        if getattr(options, name) not in (None, "auto")
    ]
    if chosen:
        raise ValueError(
            f"{chosen[0]}: the built-in estimator has no such choice. Give --checkpoint, or leave "
            f"--{chosen[0].replace('_', '-')} out."
        )


def _check_focus(options: argparse.Namespace, network: nn.Module) -> None:
    """Refuse a focus distance that a network takes no notice of, and metres that need one."""
    small = isinstance(network, SmallDepth)
    if options.focus_distance is not None and not small:
        raise ValueError(
            "focus_distance: a checkpoint finds its metres itself, or knows none. Leave "
            "--focus-distance out, or leave --checkpoint out for the built-in estimator."
        )
    if small and options.output.suffix.lower() == ".ply" and options.focus_distance is None:
        raise ValueError("output: a point cloud needs metres. Give --focus-distance and a stack.")


def _estimator(options: argparse.Namespace, intrinsics: Tensor | None) -> DepthEstimator:
    """Return what was chosen, after checking that it can give what the output needs."""
    cloud = options.output.suffix.lower() == ".ply"
    if options.model == BUILT_IN:
        if cloud and (intrinsics is None or options.focus_distance is None):
            raise ValueError(
                "output: a point cloud needs metres and the view of the lens. "
                "Give --focus-distance, and --focal-length-px or --focal-length-35mm."
            )
        return load_depth_estimator(BUILT_IN, device=options.device)
    estimator = load_depth_estimator(
        find_weights(options.model, DEPTH),
        device=options.device,
        dtype=network_dtype(options.precision or "auto", options.device),
        max_depth=options.max_depth,
        **{name: getattr(options, name) for name in _RETRAINED},
    )
    network = cast("NetworkEstimator", estimator).network  # it is not the built-in one
    _check_focus(options, network)
    check_choices(network, options.max_depth, options.attention_scale, options.alibi, options.heads)
    if cloud and isinstance(network, DepthAnything) and not network.shape.metric:
        raise ValueError(f"output: a point cloud needs metres; {_NO_METRES}.")
    if cloud and isinstance(network, DepthAnything) and intrinsics is None:
        raise ValueError(
            "output: a point cloud needs the view of the lens, which this checkpoint does not "
            "find. Give --focal-length-px or --focal-length-35mm."
        )
    return estimator


def _given_stack(options: argparse.Namespace, image: Tensor) -> BokehStack | None:
    """Return the stack of the options; None where a network is to see the photo alone."""
    if not options.stack and options.strengths is None:
        if options.model == BUILT_IN or options.calibration:
            raise ValueError(
                "stack: not given. Give blurred frames, --stack and --strengths, or a depth "
                "network, --checkpoint."
            )
        return None
    if not options.stack or options.strengths is None:
        missing = "strengths" if options.stack else "stack"
        raise ValueError(f"{missing}: not given. Give --stack and --strengths together.")
    strengths = parse_strengths(options.strengths)
    return BokehStack(image, _read_frames(options.stack, image), strengths)


def _read_frames(paths: Sequence[Path], reference: Tensor) -> Tensor:
    frames = [read_image(path) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        if frame.shape != reference.shape:
            raise ValueError(
                f"{path.name}: {frame.shape[0]}x{frame.shape[1]}, the image is "
                f"{reference.shape[0]}x{reference.shape[1]}. Give pictures of one size."
            )
    return torch.stack(frames)


def _summary(depth: DepthMap, model: str) -> str:
    finite = depth.depth[torch.isfinite(depth.depth)]
    if not depth.metric:
        why = "give --focus-distance for metres" if model == BUILT_IN else _NO_METRES
        return f"normalised disparity ({why})"
    if finite.numel() == 0:
        return "nothing but sky"
    return f"{float(finite.min()):.3g} to {float(finite.max()):.3g} m"
