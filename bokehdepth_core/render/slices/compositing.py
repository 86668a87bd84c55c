"""The layers of a scene blurred and laid over each other: what the lens shows.

In go the layers (`scene/layers.py`), light [3,H,W] with a blur radius and an alpha at every pixel;
out comes the picture, [3,H,W]. Pixels of about the same blur radius make a slice, which is blurred
as a whole by the point spread function (PSF) of that radius. Slices are then added, the nearest
first, to what the picture has received so far:

    light += min(alpha, T) · color,    T -= min(alpha, T),

with T, the transmittance, 1 at first: the part of a pixel that no nearer slice has covered.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ...boxes import Box, box_area, box_within, common_box
from ..highlights import rolled_off
from ..panorama import own_columns, with_other_end
from ..scene.discontinuities import largest_within
from ..scene.layers import Layer, Layers
from ..scene.matting import WHITE
from .occupancy import Occupancy

CUT_OUT = 4  # channels of light with its own coverage, which is the last
LEAST_ALPHA = 1e-6  # of a slice; from there down it fades out, for rounding decides on its sign
WORTH_PARTING = 0.8  # of a slice's area; parts of it that take more are blurred no sooner
SHARP_RADIUS = 0.25  # px; a PSF this small lies within one pixel
# A slice blurred by less, px, is not told from one in focus. Tuned on drafts of the public scenes
# of `docs/render.md`: 35.01 dB; 35.00 at 0.75, 34.92 at 2.
FRONT_RADIUS = 1.0

BeforeSlice = Callable[[int, int], None]


class Blur(Protocol):
    """What blurs a part of a picture that is empty elsewhere, as `LensBlur` does."""

    def reach(self, radius: float) -> int:
        """Return how far, px, light goes at a defocus, px."""

    def place_around(self, box: Box, radius: float) -> Box:
        """Return where the light of a box goes at a defocus, px."""

    def convolve(self, planes: Tensor, radius: float, place: Box | None = None) -> Tensor:
        """Return [C,h,w], which lie at a place, blurred by the PSF of a defocus, px."""


@dataclass(frozen=True)
class SliceSpacing:
    """How finely defocus is cut into slices.

    Attributes:
        step: px of defocus between slices at the focus plane.
        growth: the same as a share of the defocus, away from it.
    """

    step: float
    growth: float


def slice_levels(low: float, high: float, spacing: SliceSpacing) -> list[float]:
    """Return the defocus of the slices, px, rising: 0 and both ends of the range among them.

    Args:
        low: smallest defocus of the picture, px; a positive one counts as 0.
        high: largest defocus, px; a negative one counts as 0.
        spacing: distance of neighbouring slices.

    Example:
        >>> slice_levels(-2.0, 1.0, SliceSpacing(1.0, 0.1))
        [-2.0, -1.0, 0.0, 1.0]
    """
    behind, front = _levels_up_to(-low, spacing), _levels_up_to(high, spacing)
    return [-level for level in reversed(behind)] + [0.0] + front


def _levels_up_to(end: float, spacing: SliceSpacing) -> list[float]:
    """Return rising levels from above 0 to exactly `end`; none where `end` is not above 0."""
    if end <= 0:
        return []
    levels = [spacing.step]
    while levels[-1] < end:
        levels.append(levels[-1] + max(spacing.step, spacing.growth * levels[-1]))
    return [level * end / levels[-1] for level in levels]


@dataclass(frozen=True)
class WithoutRinging:
    """A blur that gives no more and no less than what it averages, for lamps above white.

    The PSF's transform is cut off at the pixel grid, so beside a hard edge the blurred picture
    rings by some 1e-3 of the step: nothing in a picture, but 0.5 beside a lamp of 500. A mean lies
    between the smallest and the largest value under the PSF, so it is held there.

    Attributes:
        blur: that rings.
        support_radius: how far the PSF reaches, as a multiple of the blur radius.
        wraps: whether left and right border join.
    """

    blur: Blur
    support_radius: float
    wraps: bool = False

    def reach(self, radius: float) -> int:
        """Return how far, px, light goes at a defocus, px."""
        return self.blur.reach(radius)

    def place_around(self, box: Box, radius: float) -> Box:
        """Return where the light of a box goes at a defocus, px."""
        return self.blur.place_around(box, radius)

    def convolve(self, planes: Tensor, radius: float, place: Box | None = None) -> Tensor:
        """Return [C,h,w], which lie at a place, blurred by the PSF of a defocus, px."""
        reach = math.ceil(abs(radius) * self.support_radius) + 1
        blurred = self.blur.convolve(planes, radius, place)
        around = min(reach, planes.shape[-1]) if self.wraps else 0
        for plane, out in zip(planes, blurred, strict=True):
            wide = with_other_end(plane, around)
            least, most = -largest_within(-wide, reach), largest_within(wide, reach)
            least, most = own_columns(least, around), own_columns(most, around)
            torch.minimum(torch.maximum(out, least, out=out), most, out=out)
        return blurred


def composite_front_to_back(
    layers: Layers,
    levels: list[float],
    blur: Blur,
    before_slice: BeforeSlice,
    *,
    roll_off: bool = False,
) -> Tensor:
    """Return the picture through the lens, [C,H,W], linear light.

    Layers of light with a fourth channel are a cut-out: light multiplied with its coverage, and the
    coverage. What is transparent then hides nothing.

    A slice of alpha a and colour C behind a transmittance T adds min(a, T)·C, and leaves
    T - min(a, T) to the slices behind it: the operator "disjoint over" of Porter and Duff's algebra
    (1984; named so in the X Rendering Extension). In the end the light is divided by 1 - T, so that
    the mean of what is known stands where no layer is.

    Args:
        layers: of the scene.
        levels: defocus of the slices, px, rising.
        blur: by the PSF of a defocus.
        before_slice: called with the number of slices done and of all; may raise to stop.
        roll_off: bring light above white back below it, its hue kept (`highlights.rolled_off`).
    """
    film = _Film.unexposed(layers)
    for _ in _composite_slices(film, layers, levels, blur, before_slice):
        pass
    return film.normalized(roll_off)


def composite_with_foreground(
    layers: Layers,
    levels: list[float],
    blur: Blur,
    before_slice: BeforeSlice,
    *,
    roll_off: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the picture as `composite_front_to_back`, and its blurred foreground alone.

    The foreground, [4,H,W], is the light of all slices blurred by at least `FRONT_RADIUS` in front
    of the focus plane, multiplied by alpha, and that alpha, 0…1.
    """
    film = _Film.unexposed(layers)
    foreground = torch.zeros_like(film.transmittance).expand(4, -1, -1)
    last = min((level for level in levels if level >= FRONT_RADIUS), default=None)
    for level in _composite_slices(film, layers, levels, blur, before_slice):
        if level == last:
            foreground = torch.cat([film.joined(), 1 - film.transmittance])
    return film.normalized(roll_off), foreground


