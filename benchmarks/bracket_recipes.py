"""What the scenes of `bracket_scenes.py` hold: planes with textures and outlines, and the recipes.

Every surface is a plane whose disparity is linear in the picture, with its own texture and alpha.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

FINE = 2  # texture samples a pixel and axis
MARGIN = 0.25  # of the side: how far surfaces go on outside the picture
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


def wall(canvas: Canvas, top: tuple, bottom: tuple) -> tuple[list[Surface], float, dict]:
    """Return a person before a smooth wall of two colours, with pictures hung on it."""
    whole = torch.ones(canvas.pixels, canvas.pixels)
    subject = surface(canvas.noise(0.9, 0.1, 0.8), canvas.drawn(person), (0.8, 0, 0))
    hung = surface(canvas.noise(1.0, 0.05, 0.6), canvas.drawn(frames), (0.3, 0, 0))
    behind = surface(canvas.gradient(top, bottom), whole, (0.3, 0, 0))
    return [subject, hung, behind], 1.25, {"shape": "disc"}


def wall_white(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    return wall(canvas, (1.0, 1.0, 1.0), (0.7, 0.7, 0.7))


def wall_blue(canvas: Canvas) -> tuple[list[Surface], float, dict]:
    return wall(canvas, (0.2, 0.4, 0.7), (0.15, 0.3, 0.6))


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
