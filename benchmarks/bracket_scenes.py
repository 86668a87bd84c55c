"""Writes small scenes with true aperture stacks, to measure depth from real blur on.

    python benchmarks/bracket_scenes.py OUT [--fitting | --anew | --skies] [--side 320]

Four scenes in the format that `sweep.py` reads: branches before smooth sky, a wire fence before a
page of text and clipped sky (hexagon), a night with lamps above white (pentagon), and twigs behind
the focus plane. Nothing in `bokehdepth_core` was tuned on them. With `--fitting`, three others that
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

FINE = 2  # texture samples a pixel and axis
MARGIN = 0.25  # of the side: how far surfaces go on outside the picture
STRENGTHS = (10.0, 20.0, 30.0)
WORDS = ("the", "lens", "gathers", "light", "from", "all", "of", "its", "pupil", "and", "paints")


@dataclass(frozen=True, eq=False)
class Surface:
    """A textured plane.

    Attributes:
        planes: [4,h,w], colour in linear light and alpha, 0…1, of the canvas with its margin.
        disparity: value in the middle, 1/m, and its slopes along x and y, 1/m a picture side.
    """

    planes: Tensor
    disparity: tuple[float, float, float]


def surface(colour: Tensor, alpha: Tensor, disparity: tuple[float, float, float]) -> Surface:
    return Surface(torch.cat([colour, alpha[None]]), disparity)


class Canvas:
    """Makes textures of one size from one seed."""

    def __init__(self, side: int, seed: int) -> None:
        self.pixels = round(side * FINE * (1 + 2 * MARGIN))
        self.random = np.random.default_rng(seed)

    def noise(self, roughness: float, low: float, high: float, tint=(1.0, 1.0, 1.0)) -> Tensor:
        """Return [3,h,w] of 1/f^roughness noise between two brightnesses, with a little colour."""
        count = self.pixels
        frequency = np.hypot(np.fft.fftfreq(count)[:, None], np.fft.fftfreq(count)[None])
        frequency[0, 0] = 1
        planes = []
        for _ in range(4):
            white = np.fft.fft2(self.random.standard_normal((count, count)))
            plane = np.fft.ifft2(white / frequency**roughness).real
            planes.append((plane - plane.mean()) / plane.std())
        grey = np.stack([0.85 * planes[3] + 0.4 * plane for plane in planes[:3]])
        values = low + (high - low) / (1 + np.exp(-1.5 * grey))
        return torch.from_numpy(values * np.array(tint)[:, None, None]).float()

    def gradient(self, top: tuple, bottom: tuple) -> Tensor:
        """Return [3,h,w] going smoothly from one colour to another."""
        share = torch.linspace(0, 1, self.pixels)[None, :, None]
        ends = [torch.tensor(end)[:, None, None] for end in (top, bottom)]
        return (ends[0] * (1 - share) + ends[1] * share).expand(-1, -1, self.pixels).clone()

    def drawn(
        self, draw: Callable[[ImageDraw.ImageDraw, np.random.Generator, int], None]
    ) -> Tensor:
        """Return [h,w], 0…1, of what `draw` paints in white, smoothed by four samples a texel."""
        image = Image.new("L", (2 * self.pixels,) * 2)
        draw(ImageDraw.Draw(image), self.random, 2 * self.pixels)
        plane = torch.from_numpy(np.asarray(image, np.float32) / 255)
        return functional.avg_pool2d(plane[None, None], 2)[0, 0]


def branches(draw: ImageDraw.ImageDraw, random: np.random.Generator, size: int) -> None:
    """Draw bent branches of falling width from the border inwards."""
    for _ in range(9):
        point = np.array([random.uniform(0.1, 0.9) * size, random.choice([0.0, 0.03]) * size])
        angle, width = random.uniform(0.6, 2.5), random.uniform(5, 14)
        for _ in range(60):
            angle += random.normal(0, 0.12)
            end = point + 0.012 * size * np.array([math.cos(angle), math.sin(angle)])
            draw.line([*point, *end], fill=255, width=max(2, round(width * size / 1900)))
            point, width = end, width * 0.98


def fence(draw: ImageDraw.ImageDraw, random: np.random.Generator, size: int) -> None:
    """Draw a diamond wire mesh."""
    for shift in np.arange(-size, size, size / 11):
        wave = random.uniform(-0.004, 0.004) * size
        draw.line([shift, 0, shift + size + wave, size], fill=255, width=size // 200)
        draw.line([shift + size, 0, shift + wave, size], fill=255, width=size // 200)


def leaves(draw: ImageDraw.ImageDraw, random: np.random.Generator, size: int) -> None:
    for _ in range(26):
        x, y = random.uniform(0.1, 0.9, 2) * size
        if 0.3 < x / size < 0.7 and 0.3 < y / size < 0.65:
            continue
        wide, high = random.uniform(0.01, 0.035, 2) * size
        draw.ellipse([x - wide, y - high, x + wide, y + high], fill=255)


def person(draw: ImageDraw.ImageDraw, random: np.random.Generator, size: int) -> None:
    x = random.uniform(0.45, 0.55) * size
    draw.ellipse([x - 0.08 * size, 0.32 * size, x + 0.08 * size, 0.5 * size], fill=255)
    draw.rounded_rectangle(
        [x - 0.15 * size, 0.49 * size, x + 0.15 * size, size], size // 20, fill=255
    )


def text(draw: ImageDraw.ImageDraw, random: np.random.Generator, size: int) -> None:
    """Draw lines of words all over."""
    for index, y in enumerate(range(0, size, size // 40)):
        words = " ".join(random.choice(WORDS, 60))
        draw.text((index % 5, y), words, fill=255, font_size=size // 55)


def lower(draw: ImageDraw.ImageDraw, random: np.random.Generator, size: int) -> None:
    draw.rectangle([0, 0.62 * size, size, size], fill=255)


def board(draw: ImageDraw.ImageDraw, random: np.random.Generator, size: int) -> None:
    draw.rectangle([0.3 * size, 0.4 * size, 0.7 * size, 0.7 * size], fill=255)


def lamps(canvas: Canvas, colour: Tensor, count: int) -> Tensor:
    """Return a texture with small lamps far above white added."""
    grid = torch.arange(canvas.pixels, dtype=torch.float32)
    for _ in range(count):
        x, y = canvas.random.uniform(0.15, 0.85, 2) * canvas.pixels
        sigma = canvas.random.uniform(0.8, 1.4) * FINE
        tint = torch.tensor(canvas.random.uniform(0.5, 1.0, 3)).float()[:, None, None]
        spot = torch.exp(((grid[:, None] - y) ** 2 + (grid - x) ** 2) / (-2 * sigma**2))
        colour = colour + canvas.random.uniform(2, 8) * tint * spot
    return colour


def scene_branches(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    near = surface(canvas.noise(1.0, 0.03, 0.2, (1, 0.8, 0.6)), canvas.drawn(branches), (1.1, 0, 0))
    subject = surface(canvas.noise(0.9, 0.05, 0.8), canvas.drawn(person), (0.5, 0, 0))
    ground = surface(
        canvas.noise(0.8, 0.1, 0.5, (0.7, 1, 0.5)), canvas.drawn(lower), (0.06, 0, 0.9)
    )
    sky = surface(canvas.gradient((0.3, 0.45, 0.8), (0.7, 0.75, 0.85)), whole, (0.0, 0, 0))
    return [near, subject, ground, sky], 2.0, {"shape": "disc"}


def scene_fence(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    wire = surface(canvas.noise(1.2, 0.2, 0.5), canvas.drawn(fence), (1.25, 0, 0))
    letters = canvas.drawn(text)
    page = surface(
        canvas.noise(1.4, 0.75, 0.9) * (1 - 0.93 * letters), canvas.drawn(board), (0.6, 0.25, 0)
    )
    ground = surface(canvas.noise(1.0, 0.05, 0.5), canvas.drawn(lower), (0.08, 0, 0.8))
    clipped = surface(canvas.gradient((1.6, 1.6, 1.6), (1.1, 1.1, 1.15)), whole, (0.0, 0, 0))
    return [wire, page, ground, clipped], 1.6, {"shape": "polygon", "blades": 6, "rotation_deg": 15}


def scene_night(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    near = surface(canvas.noise(0.9, 0.01, 0.15, (0.5, 1, 0.4)), canvas.drawn(leaves), (0.95, 0, 0))
    subject = surface(
        canvas.noise(0.8, 0.02, 0.5, (1, 0.7, 0.6)), canvas.drawn(person), (0.5, 0, 0)
    )
    wall = surface(
        lamps(canvas, canvas.noise(1.0, 0.01, 0.12, (0.8, 0.85, 1)), 30), whole, (0.12, 0.12, 0)
    )
    lens = {"shape": "polygon", "blades": 5, "rotation_deg": 10}
    return [near, subject, wall], 2.0, lens


def scene_twigs(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    subject = surface(canvas.noise(0.8, 0.1, 0.9), canvas.drawn(person), (1.0, 0, 0))
    twigs = surface(canvas.noise(1.1, 0.05, 0.3), canvas.drawn(branches), (0.55, 0, 0))
    ground = surface(canvas.noise(0.9, 0.1, 0.6, (1, 0.9, 0.7)), canvas.drawn(lower), (0.1, 0, 1.2))
    far = surface(canvas.noise(1.5, 0.3, 0.7, (0.8, 0.9, 1)), whole, (0.04, 0, 0))
    return [subject, twigs, ground, far], 1.0, {"shape": "disc"}


def fit_wires(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    wire = surface(canvas.noise(1.2, 0.03, 0.1), canvas.drawn(fence), (1.0, 0, 0))
    near = surface(canvas.noise(1.3, 0.2, 0.8), canvas.drawn(person), (0.7, 0, 0))
    wall = surface(canvas.gradient((0.7, 0.6, 0.5), (0.4, 0.35, 0.3)), whole, (0.3, 0.1, 0))
    return [wire, near, wall], 1.5, {"shape": "disc"}


def fit_leaves(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    near = surface(canvas.noise(0.9, 0.05, 0.3, (0.5, 1, 0.4)), canvas.drawn(leaves), (1.2, 0, 0))
    page = surface(
        canvas.noise(1.6, 0.5, 0.7) * (1 - 0.8 * canvas.drawn(text)),
        canvas.drawn(board),
        (0.5, 0, 0),
    )
    ground = surface(canvas.noise(0.8, 0.1, 0.6), canvas.drawn(lower), (0.1, 0, 0.7))
    sky = surface(canvas.noise(2.5, 0.55, 0.75, (0.8, 0.9, 1)), whole, (0.0, 0, 0))
    return [near, page, ground, sky], 1.8, {"shape": "disc"}


def fit_twigs(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    twigs = surface(canvas.noise(1.0, 0.02, 0.1), canvas.drawn(branches), (0.9, 0, 0))
    subject = surface(canvas.noise(1.1, 0.1, 0.7), canvas.drawn(person), (0.6, 0, 0))
    wall = surface(canvas.gradient((0.9, 0.85, 0.8), (0.2, 0.25, 0.4)), whole, (0.2, 0, 0.1))
    return [twigs, subject, wall], 5.0, {"shape": "disc"}


def anew_sign(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    sign = surface(
        canvas.noise(1.5, 0.6, 0.8) * (1 - 0.9 * canvas.drawn(text)),
        canvas.drawn(board),
        (0.8, 0.1, 0),
    )
    ground = surface(canvas.noise(0.7, 0.1, 0.5), canvas.drawn(lower), (0.15, 0, 0.9))
    street = surface(lamps(canvas, canvas.noise(1.2, 0.02, 0.4), 12), whole, (0.08, 0.1, 0))
    return [sign, ground, street], 1.25, {"shape": "disc"}


def anew_meadow(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    plant = surface(canvas.noise(1.0, 0.05, 0.4, (0.6, 1, 0.4)), canvas.drawn(leaves), (0.9, 0, 0))
    meadow = surface(canvas.noise(0.7, 0.1, 0.6, (0.7, 1, 0.4)), canvas.drawn(lower), (0.1, 0, 0.8))
    sky = surface(canvas.gradient((0.25, 0.4, 0.75), (0.7, 0.8, 0.9)), whole, (0.0, 0, 0))
    return [plant, meadow, sky], 1.2, {"shape": "disc"}


def anew_desk(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    subject = surface(
        canvas.noise(1.2, 0.05, 0.6, (1, 0.8, 0.6)), canvas.drawn(person), (0.7, 0, 0)
    )
    letters = canvas.drawn(text)
    page = surface(canvas.noise(1.6, 0.6, 0.8) * (1 - 0.9 * letters), whole, (0.3, 0.2, 0.1))
    return [subject, page], 1.4, {"shape": "disc"}


def anew_hedge(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    subject = surface(canvas.noise(0.9, 0.1, 0.8), canvas.drawn(person), (0.9, 0, 0))
    mesh = surface(canvas.noise(1.2, 0.3, 0.6), canvas.drawn(fence), (0.5, 0, 0))
    hedge = surface(canvas.noise(0.8, 0.02, 0.3, (0.6, 1, 0.5)), whole, (0.2, 0.05, 0.05))
    return [subject, mesh, hedge], 1.1, {"shape": "disc"}


def poles(draw: ImageDraw.ImageDraw, random: np.random.Generator, size: int) -> None:
    """Draw poles from top to bottom with wires between them."""
    for x in np.sort(random.uniform(0.2, 0.8, 3)) * size:
        draw.line([x, 0, x + random.uniform(-0.02, 0.02) * size, size], fill=255, width=size // 60)
    for y in random.uniform(0.2, 0.5, 4) * size:
        draw.line([0, y, size, y + random.uniform(-0.1, 0.1) * size], fill=255, width=size // 300)


def houses(draw: ImageDraw.ImageDraw, random: np.random.Generator, size: int) -> None:
    for x in np.arange(0, size, size / 9):
        top = random.uniform(0.42, 0.55) * size
        draw.rectangle([x, top, x + size / 9, size], fill=255)


def frames(draw: ImageDraw.ImageDraw, random: np.random.Generator, size: int) -> None:
    for _ in range(5):
        x, y = random.uniform(0.2, 0.75, 2) * size
        wide, high = random.uniform(0.05, 0.12, 2) * size
        draw.rectangle([x, y, x + wide, y + high], fill=255)


def sky_overcast(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    street = surface(canvas.noise(1.1, 0.02, 0.2), canvas.drawn(poles), (0.7, 0, 0))
    row = surface(
        canvas.noise(0.9, 0.05, 0.5, (1, 0.85, 0.7)), canvas.drawn(houses), (0.15, 0.1, 0)
    )
    cloud = surface(canvas.gradient((0.95, 0.97, 1.0), (0.9, 0.92, 0.95)), whole, (0.0, 0, 0))
    return [street, row, cloud], 1.4, {"shape": "disc"}


def sky_faint_clouds(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    crown = surface(canvas.noise(0.8, 0.02, 0.3, (0.5, 1, 0.4)), canvas.drawn(leaves), (0.45, 0, 0))
    row = surface(canvas.noise(1.0, 0.05, 0.4), canvas.drawn(houses), (0.12, 0, 0))
    clouds = surface(canvas.noise(3.0, 0.4, 0.6, (0.6, 0.8, 1)), whole, (0.0, 0, 0))
    return [crown, row, clouds], 1.6, {"shape": "disc"}


def wall_white(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    subject = surface(canvas.noise(0.9, 0.1, 0.8), canvas.drawn(person), (0.8, 0, 0))
    hung = surface(canvas.noise(1.0, 0.05, 0.6), canvas.drawn(frames), (0.3, 0, 0))
    wall = surface(canvas.gradient((1.0, 1.0, 1.0), (0.7, 0.7, 0.7)), whole, (0.3, 0, 0))
    return [subject, hung, wall], 1.25, {"shape": "disc"}


def wall_blue(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    whole = torch.ones(canvas.pixels, canvas.pixels)
    subject = surface(canvas.noise(0.9, 0.1, 0.8), canvas.drawn(person), (0.8, 0, 0))
    hung = surface(canvas.noise(1.0, 0.05, 0.6), canvas.drawn(frames), (0.3, 0, 0))
    wall = surface(canvas.gradient((0.2, 0.4, 0.7), (0.15, 0.3, 0.6)), whole, (0.3, 0, 0))
    return [subject, hung, wall], 1.25, {"shape": "disc"}


FITTING = {"fit1_wires": fit_wires, "fit2_leaves": fit_leaves, "fit3_twigs": fit_twigs}
SCENES = {
    "held1_branches": scene_branches,
    "held2_fence_hex": scene_fence,
    "held3_night_penta": scene_night,
    "held4_twigs": scene_twigs,
}
# Recipes that neither the sweep was tuned on nor its confidence fitted on.
ANEW = {
    "anew1_sign": anew_sign,
    "anew2_meadow": anew_meadow,
    "anew3_desk": anew_desk,
    "anew4_hedge": anew_hedge,
}
# Smooth skies, and walls that look like them, which `labelling/sky.py` was not tuned on.
SKIES = {
    "sky1_overcast": sky_overcast,
    "sky2_faint_clouds": sky_faint_clouds,
    "wall1_white": wall_white,
    "wall2_blue": wall_blue,
}


Recipe = Callable[[Canvas], tuple[list[Surface], float, dict]]


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