@dataclass(eq=False)
class _Film:
    """What is composited so far; written into slice by slice.

    Attributes:
        light: [C,H,W] or split at white [2C,H,W], linear light times alpha.
        transmittance: [1,H,W], 0…1, what the slices behind may still add.
        split: whether light above white is kept apart.
        unfilled: [1,H,W], 0…1, where no slice was yet; the transmittance itself but for cut-outs.
    """

    light: Tensor
    transmittance: Tensor
    split: bool
    unfilled: Tensor

    @classmethod
    def unexposed(cls, layers: Layers) -> "_Film":
        split = any(bool(layer.light.max() > WHITE) for layer in layers.present())
        light = torch.zeros_like(layers.visible.light)
        whole = torch.ones_like(light[:1])
        unfilled = whole.clone() if len(light) == CUT_OUT else whole
        return cls(_split_at_white(light) if split else light, whole, split, unfilled)

    def add_behind(self, premultiplied: Tensor, place: Box) -> None:
        """Add a slice that lies at a place: light times alpha, and alpha last, [C + 1,h,w]."""
        there = (slice(None), *place)
        alpha = premultiplied[-1:]
        if self.unfilled is not self.transmittance:
            unfilled = self.unfilled[there]
            unfilled.sub_(torch.minimum(alpha.clamp(min=0), unfilled))
            alpha = premultiplied[CUT_OUT - 1 : CUT_OUT]  # only what covers hides
        seen = torch.minimum(alpha.clamp(min=0), self.transmittance[there])
        self.transmittance[there].sub_(seen)
        share = seen.div_(alpha.clamp(min=LEAST_ALPHA))
        self.light[there].addcmul_(premultiplied[:-1], share)

    def normalized(self, roll_off: bool = False) -> Tensor:
        """Return [C,H,W] light, divided by its alpha up to white, and never above if rolled off.

        Where no layer is known, what is seen there stands for it; but no lamp stands there twice.
        """
        channels = len(self.light) // 2 if self.split else len(self.light)
        self.light[:channels] /= (1 - self.unfilled).clamp(min=1e-6)
        light = self.joined()
        if roll_off and self.split:
            light[:3] = rolled_off(self.light[:3], self.light[channels:][:3])
        return light

    def joined(self) -> Tensor:
        """Return [C,H,W], light up to white and what is above it added."""
        below, above = self.light.chunk(2) if self.split else (self.light, None)
        return below if above is None else below + above


