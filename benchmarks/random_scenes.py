"""Writes scenes of random recipes with true aperture stacks, for `fit_confidence.py` to learn from.

    python benchmarks/random_scenes.py OUT [--count 24] [--seed 0] [--side 224] [--samples 160]

Each seed draws its own scene: a wall or sky (rough, smooth, clipped, text or lamps), perhaps a
slanted ground, and one or two things before it, from branches to a person; their textures,
depths, the plane in focus (any of them) and the lens (a disc, seldom a polygon) are random too.
The light and the layout of the files are those of `bracket_scenes.py`, whose own scenes and the
public ones are thereby other recipes, to measure on.
"""

import argparse
from pathlib import Path

import bracket_recipes as made
import torch
from bracket_recipes import Canvas, Surface, surface
from bracket_scenes import write
from torch import Tensor

THINGS = (made.branches, made.fence, made.leaves, made.person, made.person, made.board)
BACKS = ("rough", "smooth", "clipped", "text", "lamps")
WIDEST = 0.8  # 1/m between the ends of a scene: 24 px at K = 30
LEAST_GAP = 0.08  # 1/m between neighbouring surfaces


def recipe(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    """Return surfaces, near ones first, the focus distance, m, and the lens of a random scene."""
    random = canvas.random
    things = int(random.integers(1, 3))
    ground = bool(random.random() < 0.4)
    # Disparities from far to near, some gaps wider than others.
    steps = LEAST_GAP + random.exponential(0.22, things)
    far = float(random.choice([0.0, random.uniform(0, 0.3)]))
    levels = [far + float(step) for step in steps.cumsum()]
    if levels[-1] > WIDEST:
        levels = [far + (level - far) * (WIDEST - far) / (levels[-1] - far) for level in levels]
    surfaces = [_thing(canvas, level) for level in reversed(levels)]
    if ground:
        slope = float(random.uniform(0.3, 1.2))
        floor = (far + 0.06, 0.0, slope)
        surfaces.append(surface(_texture(canvas), canvas.drawn(made.lower), floor))
    surfaces.append(_back(canvas, far))
    # Any of the surfaces may be sharp; the farthest seldom is, as blur then hides what is near.
    planes = levels if random.random() < 0.85 else [max(far, 0.05)]
    focus = 1 / float(planes[-1] if random.random() < 0.5 else random.choice(planes))
    return surfaces, focus, _lens(canvas)


def _thing(canvas: Canvas, level: float) -> Surface:
    draw = THINGS[int(canvas.random.integers(len(THINGS)))]
    slope = canvas.random.normal(0, 0.06, 2) * (canvas.random.random() < 0.5)
    return surface(_texture(canvas), canvas.drawn(draw), (level, float(slope[0]), float(slope[1])))


def _texture(canvas: Canvas) -> Tensor:
    """Return [3,h,w] of noise of random roughness, brightness, contrast and tint."""
    random = canvas.random
    low, high = sorted(random.uniform(0.01, 0.9, 2))
    high = max(high, low + 0.05)
    tint = tuple(float(one) for one in random.uniform(0.6, 1.0, 3))
    return canvas.noise(float(random.uniform(0.8, 1.9)), float(low), float(high), tint)


def _back(canvas: Canvas, level: float) -> Surface:
    random = canvas.random
    whole = torch.ones(canvas.pixels, canvas.pixels)
    slope = tuple(float(one) for one in random.normal(0, 0.04, 2)) if level else (0.0, 0.0)
    kind = BACKS[int(random.integers(len(BACKS)))]
    top, bottom = (tuple(float(one) for one in random.uniform(0.2, 0.9, 3)) for _ in range(2))
    if kind == "clipped":
        colour = canvas.gradient((1.5, 1.5, 1.5), bottom if random.random() < 0.5 else (1.1,) * 3)
    elif kind == "smooth":
        colour = canvas.gradient(top, bottom)
    elif kind == "text":
        colour = _texture(canvas) * (1 - 0.85 * canvas.drawn(made.text))
    elif kind == "lamps":
        colour = made.lamps(canvas, canvas.noise(1.0, 0.01, 0.15), 25)
    else:
        colour = _texture(canvas)
    return surface(colour, whole, (level, *slope))


def _lens(canvas: Canvas) -> dict:
    if canvas.random.random() < 0.8:
        return {"shape": "disc"}
    blades, turn = int(canvas.random.integers(5, 9)), float(canvas.random.uniform(0, 60))
    return {"shape": "polygon", "blades": blades, "rotation_deg": turn}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0, help="of the first scene")
    parser.add_argument("--side", type=int, default=224, help="px")
    parser.add_argument("--samples", type=int, default=160, help="points of the lens opening")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        folder = arguments.out / f"random{seed:03d}"
        write(recipe, seed, folder, arguments.side, arguments.samples, fewer=True)


if __name__ == "__main__":
    main()
