"""What is measured on a scene of ZEDD: depth both ways, the renderer, and the lens formula.

The sharp picture is the one at f/16, which is a little blurred itself. Variances of blur add, so
against it a frame at f/N shows K = sqrt(K_N² − K_16²).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..callbacks import CheckCancelled, never_cancelled
from ..datatypes import BokehStack, DepthMap
from ..depth.alignment import align_stack
from ..depth.sweep.estimate import sweep_depth
from ..depth.sweep.radii import frame_radii
from ..files.depth.holes import fill_holes
from ..optics.thin_lens import FULL_FRAME_DIAGONAL_MM, bokeh_strength_from_lens
from ..render.renderer import render_bokeh
from .depth_metrics import DepthMetrics, evaluate_depth
from .picture_metrics import psnr, ssim
from .zedd import APERTURES, SHARP, ZeddScene

CONFIDENT = 0.5  # of a frame's own radius, to be held against the formula
CLEAR_RADIUS = 2.0  # px; smaller ones say little about a factor
ENOUGH_BLOCKS = 200  # of 2 x 2 pixels
CROP = 4 / 3  # width over height of the middle part that the published numbers are of


@dataclass(frozen=True)
class ZeddOptions:
    """How the data set is evaluated.

    Attributes:
        height: of the pictures that are worked on, px; 480 as published.
        f_number: of focus stacks and of the renderer.
        frames: pictures of a focus stack, spread evenly over the focus distances.
        focal_length_mm: of the lens; None takes it from K.txt and the sensor's width.
        sensor_width_mm: of the camera. The data set does not tell it: 36 mm is assumed.
        device: where the work is done.
    """

    height: int = 480
    f_number: float = 2.8
    frames: int = 5
    focal_length_mm: float | None = None
    sensor_width_mm: float = 36.0
    device: str | torch.device = "cpu"


@dataclass(frozen=True)
class ZeddResult:
    """One measurement of one scene; what it does not measure is None.

    Attributes:
        scene: name.
        kind: "aperture bracket", "focus stack", "renderer" or "lens formula".
        f_number: of the frames.
        focus_m: of the frames, m; None where they differ.
        depth: measures of the depth.
        psnr: dB.
        ssim: at most 1.
        radius_ratio: measured blur radius over that of the formula.
        note: what was wrong with the frames, or "".
    """

    scene: str
    kind: str
    f_number: float | None
    focus_m: float | None = None
    depth: DepthMetrics | None = None
    psnr: float | None = None
    ssim: float | None = None
    radius_ratio: float | None = None
    note: str = ""


Task = Callable[[ZeddScene, ZeddOptions, CheckCancelled], list[ZeddResult]]


def aperture_bracket(
    scene: ZeddScene, options: ZeddOptions, check_cancelled: CheckCancelled = never_cancelled
) -> list[ZeddResult]:
    """Return the depth of the apertures at the nearest focus, which the whole scene lies behind.

    What lies in front of that plane comes out behind it: blur does not tell the side.
    """
    run = scene.runs[0]
    stack, note = _in_place(_bracket(scene, run, options), check_cancelled)
    focus = scene.distances[run]
    found = sweep_depth(stack, "nearest", focus_depth=focus, check_cancelled=check_cancelled)
    scored = _scored(found, scene)
    return [ZeddResult(scene.name, "aperture bracket", None, focus, scored, note=note)]


def focus_stack(
    scene: ZeddScene, options: ZeddOptions, check_cancelled: CheckCancelled = never_cancelled
) -> list[ZeddResult]:
    """Return the depth of frames of one aperture at several focus distances.

    The reference is the picture at f/16 and the middle focus distance.
    """
    runs = scene.runs
    count = min(options.frames, len(runs))
    chosen = [runs[round(i * (len(runs) - 1) / max(count - 1, 1))] for i in range(count)]
    middle = runs[len(runs) // 2]
    frames = [scene.picture(run, options.f_number, options.height) for run in chosen]
    # Once the frames lie on the reference, one px is the same angle in all: K is that of its focus.
    strength = _strength(scene, middle, options.f_number, options, frames[0])
    stack = BokehStack(
        scene.picture(middle, SHARP, options.height).to(options.device),
        torch.stack(frames).to(options.device),
        (strength,) * len(chosen),
        focus_depths=tuple(scene.distances[run] for run in chosen),
    )
    stack, note = _in_place(stack, check_cancelled)
    scored = _scored(sweep_depth(stack, check_cancelled=check_cancelled), scene)
    return [ZeddResult(scene.name, "focus stack", options.f_number, None, scored, note=note)]


def renderer(
    scene: ZeddScene, options: ZeddOptions, check_cancelled: CheckCancelled = never_cancelled
) -> list[ZeddResult]:
    """Return how near f/16 with the true depth, blurred to f/N, comes to the real f/N."""
    results = []
    for run in (scene.runs[0], scene.runs[len(scene.runs) // 2], scene.runs[-1]):
        check_cancelled()
        stack = _bracket(scene, run, options, (options.f_number,))
        stack, note = _in_place(stack, check_cancelled)
        size = (stack.reference.shape[0], stack.reference.shape[1])
        truth = scene.truth(size)
        known = torch.isfinite(truth)
        filled = fill_holes(DepthMap(truth, known.float()), stack.reference.cpu())
        made = render_bokeh(
            stack.reference[None],
            filled.depth.to(options.device),
            stack.strengths[0],
            scene.distances[run],
            check_cancelled=check_cancelled,
        )[0]
        valid = known[0].to(made.device)
        results.append(
            ZeddResult(
                scene.name,
                "renderer",
                options.f_number,
                scene.distances[run],
                psnr=psnr(made, stack.frames[0], valid),
                ssim=ssim(made, stack.frames[0], valid),
                note=note,
            )
        )
    return results


def lens_formula(
    scene: ZeddScene, options: ZeddOptions, check_cancelled: CheckCancelled = never_cancelled
) -> list[ZeddResult]:
    """Return the measured blur radius over K·|d − d_focus|, by aperture, at the middle focus."""
    run = scene.runs[len(scene.runs) // 2]
    focus = scene.distances[run]
    stack, note = _in_place(_bracket(scene, run, options), check_cancelled)
    radii, confidence = frame_radii(stack, check_cancelled=check_cancelled)
    size = (stack.reference.shape[0], stack.reference.shape[1])
    offset = (1 / scene.truth(size) - 1 / focus).abs()[0, ::2, ::2].to(radii.device)
    known = torch.isfinite(scene.truth(size))[0, ::2, ::2].to(radii.device)
    results = []
    for index, strength in enumerate(stack.strengths):
        expected = strength * offset
        clear = known & (confidence[index] > CONFIDENT) & (expected > CLEAR_RADIUS)
        ratio = None
        if int(clear.sum()) >= ENOUGH_BLOCKS:
            ratio = float((radii[index][clear] / expected[clear]).median())
        number = APERTURES[index]
        results.append(
            ZeddResult(scene.name, "lens formula", number, focus, radius_ratio=ratio, note=note)
        )
    return results


TASKS: dict[str, Task] = {
    "bracket": aperture_bracket,
    "focus": focus_stack,
    "render": renderer,
    "formula": lens_formula,
}


def _bracket(
    scene: ZeddScene, run: int, options: ZeddOptions, apertures: tuple[float, ...] = APERTURES
) -> BokehStack:
    """Return the aperture stack of one focus distance, the picture at f/16 its reference."""
    sharp = scene.picture(run, SHARP, options.height)
    frames = torch.stack([scene.picture(run, one, options.height) for one in apertures])
    least = _strength(scene, run, SHARP, options, sharp)
    strengths = tuple(
        math.sqrt(_strength(scene, run, one, options, sharp) ** 2 - least**2) for one in apertures
    )
    return BokehStack(sharp.to(options.device), frames.to(options.device), strengths)


def _in_place(stack: BokehStack, check_cancelled: CheckCancelled) -> tuple[BokehStack, str]:
    """Return the stack with its frames in place, and which of them could not be brought there."""
    stack, report = align_stack(stack, strict=False, check_cancelled=check_cancelled)
    return stack, " ".join(report.problems)


def _strength(
    scene: ZeddScene, run: int, f_number: float, options: ZeddOptions, picture: Tensor
) -> float:
    """Return bokeh strength K, px·m, by the lens formula."""
    height, width = picture.shape[:2]
    focal = options.focal_length_mm
    if focal is None:
        focal = scene.focal_length_at(height) * options.sensor_width_mm / width
    # The equivalent focal length that says this width, by the diagonals of sensors.
    diagonal = options.sensor_width_mm * math.hypot(width, height) / width
    equivalent = focal * FULL_FRAME_DIAGONAL_MM / diagonal
    distance = scene.distances[run]
    return bokeh_strength_from_lens(f_number, focal, equivalent, distance, width, height)


def _scored(found: DepthMap, scene: ZeddScene) -> DepthMetrics:
    """Return the measures over the middle of the picture, as the published ones are."""
    height, width = found.depth.shape[1:]
    wide = min(width, round(height * CROP))
    left = (width - wide) // 2
    inside = torch.zeros(1, height, width, dtype=torch.bool)
    inside[:, :, left : left + wide] = True
    confidence = None if found.confidence is None else found.confidence.cpu()
    on_host = DepthMap(found.depth.cpu(), confidence, metric=found.metric)
    return evaluate_depth(on_host, scene.truth((height, width)), valid=inside)