def _composite_slices(
    film: _Film, layers: Layers, levels: list[float], blur: Blur, before_slice: BeforeSlice
) -> Iterator[float]:
    """Blur the slices and add them to the film, front first; yield the defocus of each."""
    present = layers.present()
    occupancy = Occupancy(present, levels)
    for done, index in enumerate(range(len(levels) - 1, -1, -1)):
        before_slice(done, len(levels))
        level = levels[index]
        for place, boxes in _parts_of_slice(occupancy, index, level, blur):
            cut = _cut_slice(present, boxes, place, levels, index, film.split)
            sharp = abs(level) < SHARP_RADIUS
            film.add_behind(cut if sharp else blur.convolve(cut, level, place), place)
        yield level


def _parts_of_slice(
    occupancy: Occupancy, index: int, level: float, blur: Blur
) -> list[tuple[Box, list[Box | None]]]:
    """Return where the parts of a slice are once they are blurred, and what they are cut from.

    It is one part, or several that do not overlap where they are much smaller.
    """
    boxes = occupancy.boxes[index]
    box = common_box(boxes)
    if box is None:
        return []
    if abs(level) < SHARP_RADIUS:
        return [(box, boxes)]
    place = blur.place_around(box, level)
    parts = [
        (blur.place_around(part, level), own)
        for own in occupancy.parts(index, blur.reach(level))
        for part in [common_box(own)]
        if part is not None
    ]
    if sum(box_area(one) for one, _ in parts) < WORTH_PARTING * box_area(place):
        return parts
    return [(place, boxes)]


def _split_at_white(light: Tensor) -> Tensor:
    """Return [2C,H,W], light up to white and what is above it, of [C,H,W]."""
    return torch.cat([light.clamp(max=WHITE), (light - WHITE).clamp(min=0)])


def _cut_slice(
    layers: list[Layer],
    boxes: list[Box | None],
    place: Box,
    levels: list[float],
    index: int,
    split: bool,
) -> Tensor:
    """Return light times alpha, and alpha last, [C + 1,h,w], of one slice at a place.

    A pixel between two levels is shared by them in proportion, so that its mean blur is its own.

    Args:
        layers: of the scene.
        boxes: where each of them has pixels of the slice; None for nowhere.
        place: that holds all boxes.
        levels: defocus of the slices, px, rising.
        index: of the slice.
        split: whether light above white is kept apart.
    """
    here = levels[index]
    below = levels[index - 1] if index > 0 else here - 1
    above = levels[index + 1] if index + 1 < len(levels) else here + 1
    channels = len(layers[0].light) * (2 if split else 1)
    sides = [part.stop - part.start for part in place]
    total = layers[0].light.new_zeros(channels + 1, *sides)
    for layer, box in zip(layers, boxes, strict=True):
        if box is None:
            continue
        defocus, light = layer.defocus[box], layer.light[:, box[0], box[1]]
        alpha = (defocus - below).div_(here - below)
        alpha = torch.minimum(alpha, (above - defocus).div_(above - here)).clamp_(0, 1)
        alpha *= layer.alpha[box]
        rows, columns = box_within(box, place)
        part = total[:, rows, columns]
        part[:-1].addcmul_(_split_at_white(light) if split else light, alpha)
        part[-1] += alpha
    return total
