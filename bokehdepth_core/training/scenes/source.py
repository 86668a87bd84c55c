"""An endless source of made samples; the number of a sample and the seed decide all of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...color import linear_to_srgb
from ...optics.aperture import Aperture
from ..dice import Dice
from ..samples import Sample
from .compose import random_layers
from .disturb import disturbed
from .rendering import Layer, blurred_pictures, sharp_picture, visible_disparity

LARGEST_RADIUS = 30.0  # px
SMALLEST_LARGEST = 4.0  # px; a scene without any blur teaches nothing
STRENGTHS = (10.0, 20.0, 30.0)  # px·m, as published
FOCUS = ("near", "far", "random")


@dataclass(frozen=True)
class SceneSource:
    """Samples `source[0]`, `source[1]`, … without end.

    Attributes:
        seed: another one gives other scenes.
        size: side of the pictures, px.
        strengths: of the frames, px·m; a whole stack is scaled by up to 1.5 either way.
        focus: where the frames are sharp: "near" (everything else lies behind), "far", "random"
            (anywhere between), or None for each of them in turn by chance.
        largest_radius: px; the largest blur of a scene lies between `SMALLEST_LARGEST` and this.
        pictures: [3,h,w] each, linear light, for textures.
        disturb: add noise, JPEG, tone curves, gain and misalignment.

    Example:
        >>> source = SceneSource(seed=1, size=32, largest_radius=8.0)
        >>> sample = source[5]
        >>> sample.pictures.shape, bool((sample.pictures == source[5].pictures).all())
        (torch.Size([4, 32, 32, 3]), True)
    """

    seed: int = 0
    size: int = 64
    strengths: tuple[float, ...] = STRENGTHS
    focus: str | None = None
    largest_radius: float = LARGEST_RADIUS
    pictures: Sequence[Tensor] = field(default=(), repr=False)
    disturb: bool = True

    def __post_init__(self) -> None:
        if self.focus not in (None, *FOCUS):
            raise ValueError(f"focus: expected {', '.join(FOCUS)}, found {self.focus!r}.")
        if not SMALLEST_LARGEST <= self.largest_radius <= LARGEST_RADIUS:
            raise ValueError(
                f"largest_radius: expected {SMALLEST_LARGEST:g} to {LARGEST_RADIUS:g} px, found "
                f"{self.largest_radius:g}."
            )

    def __getitem__(self, index: int) -> Sample:
        """Return one sample."""
        dice = Dice(self.seed, index)
        margin = int(self.largest_radius) + 2
        canvas = _even(self.size + 2 * margin)
        layers = random_layers(dice, canvas, canvas, float(self.size), self.pictures)
        scale = dice.log_uniform(2 / 3, 1.5)
        strengths = [scale * one for one in self.strengths]
        layers, focus = self._placed(dice, layers, max(strengths))
        inner = slice(margin, margin + self.size)
        aperture = Aperture(dice.integer(5, 9), dice.uniform(0, 90)) if dice.chance(0.15) else None
        light = torch.cat(
            [
                sharp_picture(layers)[None],
                blurred_pictures(layers, strengths, focus, aperture),
            ]
        )[..., inner, inner]
        pictures = linear_to_srgb(light.clamp(0, 1))
        if self.disturb:
            pictures = disturbed(dice, pictures)
        disparity = visible_disparity(layers)[inner, inner]
        return Sample(
            pictures.movedim(1, -1).contiguous(),
            torch.tensor([0.0, *strengths]),
            disparity.contiguous(),
            torch.ones_like(disparity, dtype=torch.bool),
            focus,
        )

    def _placed(
        self, dice: Dice, layers: list[Layer], strength: float
    ) -> tuple[list[Layer], float]:
        """Return the layers with disparity in 1/m, and the focus plane's disparity."""
        seen = visible_disparity(layers)
        near, far = float(seen.max()), float(seen.min())
        kind = self.focus or dice.choice(FOCUS)
        plane = {"near": near, "far": far}.get(kind, far + dice.uniform(0, 1) * (near - far))
        # Layers that are nowhere seen may lie farther from the focus than all that is.
        reach = max(float((one.disparity - plane).abs().max()) for one in layers)
        largest = dice.log_uniform(SMALLEST_LARGEST, self.largest_radius)
        unit = largest / (strength * max(reach, 1e-3))  # 1/m for one unit of t
        beyond = dice.choice((0.0, dice.log_uniform(0.02, 0.3)))
        moved = [Layer(one.light, one.alpha, beyond + unit * one.disparity) for one in layers]
        return moved, beyond + unit * plane


def _even(size: int) -> int:
    """Return the next size whose Fourier transform is quick: even, no prime factor above 5."""
    while size % 2 or _rest(size) > 1:
        size += 1
    return size


def _rest(size: int) -> int:
    for prime in (2, 3, 5):
        while size % prime == 0:
            size //= prime
    return size
