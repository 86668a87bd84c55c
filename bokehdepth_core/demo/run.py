"""The whole pipeline on the bundled scene: stack to depth, depth to bokeh, against the truth."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ..datatypes import BokehStack, DepthMap
from ..depth import BUILT_IN, load_depth_estimator
from ..files.depth_maps import read_depth
from ..files.pictures.images import read_image, write_image
from ..optics.aperture import Aperture
from ..render.renderer import render_bokeh
from .contact_sheet import (
    CONFIDENCE_COLOURS,
    DEPTH_COLOURS,
    ERROR_COLOURS,
    Panel,
    color_map,
    contact_sheet,
)

ASSETS = Path(__file__).parent / "assets"
SHEET_NAME = "contact_sheet.png"
SHOWN_ERROR = 0.2  # share of the true depth that the error picture shows darkest


@dataclass(frozen=True, eq=False)
class Scene:
    """A bundled scene: a stack, and what is known to be true of it.

    Attributes:
        stack: sharp photo and frames, focused on the nearest thing.
        focus_depth: of the frames, m.
        depth: true depth, [1,H,W], m.
        refocused: [H,W,3], sRGB: the true picture through the lens at another focus.
        refocus_depth: depth of that focus, m.
        refocus_strength: its bokeh strength, px·m.
    """

    stack: BokehStack
    focus_depth: float
    depth: Tensor
    refocused: Tensor
    refocus_depth: float
    refocus_strength: float


@dataclass(frozen=True)
class DepthError:
    """How far estimated depth is from the truth.

    Attributes:
        median: of |Z − Z_true| / Z_true.
        within_ten_percent: share of pixels with |Z − Z_true| <= 0.1 Z_true.
        blur_within: share of pixels whose |1/Z − 1/Z_f| is within max(10 %, 0.02 per m).
    """

    median: float
    within_ten_percent: float
    blur_within: float


def load_scene(folder: Path = ASSETS) -> Scene:
    """Return the scene described by `scene.json` in a folder."""
    facts = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
    frames = [read_image(folder / name) for name in facts["frames"]]
    stack = BokehStack(
        read_image(folder / facts["photo"]), torch.stack(frames), tuple(facts["strengths"])
    )
    return Scene(
        stack,
        facts["focus_depth_m"],
        read_depth(folder / facts["depth"]).depth,
        read_image(folder / facts["refocused"]["file"]),
        facts["refocused"]["focus_depth_m"],
        facts["refocused"]["strength"],
    )


def depth_error(depth: Tensor, truth: Tensor, focus_depth: float) -> DepthError:
    """Return the error of depth [B,H,W], m, against the truth [B,H,W], m, finite."""
    relative = (depth - truth).abs() / truth
    offset = (torch.reciprocal(depth) - 1 / focus_depth).abs()
    true_offset = (torch.reciprocal(truth) - 1 / focus_depth).abs()
    allowed = (0.1 * true_offset).clamp(min=0.02)
    return DepthError(
        float(relative.median()),
        float((relative <= 0.1).float().mean()),
        float(((offset - true_offset).abs() <= allowed).float().mean()),
    )


def psnr(image: Tensor, truth: Tensor) -> float:
    """Return the peak signal-to-noise ratio of two pictures 0…1, dB."""
    error = float((image.clamp(0, 1) - truth).square().mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def run_demo(
    output: str | Path,
    *,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> list[str]:
    """Write the contact sheet into a folder and return the findings, one line each.

    Args:
        output: folder, made where it is missing.
        on_progress: called as work proceeds.
        check_cancelled: raises to stop.

    Raises:
        ValueError: `output` is a file.
    """
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output: {folder} is a file. Give a folder.")
    scene = load_scene()
    depth = load_depth_estimator(BUILT_IN).estimate(
        scene.stack.reference[None],
        scene.stack,
        focus="nearest",
        focus_depth=scene.focus_depth,
        on_progress=lambda done, total: on_progress(round(70 * done / total), 100),
        check_cancelled=check_cancelled,
    )
    pictures = _renders(scene, depth, on_progress, check_cancelled)
    error = depth_error(depth.depth, scene.depth, scene.focus_depth)
    quality = psnr(pictures[0], scene.refocused)
    sheet = contact_sheet(
        "BokehDepth: a photo and three apertures give depth, depth gives any lens",
        "Top: the input. Middle: depth read off the blur, no network. "
        "Bottom: new pictures rendered from that depth.",
        _rows(scene, depth, pictures, error, quality),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / SHEET_NAME, sheet)
    on_progress(100, 100)
    return [
        f"Depth against the truth: median error {100 * error.median:.1f} %, "
        f"{100 * error.within_ten_percent:.1f} % of all pixels within 10 %.",
        f"Blur offset |1/Z - 1/Zf| within max(10 %, 0.02/m): {100 * error.blur_within:.1f} % "
        "of all pixels.",
        f"Refocused picture against the traced one: {quality:.1f} dB PSNR.",
        f"Contact sheet: {folder / SHEET_NAME}",
    ]


def _renders(
    scene: Scene, depth: DepthMap, on_progress: OnProgress, check_cancelled: CheckCancelled
) -> list[Tensor]:
    """Return three new pictures [H,W,3]: another focus, a six-blade lens, a cine lens."""
    strength = scene.refocus_strength
    recipes = (
        (strength, scene.refocus_depth, Aperture(), 0.0),
        (1.5 * strength, scene.focus_depth, Aperture(blades=6, rotation=15.0), 0.7),
        (strength, float(scene.depth.max()), Aperture(anamorphic=0.5), 0.0),
    )
    pictures = []
    for index, (power, focus, aperture, boost) in enumerate(recipes):
        picture = render_bokeh(
            scene.stack.reference[None],
            depth.depth,
            power,
            focus,
            aperture=aperture,
            highlight_boost=boost,
            check_cancelled=check_cancelled,
        )
        pictures.append(picture[0])
        on_progress(70 + 9 * (index + 1), 100)
    return pictures


def _rows(
    scene: Scene, depth: DepthMap, pictures: list[Tensor], error: DepthError, quality: float
) -> list[list[Panel]]:
    stack = scene.stack
    near, far = float(scene.depth.min()), float(scene.depth.max())
    span = f"near {near:.3g} m is bright, far {far:.3g} m is dark"
    relative = ((depth.depth - scene.depth).abs() / scene.depth)[0]
    confidence = torch.ones_like(relative) if depth.confidence is None else depth.confidence[0]
    again = f"focus at {scene.refocus_depth:.3g} m, K = {scene.refocus_strength:g}"
    given = [Panel(stack.reference, "Photo", "all sharp")]
    given += [
        Panel(frame, f"Frame, K = {strength:g}", f"focus at {scene.focus_depth:.3g} m")
        for frame, strength in zip(stack.frames, stack.strengths, strict=True)
    ]
    found = [
        Panel(_depth_picture(depth.depth, near, far), "Depth from the stack", span),
        Panel(_depth_picture(scene.depth, near, far), "True depth", span),
        Panel(
            color_map(relative / SHOWN_ERROR, ERROR_COLOURS),
            f"Error: median {100 * error.median:.1f} %",
            f"white 0, dark {100 * SHOWN_ERROR:.0f} % or more; "
            f"{100 * error.within_ten_percent:.0f} % of pixels within 10 %",
        ),
        Panel(color_map(confidence, CONFIDENCE_COLOURS), "Confidence", "dark: filled in"),
    ]
    made = [
        Panel(pictures[0], "Re-focused", f"{again}; {quality:.1f} dB against the truth"),
        Panel(scene.refocused, "The same, traced: truth", again),
        Panel(pictures[1], "Wider, six blades", "highlights re-expanded"),
        Panel(pictures[2], "Cine lens on the background", "anamorphic 0.5"),
    ]
    return [given, found, made]


def _depth_picture(depth: Tensor, near: float, far: float) -> Tensor:
    """Return depth [1,H,W] as colours, evenly spread over disparity."""
    share = (torch.reciprocal(depth[0]) - 1 / far) / (1 / near - 1 / far)
    return color_map(share, DEPTH_COLOURS)
