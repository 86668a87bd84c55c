"""Random scenes: a far wall, perhaps a ground, and things of many shapes in front of each other.

Places in depth are drawn as `t`, 0 for the farthest and 1 for the nearest; `source.py` turns them
into disparity, so that the largest blur is what it wants.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..dice import Dice
from .rendering import Layer
from .shapes import SHAPES
from .textures import texture

MOST_THINGS = 6
BRIGHTEST = 30.0  # of a lamp, in linear light where white is 1


def random_layers(
    dice: Dice, height: int, width: int, side: float, pictures: Sequence[Tensor] = ()
) -> list[Layer]:
    """Return the layers of a random scene, far to near, their disparity as t in 0…1.

    Args:
        dice: decides everything.
        height: of the canvas, px.
        width: of the canvas, px.
        side: of the picture that will be cut from its middle, px.
        pictures: [3,h,w] each, linear light, for the textures.

    Example:
        >>> layers = random_layers(Dice(3), 24, 32, 16.0)
        >>> bool(layers[0].alpha.min() == 1)  # the wall covers everything
        True
    """
    y = torch.arange(height)[:, None] + 0.5
    x = torch.arange(width)[None] + 0.5
    y, x = y.expand(height, width), x.expand(height, width)
    layers = [_wall(dice, y, x, pictures)]
    if dice.chance(0.5):
        layers.append(_ground(dice, y, x, pictures))
    count = dice.integer(1, MOST_THINGS)
    for place in sorted(dice.uniform(0.05, 1.0) for _ in range(count)):
        layers.append(_thing(dice, y, x, side, place, pictures))
    if dice.chance(0.3):
        index = dice.integer(0, len(layers) - 1)
        layers[index] = _with_lamps(dice, layers[index], y, x)
    return layers


def _wall(dice: Dice, y: Tensor, x: Tensor, pictures: Sequence[Tensor]) -> Layer:
    light = texture(dice, y.shape[0], y.shape[1], pictures)
    flat = torch.zeros_like(y)
    if dice.chance(0.4):  # seen at an angle
        flat = _slope(dice, y, x, dice.uniform(0.02, 0.3))
        flat = flat - flat.min()
    return Layer(light, torch.ones_like(y), flat)


def _ground(dice: Dice, y: Tensor, x: Tensor, pictures: Sequence[Tensor]) -> Layer:
    """Return a plane that comes nearer from the horizon down; its disparity is linear in y."""
    height = y.shape[0]
    horizon = height * dice.uniform(0.3, 0.7)
    near = dice.uniform(0.2, 1.0)
    rise = ((y - horizon) / (height - horizon)).clamp(0, 1)
    return Layer(
        texture(dice, y.shape[0], y.shape[1], pictures),
        (y - horizon + 0.5).clamp(0, 1),
        near * rise,
    )


def _thing(
    dice: Dice, y: Tensor, x: Tensor, side: float, place: float, pictures: Sequence[Tensor]
) -> Layer:
    light = texture(dice, y.shape[0], y.shape[1], pictures)
    kind = dice.uniform(0, 1)
    if kind < 0.12:
        return _ball(dice, y, x, side, place, light)
    if kind < 0.24:
        return _box(dice, y, x, side, place, light)
    alpha = dice.choice(SHAPES)(dice, y, x, side)
    if dice.chance(0.1):
        alpha = alpha * dice.uniform(0.4, 0.9)  # a veil
    disparity = torch.full_like(y, place)
    if dice.chance(0.3):
        disparity = (disparity + _slope(dice, y, x, dice.uniform(0.02, 0.2))).clamp(0, 1)
    return Layer(light, alpha, disparity)


def _ball(dice: Dice, y: Tensor, x: Tensor, side: float, place: float, light: Tensor) -> Layer:
    radius = side * dice.uniform(0.1, 0.35)
    cy, cx = y.shape[0] * dice.uniform(0.2, 0.8), y.shape[1] * dice.uniform(0.2, 0.8)
    distance = torch.hypot(y - cy, x - cx)
    bulge = (1 - (distance / radius) ** 2).clamp(min=0).sqrt()
    disparity = (place + dice.uniform(0.02, 0.15) * bulge).clamp(0, 1)
    shaded = light * (0.35 + 0.65 * bulge)
    return Layer(shaded, (radius + 0.5 - distance).clamp(0, 1), disparity)


def _box(dice: Dice, y: Tensor, x: Tensor, side: float, place: float, light: Tensor) -> Layer:
    """Return two faces that meet in an upright edge, one of them in the shade."""
    half, tall = side * dice.uniform(0.1, 0.35), side * dice.uniform(0.1, 0.4)
    cy, cx = y.shape[0] * dice.uniform(0.2, 0.8), y.shape[1] * dice.uniform(0.2, 0.8)
    inside = torch.maximum((x - cx).abs() - half, (y - cy).abs() - tall)
    edge = cx + half * dice.uniform(-0.6, 0.6)
    falls = dice.uniform(0.02, 0.15) / half
    disparity = (place - falls * (x - edge).abs()).clamp(0, 1)
    shaded = torch.where(x < edge, light, light * dice.uniform(0.3, 0.8))
    return Layer(shaded, (0.5 - inside).clamp(0, 1), disparity)


def _with_lamps(dice: Dice, layer: Layer, y: Tensor, x: Tensor) -> Layer:
    """Return the layer with small lights on it, brighter than white."""
    light = layer.light
    for _ in range(dice.integer(1, 8)):
        cy, cx = y.shape[0] * dice.uniform(0, 1), y.shape[1] * dice.uniform(0, 1)
        spot = torch.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * dice.uniform(0.6, 2.0) ** 2))
        colour = (0.5 + 0.5 * dice.rand(3))[:, None, None]
        light = light + dice.log_uniform(1.5, BRIGHTEST) * spot * colour
    return Layer(light, layer.alpha, layer.disparity)


def _slope(dice: Dice, y: Tensor, x: Tensor, rise: float) -> Tensor:
    """Return a plane that rises by `rise` over the canvas in a random direction, around 0."""
    across, down = dice.normal(2).tolist()
    plane: Tensor = across * (x / x.shape[1] - 0.5) + down * (y / y.shape[0] - 0.5)
    plane = plane * (rise / max(abs(across) + abs(down), 1e-6))
    return plane
