"""Writes small scenes with true aperture stacks, to measure depth from real blur on.

    python benchmarks/bracket_scenes.py OUT [--fitting | --anew | --skies] [--side 320]

Four scenes in the format that `sweep.py` reads: branches before smooth sky, a wire fence before a
page of text and clipped sky (hexagon), a night with lamps above white (pentagon), and twigs behind
the focus plane. No number in `bokehdepth_core` was tuned on them. With `--fitting`, three that
`fit_confidence.py` learns from; with `--anew`, four that nothing was fitted on; with `--skies`,
two smooth skies and two walls that look like them.

Every surface is a plane whose disparity is linear in the picture, with its own texture and alpha.
A picture is the mean, in linear light, over points s of the lens opening of what a pinhole there
sees: a surface of disparity d(q) at position q of the sharp picture is seen at
p = q + K (d(q) - d_f) s. Occluded background is therefore real.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from bracket_recipes import ANEW, FITTING, MARGIN, SCENES, SKIES, Canvas, Recipe, Surface
from PIL import Image
from torch import Tensor
from torch.nn import functional

STRENGTHS = (10.0, 20.0, 30.0)


def lens_points(lens: dict, count: int) -> Tensor:
    """Return [count,4]: points of the opening of circumradius 1 and offsets within a pixel."""
    plastic = 1.1673039782614187  # root of x^5 = x + 1: the R4 sequence spreads points evenly
    steps = torch.tensor([plastic**-power for power in (1, 2, 3, 4)], dtype=torch.float64)
    found, index = [], 0
    while len(found) < count:
        index += 1
        x, y, dx, dy = ((0.5 + index * steps) % 1).tolist()
        x, y = 2 * x - 1, 2 * y - 1
        if inside(x, y, lens):
            found.append((x, y, dx - 0.5, dy - 0.5))
    points = torch.tensor(found, dtype=torch.float64)
    return points - points.mean(0)


def inside(x: float, y: float, lens: dict) -> bool:
    """Tell whether a point is inside the disc, or the polygon inscribed in it."""
    if lens["shape"] == "disc":
        return x * x + y * y <= 1
    sector = 2 * math.pi / lens["blades"]
    turn = (math.atan2(y, x) - math.radians(lens["rotation_deg"])) % sector - sector / 2
    return math.hypot(x, y) * math.cos(turn) <= math.cos(sector / 2)


def picture(surfaces: list[Surface], side: int, focus: float, strength: float, points: Tensor):
    """Return [3,H,W], linear light, through the opening."""
    total = torch.zeros(3, side, side)
    middle = torch.arange(side, dtype=torch.float32) + 0.5 - side / 2
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    for sx, sy, dx, dy in points.tolist():
        seen, through = torch.zeros(3, side, side), torch.ones(side, side)
        for one in surfaces:
            level, along_x, along_y = one.disparity
            bx, by = along_x / side, along_y / side
            px, py = x + dx, y + dy
            # q = p - K s (d(q) - d_f), solved for q with d linear in q.
            excess = level + bx * px + by * py - 1 / focus
            scaled = strength * excess / (1 + strength * (bx * sx + by * sy))
            layer = sampled(one, px - scaled * sx, py - scaled * sy, side)
            seen += through * layer[3] * layer[:3]
            through *= 1 - layer[3]
        total += seen
    return total / len(points)


def sampled(layer: Surface, x: Tensor, y: Tensor, side: int) -> Tensor:
    """Return colour and alpha, [4,H,W], at positions in px from the middle of the picture."""
    reach = side * (0.5 + MARGIN)
    grid = torch.stack([x / reach, y / reach], -1).float()[None]
    return functional.grid_sample(
        layer.planes[None], grid, padding_mode="border", align_corners=False
    )[0]


def depth_of(surfaces: list[Surface], side: int) -> np.ndarray:
    """Return the depth, m, of the first surface whose alpha reaches a half, [H,W]."""
    middle = torch.arange(side, dtype=torch.float32) + 0.5 - side / 2
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    found, open_ = torch.zeros(side, side), torch.ones(side, side)
    for one in surfaces:
        level, along_x, along_y = one.disparity
        opaque = sampled(one, x, y, side)[3]
        here = (open_ >= 0.5) & (open_ * (1 - opaque) < 0.5)
        found = torch.where(here, level + (along_x * x + along_y * y) / side, found)
        open_ = open_ * (1 - opaque)
    return (1 / found.clamp(min=1e-4)).numpy().astype(np.float32)


def save(light: Tensor, path: Path) -> None:
    light = light.clamp(0, 1)
    srgb = torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    Image.fromarray((srgb * 255).round().byte().permute(1, 2, 0).numpy()).save(path)


def write(
    recipe: Recipe, seed: int, folder: Path, side: int, samples: int, *, fewer: bool = False
) -> None:
    """Write one scene in the layout of the public ones; it is called as its folder.

    With `fewer`, a narrow blur takes fewer of the points of the opening than the widest.
    """
    surfaces, focus, lens = recipe(Canvas(side, seed))
    folder.mkdir(parents=True, exist_ok=True)
    points = lens_points(lens, samples)
    files = []
    for strength in (0.0, *STRENGTHS):
        files.append(f"stack_{strength:02.0f}.png")
        # Area means of a sharp picture take fewer points than the opening does.
        used = points if strength else points[:64]
        if strength and fewer:
            used = points[: max(64, round(samples * strength / STRENGTHS[-1]))]
            used = used - used.mean(0)
        save(picture(surfaces, side, focus, strength, used), folder / files[-1])
    np.savez_compressed(folder / "depth.npz", depth=depth_of(surfaces, side))
    stack = {"K": [0.0, *STRENGTHS], "focus_depth_m": focus, "files": files}
    facts = {"name": folder.name, "aperture": lens, "stack": stack}
    (folder / "scene.json").write_text(json.dumps(facts, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--side", type=int, default=320, help="px")
    parser.add_argument("--samples", type=int, default=400, help="points of the lens opening")
    parser.add_argument("--fitting", action="store_true", help="the scenes of fit_confidence.py")
    parser.add_argument("--anew", action="store_true", help="four recipes to measure on alone")
    parser.add_argument("--skies", action="store_true", help="smooth skies, and walls like them")
    parser.add_argument("--seed", type=int, default=0, help="other textures and outlines")
    arguments = parser.parse_args()
    chosen = {"fitting": FITTING, "anew": ANEW, "skies": SKIES}
    recipes = next((chosen[key] for key in chosen if getattr(arguments, key)), SCENES)
    for name, recipe in recipes.items():
        seeded = f"{name}_{arguments.seed}" if arguments.seed else name
        seed = sum(name.encode()) + 10_000 * arguments.seed
        write(recipe, seed, arguments.out / seeded, arguments.side, arguments.samples)


if __name__ == "__main__":
    main()
