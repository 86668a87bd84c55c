"""Scenes of slanted cards in front of a slanted wall, through a lens of many points of view.

Every pixel of a frame is the mean over points of the lens; from each the cards are seen where their
planes lie, nearer ones over farther ones. Nothing of the pack is used but its data types.
"""

import math
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from sweep import Scene

from bokehdepth_core import Aperture, BokehStack, DepthMap
from bokehdepth_core.color import linear_to_srgb

SIZE = (288, 352)
STRENGTHS = (8.0, 16.0, 24.0)
POINTS = 100  # of the lens, each seen from another point of the pixel
SHARP_POINTS = 25  # of the pixel, in the sharp picture
FOCUS = 0.8  # 1/m, nearest end: all else lies behind it
CARDS = 5


def card_scenes(seed: int, count: int = 3) -> list[Scene]:
    """Return scenes of random cards, wholly given by the seed."""
    return [_scene(seed * 100 + index) for index in range(count)]


def _scene(seed: int) -> Scene:
    generator = torch.Generator().manual_seed(seed)
    cards = [_card(generator, wall=True), *(_card(generator) for _ in range(CARDS))]
    cards.sort(key=lambda one: float(one["plane"][0]))
    disparity = _view(cards, (0.0, 0.0), (0.0, 0.0))[1]
    reference = _mean(cards, 0.0, SHARP_POINTS)
    frames = [_mean(cards, strength, POINTS) for strength in STRENGTHS]
    return Scene(
        f"cards {seed}",
        BokehStack(reference, torch.stack(frames), STRENGTHS),
        DepthMap(1 / disparity[None]),
        1 / FOCUS,
        Aperture(),
    )


def _card(generator: torch.Generator, wall: bool = False) -> dict[str, Tensor]:
    """Return a plane of disparity a + b x + c y, 1/m per picture, its outline and its texture."""

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    disparity = draw(0.08, 0.2, 1) if wall else draw(0.25, 0.75, 1)
    slant = draw(-0.03, 0.03, 2) if wall else draw(-0.06, 0.06, 2)
    grain = int(draw(3, 9, 1))
    coarse = torch.rand(1, 3, SIZE[0] // grain + 40, SIZE[1] // grain + 40, generator=generator)
    fine = functional.interpolate(coarse, scale_factor=grain, mode="bilinear")[0]
    base = draw(0.05, 0.5, 3, 1, 1)
    texture = base * (0.3 + 1.4 * (fine if draw(0, 1, 1) < 0.6 else (fine > 0.5).float()))
    return {
        "plane": torch.cat([disparity, slant]),
        "middle": draw(-0.35, 0.35, 2) * (0 if wall else 1),
        "half": torch.full((2,), 9.0) if wall else draw(0.08, 0.25, 2),
        "texture": texture.clamp(0, 1),
    }


def _mean(cards: list[dict[str, Tensor]], strength: float, points: int) -> Tensor:
    """Return sRGB [H,W,3], 8 bit, of the mean over points of a lens and of the pixel."""
    total = torch.zeros(*SIZE, 3)
    for index in range(points):
        radius = strength * math.sqrt((index + 0.5) / points)
        angle = index * math.pi * (3 - math.sqrt(5))
        lens = (radius * math.cos(angle), radius * math.sin(angle))
        # Additive recurrence with the plastic number spreads points over the square.
        place = ((0.7549 * index) % 1 - 0.5, (0.5698 * index) % 1 - 0.5)
        total += _view(cards, lens, place)[0]
    return (linear_to_srgb((total / points).clamp(0, 1)) * 255).round() / 255


def _view(
    cards: list[dict[str, Tensor]], lens: tuple[float, float], place: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Return linear light [H,W,3] and disparity [H,W] seen from a point of the lens, px·m.

    Args:
        cards: from far to near.
        lens: (x, y), px·m.
        place: (x, y), px, of the ray beside the middle of its pixel.
    """
    height, width = SIZE
    y = (torch.arange(height) + 0.5 - height / 2)[:, None].expand(SIZE) + place[1]
    x = (torch.arange(width) + 0.5 - width / 2).expand(SIZE) + place[0]
    color, depth = torch.zeros(3, height, width), torch.zeros(height, width)
    for card in cards:
        a, b, c = (float(one) for one in card["plane"])
        # Where the ray meets the plane: x' = x + lens (d − d_f) with d = a + (b x' + c y') / W.
        u, v = x, y
        for _ in range(3):
            disparity = a + (b * u + c * v) / SIZE[1]
            u, v = x + lens[0] * (disparity - FOCUS), y + lens[1] * (disparity - FOCUS)
        inside = (u / SIZE[1] - card["middle"][0]).abs() < card["half"][0]
        inside = inside & ((v / SIZE[1] - card["middle"][1]).abs() < card["half"][1])
        texture = card["texture"]
        grid = torch.stack([2 * u / texture.shape[2], 2 * v / texture.shape[1]], -1)
        seen = functional.grid_sample(
            texture[None], grid[None], padding_mode="reflection", align_corners=False
        )[0]
        color = torch.where(inside, seen, color)
        depth = torch.where(inside, disparity, depth)
    return color.permute(1, 2, 0), depth
