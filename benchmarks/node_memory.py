"""Memory that nodes ask for, against the most that torch holds, by setting and size.

    python benchmarks/node_memory.py [SETTING ...] [--size 512x512] [--radius PX]

SETTING is one of those of `RENDERS`, `SWEEPS` or `STACKS`; none takes all. The still life of the
demo is scaled to the size. Printed are numbers of 4 bytes a pixel, and the estimate over the peak.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.memory import peak_bytes
from bokehdepth_core import (
    BokehStack,
    DepthMap,
    calibrate_stack,
    focus_stack_from_frames,
    read_image,
    render_bokeh,
    sweep_depth,
)
from bokehdepth_core.depth.focus_stacks.memory import focus_stack_memory
from bokehdepth_core.depth.sweep.calibration_memory import calibration_memory
from bokehdepth_core.depth.sweep.memory import sweep_memory
from bokehdepth_core.optics.lens import lens_look
from bokehdepth_core.render.lens_look import number_of_passes, render_lens_look
from bokehdepth_core.render.memory import RenderWork, render_memory
from bokehdepth_core.render.scene.deconvolution import gaussian

ASSETS = Path(__file__).parents[1] / "bokehdepth_core" / "demo" / "assets"
MASKS = ("alpha", "hold_out", "background")
RENDERS: dict[str, dict] = {
    "default": {},
    "draft": {"quality": "draft"},
    "soft depth": {"soften": 2.0},
    "soft depth in a draft": {"quality": "draft", "soften": 2.0},
    "final": {"quality": "final"},
    "depth as it is": {"refine_depth": False},
    "lamps": {"highlight_boost": 3.0},
    "lamps in a draft": {"highlight_boost": 3.0, "quality": "draft"},
    "fringe": {"fringe": 5.0},
    "mirror donut": {"look": "mirror donut"},
    "nine blades": {"look": "modern nine-blade"},
    "hexagon": {"look": "cinema hexagon"},
    "hexagon in a draft": {"look": "cinema hexagon", "quality": "draft"},
    "swirl": {"look": "vintage swirl"},
    "cut-out": {"alpha": True},
    "cut-out with lamps": {"alpha": True, "highlight_boost": 3.0},
    "hold-out": {"hold_out": True},
    "background": {"background": True},
    "background in a draft": {"background": True, "quality": "draft"},
    "grain": {"grain": 0.5},
    "linear light": {"color_space": "linear Rec.709"},
    "panorama": {"wrap": True},
    "panorama in a draft": {"wrap": True, "quality": "draft"},
    "all masks and grain": dict.fromkeys(MASKS, True) | {"grain": 0.3},
}
SWEEPS: dict[str, dict] = {
    "two frames": {"frames": 2},
    "two frames, not aligned": {"frames": 2, "align": False},
    "five frames": {"frames": 5},
    "eight frames": {"frames": 8},
    "focus stack": {"frames": 4, "focus_stack": True},
}
STACKS: dict[str, dict] = {
    "joined": {"frames": 3},
    "joined, not aligned": {"frames": 3, "align": False},
    "joined, apart by 2 px": {"frames": 3, "apart": 2},
    "joined, planes unknown": {"frames": 3, "align": False, "known": False},
    "six joined": {"frames": 6},
    "six joined, apart by 2 px": {"frames": 6, "apart": 2},
    "twelve joined, apart by 1 px": {"frames": 12, "apart": 1},
    "calibration": {"frames": 3, "calibrated": True},
    "calibration, six frames": {"frames": 6, "calibrated": True},
}


def scene(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the still life [1,H,W,3] and its depth [1,H,W], m."""
    photo = read_image(ASSETS / "photo.png").movedim(-1, 0)[None]
    depth = torch.from_numpy(np.load(ASSETS / "depth.npz")["depth"]).float()[None, None]
    sized = [
        torch.nn.functional.interpolate(one, size=(height, width), mode="bilinear")
        for one in (photo, 1 / depth)
    ]
    return sized[0].movedim(1, -1).contiguous().clamp(0, 1), 1 / sized[1][0]


def softened(depth: Tensor, spread: float) -> Tensor:
    """Return depth [1,H,W], m, whose disparity is blurred by a Gaussian, px, as a network's is."""
    return depth if spread == 0 else 1 / gaussian(1 / depth[0], spread)[None]


