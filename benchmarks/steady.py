"""How far a static photo flickers where its depth is guessed anew for every frame.

    python benchmarks/steady.py SCENE [--steady S ...] [--kinds WORD ...] [--picture FILE]

SCENE is a scene folder of `docs/render.md`, or `built-in`. Its depth is made as soft as a network's
and disturbed anew for each frame, with fixed seeds. Over the frames it prints the worst range of
any pixel and channel, the mean deviation where the depth has edges, the worst change between two
frames (all of 255), and PSNR at those edges against the render with the true depth.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from bokehdepth_core import render_bokeh
from bokehdepth_core.demo.run import load_scene
from bokehdepth_core.files.depth_maps import read_depth
from bokehdepth_core.files.pictures.images import quantize, read_image

STRENGTH = 30.0  # px·m
SOFT = 4  # times coarser, as networks see a photo, and interpolated again
STRAY = 0.01  # of the disparity, spread of the noise of each pixel
WOBBLE = 0.02  # of the disparity, spread of a smooth error
JITTER = 1.5  # px, spread of a smooth displacement
WAVE = 12  # nodes of a smooth field along each side
EDGE_ZONE = 6  # px to either side of a depth edge


def load(name: str) -> tuple[Tensor, Tensor]:
    """Return a photo [1,H,W,3] and depth [1,H,W], at half the size of a scene."""
    if name == "built-in":
        scene = load_scene()
        photo, depth = scene.stack.reference[None], scene.depth
    else:
        photo = read_image(Path(name) / "sharp.png")[None]
        depth = read_depth(Path(name) / "depth.npz").depth
    return photo[:, ::2, ::2].contiguous(), depth[:, ::2, ::2].contiguous()


def softened(disparity: Tensor) -> Tensor:
    small = functional.avg_pool2d(disparity[:, None], SOFT)
    size = disparity.shape[1:]
    return functional.interpolate(small, size, mode="bilinear", align_corners=False)[:, 0]


def smooth_field(like: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return smooth random fields [count,H,W] of spread 1."""
    nodes = torch.randn(count, 1, WAVE, WAVE, generator=generator)
    field = functional.interpolate(nodes, like.shape[1:], mode="bicubic", align_corners=True)[:, 0]
    return field / field.std()


def displaced(planes: Tensor, px: float, generator: torch.Generator) -> Tensor:
    """Return planes [1,H,W] moved by a smooth random field of `px` px spread."""
    height, width = planes.shape[1:]
    by_y, by_x = px * smooth_field(planes, 2, generator)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid = torch.stack(
        [2 * (x + by_x + 0.5) / width - 1, 2 * (y + by_y + 0.5) / height - 1], dim=-1
    )
    return functional.grid_sample(
        planes[:, None], grid[None], padding_mode="border", align_corners=False
    )[:, 0]


def disturbed(depth: Tensor, kind: str, frames: int) -> Tensor:
    """Return depth of every frame, [frames,H,W]: "stray", "wobble", "jitter" or "network"."""
    generator = torch.Generator().manual_seed(7)
    every, soft = kind == "network", softened(depth.reciprocal())
    out = []
    for _ in range(frames):
        one = soft
        if kind == "jitter" or every:
            one = displaced(one, JITTER, generator)
        if kind == "wobble" or every:
            one = one * (1 + WOBBLE * smooth_field(one, 1, generator))
        if kind == "stray" or every:
            one = one * (1 + STRAY * torch.randn(one.shape, generator=generator))
        out.append(one.clamp(min=1e-3))
    return torch.cat(out).reciprocal()


def edge_zone(depth: Tensor) -> Tensor:
    """Return where a depth edge is near, [H,W] bool."""
    disparity, side = depth.reciprocal()[:, None], 2 * EDGE_ZONE + 1
    high = functional.max_pool2d(disparity, side, 1, EDGE_ZONE)
    low = -functional.max_pool2d(-disparity, side, 1, EDGE_ZONE)
    return (high - low)[0, 0] > 0.1 * high[0, 0]


def measures(clip: Tensor, truth: Tensor, zone: Tensor) -> tuple[float, float, float, float]:
    """Return worst range, deviation at edges, worst change, of 255, and PSNR at edges, dB."""
    levels = 255 * clip.clamp(0, 1)
    spread = (levels.amax(0) - levels.amin(0)).max()
    change = (levels[1:] - levels[:-1]).abs().max() if len(levels) > 1 else levels.new_zeros(())
    error = (clip.clamp(0, 1) - truth.clamp(0, 1))[:, zone].square().mean()
    deviation = levels.std(0, correction=0)[zone].mean()
    return float(spread), float(deviation), float(change), float(-10 * error.log10())


def main() -> None:
    """Print the measures, and write pictures where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene")
    parser.add_argument("--steady", type=float, nargs="+", default=[0.0, 0.5, 1.0])
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--kinds", nargs="+", default=["stray", "wobble", "jitter", "network"])
    parser.add_argument("--picture", type=Path, help="the range of each pixel, ten times as bright")
    asked = parser.parse_args()
    photo, depth = load(asked.scene)
    focus, zone = float(depth.median()), edge_zone(depth)
    clip = photo.expand(asked.frames, -1, -1, -1)
    truth = render_bokeh(photo, depth, STRENGTH, focus)
    rows = []
    for kind in asked.kinds:
        noisy = disturbed(depth, kind, asked.frames)
        for refine, steady in [(False, 0.0), *((True, one) for one in asked.steady)]:
            more = {"steady": steady} if steady else {}
            out = render_bokeh(clip, noisy, STRENGTH, focus, refine_depth=refine, **more)
            found = measures(out, truth, zone)
            rows.append(out.amax(0) - out.amin(0))
            name = f"refined, steady {steady:g}" if refine else "not refined"
            worst, deviation, change, psnr = found
            print(
                f"{kind:8s} {name:22s} range {worst:5.1f}, at edges {deviation:5.2f}, "
                f"change {change:5.1f}, {psnr:5.2f} dB",
                flush=True,
            )
    if asked.picture:
        each = 1 + len(asked.steady)
        lines = [torch.cat(rows[at : at + each], 1) for at in range(0, len(rows), each)]
        Image.fromarray(quantize((10 * torch.cat(lines)).clamp(0, 1), 8)).save(asked.picture)


if __name__ == "__main__":
    main()
