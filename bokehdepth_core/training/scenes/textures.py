"""Surfaces of made scenes: noise of several octaves, stripes, checks, plain ones, and pictures."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ...color import srgb_to_linear
from ...files.pictures.images import read_image
from ..dice import Dice

# Photographs in the wheel of scikit-image, in the public domain or CC0 (docs/training.md).
SKIMAGE_PICTURES = (
    *("astronaut", "brick", "camera", "chelsea", "coffee", "grass", "gravel", "rocket"),
)
PICTURE_SIDE = 512  # px; larger ones are made smaller
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


def texture(dice: Dice, height: int, width: int, pictures: Sequence[Tensor] = ()) -> Tensor:
    """Return a surface's colours, [3,height,width], linear light, 0…1.

    Args:
        dice: decides everything.
        height: px.
        width: px.
        pictures: [3,h,w] each, linear light, that may be taken.

    Example:
        >>> texture(Dice(0), 4, 6).shape
        torch.Size([3, 4, 6])
    """
    kinds = [_noise, _noise, _fine, _stripes, _checks, _plain]
    if pictures and dice.chance(0.5):
        return _cut(dice, dice.choice(pictures), height, width)
    return dice.choice(kinds)(dice, height, width)


def value_noise(dice: Dice, planes: int, height: int, width: int, period: float) -> Tensor:
    """Return smooth noise [planes,height,width] of mean 0 and deviation about 1.

    Octaves from `period` px down to 2 px, each half as strong as the one before.
    """
    total = torch.zeros(planes, height, width)
    weight, power = 1.0, 0.0
    while period >= 2:
        rows, columns = math.ceil(height / period) + 2, math.ceil(width / period) + 2
        grid = dice.normal(1, planes, rows, columns)
        size = (int(rows * period), int(columns * period))
        smooth = functional.interpolate(grid, size, mode="bilinear", align_corners=False)[0]
        top, left = int(period / 2), int(period / 2)
        total += weight * smooth[:, top : top + height, left : left + width]
        power += weight**2
        weight, period = weight * dice.uniform(0.4, 0.9), period / 2
    return total / math.sqrt(max(power, 1e-6)) * 1.5  # interpolation takes a third of the spread


def _colours(dice: Dice, count: int) -> Tensor:
    """Return `count` colours, [count,3], linear light."""
    bright = dice.rand(count, 1) ** 2
    return bright * (0.4 + 0.6 * dice.rand(count, 3))


def _noise(dice: Dice, height: int, width: int) -> Tensor:
    first, second, third = _colours(dice, 3)[..., None, None]
    maps = value_noise(dice, 2, height, width, dice.log_uniform(6, 96)).mul(0.5).add(0.5)
    a, b = maps.clamp(0, 1)
    mixed: Tensor = first + a * (second - first) + b * (third - first)
    return mixed.clamp(0, 1)


def _fine(dice: Dice, height: int, width: int) -> Tensor:
    base = _noise(dice, height, width)
    grain = value_noise(dice, 1, height, width, dice.log_uniform(2, 6))
    return (base * (1 + dice.uniform(0.2, 0.8) * grain)).clamp(0, 1)


def _waves(dice: Dice, height: int, width: int) -> Tensor:
    angle, period = dice.uniform(0, math.pi), dice.log_uniform(3, 40)
    y, x = torch.arange(height)[:, None], torch.arange(width)[None]
    along = x * math.cos(angle) + y * math.sin(angle)
    sharp = dice.log_uniform(1, 6)
    wave = torch.sin(along * (2 * math.pi / period) + dice.uniform(0, 6)) * sharp
    return wave.clamp(-1, 1) * 0.5 + 0.5


def _stripes(dice: Dice, height: int, width: int) -> Tensor:
    first, second = _colours(dice, 2)[..., None, None]
    mixed: Tensor = first + _waves(dice, height, width) * (second - first)
    return (mixed * _shade(dice, height, width)).clamp(0, 1)


def _checks(dice: Dice, height: int, width: int) -> Tensor:
    first, second = _colours(dice, 2)[..., None, None]
    a, b = _waves(dice, height, width), _waves(dice, height, width)
    mixed: Tensor = first + (a * b + (1 - a) * (1 - b)) * (second - first)
    return (mixed * _shade(dice, height, width)).clamp(0, 1)


def _plain(dice: Dice, height: int, width: int) -> Tensor:
    colour = _colours(dice, 1)[0][:, None, None]
    return (colour * _shade(dice, height, width)).clamp(0, 1).expand(3, height, width)


def _shade(dice: Dice, height: int, width: int) -> Tensor:
    return 1 + 0.15 * value_noise(dice, 1, height, width, 64.0)


def _cut(dice: Dice, picture: Tensor, height: int, width: int) -> Tensor:
    """Return a part of a picture, mirrored or not, at a random scale."""
    scale = dice.log_uniform(0.6, 1.6)
    rows, columns = picture.shape[1:]
    tall, wide = min(rows, int(height / scale)), min(columns, int(width / scale))
    top, left = dice.integer(0, rows - tall), dice.integer(0, columns - wide)
    part = picture[:, top : top + tall, left : left + wide]
    if dice.chance(0.5):
        part = part.flip(2)
    shown = functional.interpolate(
        part[None], (height, width), mode="bilinear", align_corners=False, antialias=True
    )
    return shown[0].clamp(0, 1)


def skimage_pictures() -> list[Tensor]:
    """Return the photographs that scikit-image ships, [3,h,w], linear; empty where it is absent."""
    try:
        import skimage
    except ModuleNotFoundError:
        return []
    folder = Path(skimage.__file__).parent / "data"
    found = sorted(one for one in folder.iterdir() if one.stem in SKIMAGE_PICTURES)
    return [_small(read_image(one)) for one in found if one.suffix in _SUFFIXES]


def folder_pictures(folder: str | Path) -> list[Tensor]:
    """Return the pictures of a user's folder, [3,h,w], linear light.

    Raises:
        ValueError: no folder, or no picture in it, or one that cannot be read.
    """
    source = Path(folder)
    if not source.is_dir():
        raise ValueError(f"textures: {source} is no folder. Give a folder of pictures.")
    found = sorted(one for one in source.iterdir() if one.suffix.lower() in _SUFFIXES)
    if not found:
        raise ValueError(f"textures: no picture in {source}. Give another folder.")
    return [_small(read_image(one)) for one in found]


def _small(image: Tensor) -> Tensor:
    """Return a picture [H,W,3], sRGB, as linear light [3,h,w] of at most `PICTURE_SIDE` px."""
    light = srgb_to_linear(image).movedim(-1, 0)
    scale = PICTURE_SIDE / max(light.shape[1:])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in light.shape[1:]]
        light = functional.interpolate(light[None], size, mode="area")[0]
    return light
