"""Pairs rendered from a photo and its depth: random focus on the subject, random lens.

The adapter learns what K means, not what one lens draws; so a photo is seen through several
lenses ("looks"), each with a few strengths that are spread over the whole range.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, never_cancelled
from ...generator.adapter import MAX_STRENGTH, MIN_STRENGTH
from ...optics.aperture import DISC, Aperture
from ...optics.focus.subject import find_subject
from ...render.renderer import render_bokeh
from ..dice import Dice

RENDERER = 1  # grows when frames come out otherwise; part of what kept latents are named by
STRENGTH_STEP = 0.5  # px·m; so that there are 59 prompts to encode and keep, not one a frame
_SAME_DEPTH = 0.03  # of the range of disparity: what counts as the subject's depth
_SHARE_OF_DISCS = 0.5


@dataclass(frozen=True)
class Look:
    """A lens with its focus, and the strengths that it is used with.

    Attributes:
        focus_depth: m, or reciprocal of relative disparity as the depth is.
        aperture: shape of the lens's aperture.
        strengths: bokeh strengths K, px·m at the training's size, rising.
    """

    focus_depth: float
    aperture: Aperture
    strengths: tuple[float, ...]

    def record(self) -> dict[str, object]:
        """Return everything that decides the frames, but the strength."""
        return {"renderer": RENDERER, "focus": self.focus_depth, "lens": asdict(self.aperture)}


def drawn_look(image: Tensor, depth: Tensor, count: int, dice: Dice) -> Look:
    """Return a look of a photo.

    Args:
        image: [H,W,3], sRGB, 0…1.
        depth: [H,W], > 0.
        count: of strengths.
        dice: that decides it.
    """
    return Look(_focus_on_subject(image, depth, dice), _lens(dice), _strengths(count, dice))


def rendered(
    image: Tensor,
    depth: Tensor,
    look: Look,
    strength: float,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Tensor:
    """Return one frame of a look, [H,W,3], of a photo [H,W,3] and its depth [H,W]."""
    frame = render_bokeh(
        image[None],
        depth[None],
        strength,
        torch.tensor([look.focus_depth]),
        aperture=look.aperture,
        check_cancelled=check_cancelled,
    )
    return frame[0].clamp(0, 1)


def _focus_on_subject(image: Tensor, depth: Tensor, dice: Dice) -> float:
    """Return the depth of a random place of the subject."""
    found = find_subject(image[None], depth[None])
    disparity = depth.reciprocal()
    reach = _SAME_DEPTH * float(disparity.max() - disparity.min())
    of_subject = (disparity - 1 / found.focus_depth[0]).abs() <= reach
    places = depth[of_subject & depth.isfinite()]
    if not len(places):
        return float(found.focus_depth[0])
    return float(places[dice.integer(0, len(places) - 1)])


def _lens(dice: Dice) -> Aperture:
    """Return a lens as photographers have them; half of them are plain discs."""
    if dice.chance(_SHARE_OF_DISCS):
        return DISC
    return Aperture(
        blades=dice.choice((0, 5, 6, 7, 8, 9)),
        rotation=dice.uniform(0, 360),
        curvature=dice.uniform(0, 1),
        anamorphic=dice.choice((1.0, 1.0, 1.0, 0.7)),
        spherical_aberration=dice.uniform(-0.5, 0.5),
        cat_eye=dice.choice((0.0, 0.0, 0.4)),
    )


def _strengths(count: int, dice: Dice) -> tuple[float, ...]:
    """Return rising strengths, one from each of `count` equal parts of the adapter's range."""
    part = (MAX_STRENGTH - MIN_STRENGTH) / count
    drawn = (MIN_STRENGTH + part * (index + dice.uniform(0, 1)) for index in range(count))
    return tuple(round(value / STRENGTH_STEP) * STRENGTH_STEP for value in drawn)