def render_figures(setting: str, height: int, width: int, radius: float) -> tuple[int, int]:
    """Return the bytes that rendering takes, and those asked for.

    Args:
        setting: one of `RENDERS`.
        height: px.
        width: px.
        radius: of the largest blur, px.
    """
    image, depth = scene(height, width)
    given = dict(RENDERS[setting])
    depth = softened(depth, given.pop("soften", 0.0))
    lens = lens_look(given.pop("look", "plain disc"), fringe=given.pop("fringe", None))
    focus = float(depth.min())
    strength = radius / float((1 / depth - 1 / focus).abs().max())
    if given.get("alpha"):
        given["alpha"] = (depth > depth.median()).float().clamp(min=0.1)
    if given.get("hold_out"):
        given["hold_out"] = (depth < depth.median()).float()
    if given.get("background"):
        given |= {"background": image.flip(2).contiguous(), "background_depth": 1.5 * depth}
    wraps = given.get("wrap", False)
    work = RenderWork(
        aperture=lens.aperture,
        draft=given.get("quality") == "draft",
        lamps="highlight_boost" in given,
        grain="grain" in given,
        linear="color_space" in given,
        passes=number_of_passes(lens),
        **{name: name in given for name in MASKS},
    )
    reach = radius * lens.aperture.support_radius
    asked = render_memory(height, width, reach, wraps=wraps, work=work)
    return peak_bytes(lambda: render_lens_look(lens, image, depth, strength, focus, **given)), asked


def sweep_figures(setting: str, height: int, width: int, radius: float) -> tuple[int, int]:
    """Return the bytes that the sweep takes, and those asked for; arguments as above."""
    image, depth = scene(height, width)
    given = SWEEPS[setting]
    count = given["frames"]
    if given.get("focus_stack"):
        planes, frames = focused(image, depth, count, radius)
        stack = BokehStack(image[0], frames, (radius,) * count, focus_depths=planes)
    else:
        stack = bokeh_stack(image, depth, count, radius)
    align = given.get("align", True)
    asked = sweep_memory(height, width, count)
    return peak_bytes(lambda: sweep_depth(stack, align=align)), asked


def stack_figures(setting: str, height: int, width: int, radius: float) -> tuple[int, int]:
    """Return the bytes that a stack's joining or calibration takes, and those asked for."""
    image, depth = scene(height, width)
    given = STACKS[setting]
    count, align, known = (given["frames"], given.get("align", True), given.get("known", True))
    if given.get("calibrated"):
        stack = bokeh_stack(image, depth, count, radius)
        found, focus = DepthMap(depth), float(depth.min())
        asked = calibration_memory(stack)
        return peak_bytes(lambda: calibrate_stack(stack, found, focus)), asked
    planes, frames = focused(image, depth, count, radius)
    apart = given.get("apart", 0)
    frames = torch.stack([one.roll(apart * at, 1) for at, one in enumerate(frames)])
    asked = focus_stack_memory(height, width, count, align=align, measured=not known)
    distances = planes if known else None
    run = partial(focus_stack_from_frames, frames, distances, radius, align=align)
    return peak_bytes(run), asked


def focused(image: Tensor, depth: Tensor, count: int, radius: float) -> tuple[list[float], Tensor]:
    """Return the distances, m, that frames of a focus stack are focused at, and the frames."""
    planes = [float(one) for one in torch.linspace(1.6, 12.0, count)]
    frames = [render_bokeh(image, depth, radius, one, quality="draft") for one in planes]
    return planes, torch.cat(frames)


def bokeh_stack(image: Tensor, depth: Tensor, count: int, radius: float) -> BokehStack:
    """Return a stack of strengths in equal steps, its largest blur of a radius, px."""
    focus = float(depth.min())
    most = radius / float((1 / depth - 1 / focus).abs().max())
    strengths = tuple(most * (1 + at) / count for at in range(count))
    frames = [render_bokeh(image, depth, one, focus, quality="draft") for one in strengths]
    return BokehStack(image[0], torch.cat(frames), strengths)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="SETTING")
    parser.add_argument("--size", default="512x512", help="height x width, px")
    parser.add_argument("--radius", type=float, default=16.0, help="px")
    chosen = parser.parse_args()
    height, width = map(int, chosen.size.split("x"))
    for setting in chosen.settings or [*RENDERS, *SWEEPS, *STACKS]:
        figures = render_figures if setting in RENDERS else sweep_figures
        figures = stack_figures if setting in STACKS else figures
        taken, asked = figures(setting, height, width, chosen.radius)
        each = 4 * height * width
        print(
            f"{setting:24s} {height}x{width} {chosen.radius:g} px: {taken / each:6.1f} taken, "
            f"{asked / each:6.1f} asked for: {asked / taken:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
