"""Outlines of things in made scenes, as how much of each pixel they cover.

Each function draws one thing on a canvas whose pixel centres have the coordinates `y` and `x`, and
returns its coverage [h,w], 0…1. Sizes follow `side`, the side of the picture that will be cut out.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..dice import Dice

Shape = Callable[[Dice, Tensor, Tensor, float], Tensor]


def coverage(distance: Tensor) -> Tensor:
    """Return how much of a pixel is inside, from its signed distance to the outline, px."""
    return (0.5 - distance).clamp(0, 1)


def disc(dice: Dice, y: Tensor, x: Tensor, side: float) -> Tensor:
    """Return a disc."""
    return coverage(_from(dice, y, x) - side * dice.uniform(0.08, 0.35))


def blob(dice: Dice, y: Tensor, x: Tensor, side: float) -> Tensor:
    """Return a cut-out whose radius is a random Fourier series of the angle."""
    cy, cx = _centre(dice, y, x)
    angle = torch.atan2(y - cy, x - cx)
    size = side * dice.uniform(0.1, 0.35)
    radius = torch.full_like(angle, size)
    for order in range(1, 6):
        strength = size * dice.uniform(0, 0.5) / order
        radius = radius + strength * torch.cos(order * angle + dice.uniform(0, 2 * math.pi))
    return coverage(torch.hypot(y - cy, x - cx) - radius)


def rectangle(dice: Dice, y: Tensor, x: Tensor, side: float) -> Tensor:
    """Return a turned rectangle."""
    u, v = _turned(dice, y, x)
    half_u, half_v = side * dice.uniform(0.08, 0.35), side * dice.uniform(0.08, 0.35)
    return coverage(torch.maximum(u.abs() - half_u, v.abs() - half_v))


def person(dice: Dice, y: Tensor, x: Tensor, side: float) -> Tensor:
    """Return a head above shoulders."""
    cy, cx = _centre(dice, y, x)
    head = side * dice.uniform(0.07, 0.16)
    skull = (torch.hypot((y - cy) / 1.25, x - cx) - head) * 0.9
    wide, top = head * dice.uniform(1.8, 2.6), cy + 1.6 * head
    down = ((y - top) / (head * 1.2)).clamp(0, 1)
    body = torch.maximum((x - cx).abs() - wide * down.sqrt(), top - y)
    neck = torch.maximum((x - cx).abs() - 0.45 * head, (y - cy - head).abs() - head)
    return coverage(torch.minimum(torch.minimum(skull, body), neck))


def foliage(dice: Dice, y: Tensor, x: Tensor, side: float) -> Tensor:
    """Return a cluster of leaves with gaps between them."""
    count = dice.integer(8, 24)
    cy, cx = _centre(dice, y, x)
    spread = side * dice.uniform(0.1, 0.35)
    places = dice.normal(count, 2) * spread
    angles = dice.rand(count) * math.pi
    long = side * dice.uniform(0.03, 0.12) * (0.6 + 0.8 * dice.rand(count))
    covered = torch.zeros_like(y)
    for (dy, dx), angle, length in zip(
        places.tolist(), angles.tolist(), long.tolist(), strict=True
    ):
        u = (x - cx - dx) * math.cos(angle) + (y - cy - dy) * math.sin(angle)
        v = (y - cy - dy) * math.cos(angle) - (x - cx - dx) * math.sin(angle)
        short = length * 0.4
        inside = coverage((torch.hypot(u / length, v / short) - 1) * short)
        covered = torch.maximum(covered, inside)
    return covered


def strands(dice: Dice, y: Tensor, x: Tensor, side: float) -> Tensor:
    """Return hairs: many bent curves, one to two px wide."""
    count, width = dice.integer(6, 24), dice.uniform(0.8, 2.0)
    u, v = _turned(dice, y, x)
    reach = side * dice.uniform(0.1, 0.4)
    covered = torch.zeros_like(y)
    for start, lean, bend in (dice.rand(count, 3) * 2 - 1).tolist():
        place = start * reach + v * (0.3 * lean) + v**2 * (bend / (2 * side))
        slope = 0.3 * lean + v * (bend / side)
        distance = (u - place).abs() / torch.sqrt(1 + slope**2)
        covered = torch.maximum(covered, (width / 2 + 0.5 - distance).clamp(0, min(width, 1)))
    return covered * (v.abs() < 1.2 * side * dice.uniform(0.2, 0.8))


def fence(dice: Dice, y: Tensor, x: Tensor, side: float) -> Tensor:
    """Return wires in two directions."""
    u, v = _turned(dice, y, x)
    period, width = side * dice.uniform(0.1, 0.3), dice.uniform(1.0, 3.5)
    near_u = period * ((u / period + 0.5) % 1 - 0.5).abs()
    near_v = period * ((v / period + 0.5) % 1 - 0.5).abs()
    return coverage(torch.minimum(near_u, near_v) - width / 2)


def glyphs(dice: Dice, y: Tensor, x: Tensor, side: float) -> Tensor:
    """Return rows of random signs of 5 × 7 dots, as letters on a pane of glass."""
    dot = dice.uniform(1.0, 3.0)
    rows, columns = dice.integer(1, 3), dice.integer(2, 6)
    bits = dice.rand(rows, 7, columns, 5) < 0.55
    bits[:, :, :, 0] |= dice.rand(rows, 1, columns) < 0.5  # stems, as letters have them
    board = torch.zeros(rows, 10, columns, 7, dtype=torch.bool)
    board[:, :7, :, :5] = bits
    board = board.reshape(rows * 10, columns * 7)
    u, v = _turned(dice, y, x, largest=0.3)
    row = torch.floor(v / dot + board.shape[0] / 2).long()
    column = torch.floor(u / dot + board.shape[1] / 2).long()
    inside = (row >= 0) & (row < board.shape[0]) & (column >= 0) & (column < board.shape[1])
    found = board[row.clamp(0, board.shape[0] - 1), column.clamp(0, board.shape[1] - 1)]
    return (found & inside).float()


SHAPES: tuple[Shape, ...] = (
    *(disc, blob, blob, rectangle, person, person, foliage, strands, fence, glyphs),
)


def _centre(dice: Dice, y: Tensor, x: Tensor) -> tuple[float, float]:
    """Return a place in the middle two thirds of the canvas."""
    height, width = y.shape[0], x.shape[-1]
    return height * dice.uniform(0.17, 0.83), width * dice.uniform(0.17, 0.83)


def _from(dice: Dice, y: Tensor, x: Tensor) -> Tensor:
    cy, cx = _centre(dice, y, x)
    return torch.hypot(y - cy, x - cx)


def _turned(dice: Dice, y: Tensor, x: Tensor, largest: float = math.pi) -> tuple[Tensor, Tensor]:
    """Return coordinates along and across a random direction, from a random place."""
    cy, cx = _centre(dice, y, x)
    angle = dice.uniform(-largest, largest)
    u = (x - cx) * math.cos(angle) + (y - cy) * math.sin(angle)
    return u, (y - cy) * math.cos(angle) - (x - cx) * math.sin(angle)
