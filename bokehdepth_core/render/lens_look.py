"""A photo through a lens whose colours part: each channel with its own focus plane and aperture.

Longitudinal chromatic aberration moves the focus plane of a colour, and a coloured aperture gives
it another shape. Either way each channel is a picture through a lens of its own, rendered as such:
its light is all there, and stands where that lens puts it.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..callbacks import OnProgress, ignore_progress
from ..optics.aperture import Aperture
from ..optics.aperture_picture import channel_of
from ..optics.lens import Lens
from .renderer import render_bokeh

RED, GREEN, BLUE = 0, 1, 2
_HUNDREDTHS = 0.01  # 1/m for a unit of `Lens.fringe`


@dataclass(frozen=True)
class _Pass:
    """Channels that one aperture and one focus plane give.

    Attributes:
        channels: of the picture.
        aperture: theirs.
        nearer: 1/m, by how much the scene is nearer to their focus than to green's.
    """

    channels: tuple[int, ...]
    aperture: Aperture
    nearer: float


def render_lens_look(
    lens: Lens,
    image: Tensor,
    depth: Tensor,
    strength: float,
    focus_depth: float | Tensor,
    *,
    on_progress: OnProgress = ignore_progress,
    **options: Any,
) -> Tensor:
    """Return the picture through a lens with its look, as `render_bokeh` does for an aperture.

    A lens without fringe and without a coloured aperture is that same render, to the last bit;
    with them the time is that of two or three. Alpha is that of green.

    Args:
        lens: how it shapes light; its strength is that of the argument.
        image: [B,H,W,3].
        depth: [B,H,W] or [1,H,W], m, > 0.
        strength: bokeh strength K, px·m.
        focus_depth: number or [B], m: where green is sharp.
        on_progress: called for every slice, in hundredths of a picture.
        options: the other arguments of `render_bokeh` but for `aperture`.

    Reference:
        A lens of the power P(λ) focuses light of the wavelength λ at 1/Z_f(λ), and these planes
        differ as P does: r = K (1/Z − 1/Z_f + fringe).

    Example:
        >>> from ..optics.lens import lens_look
        >>> photo, depth = torch.full((1, 32, 32, 3), 0.2), torch.full((1, 32, 32), 1.0)
        >>> photo[:, 16, 16] = 1.0
        >>> seen = render_lens_look(lens_look(fringe=20.0), photo, depth, 10.0, 2.0)
        >>> bool(seen[0, 16, 22, 0] > seen[0, 16, 22, 1])  # in front: a magenta rim
        True
    """
    passes = _passes(lens)
    out: Tensor | None = None
    for index, one in enumerate(passes):

        def in_all(done: int, total: int, first: int = index) -> None:
            on_progress(first * total + done, len(passes) * total)

        changed = dict(options)
        if one.nearer and options.get("background_depth") is not None:
            changed["background_depth"] = _nearer(options["background_depth"], one.nearer)
        rendered = render_bokeh(
            image,
            _nearer(depth, one.nearer) if one.nearer else depth,
            strength,
            focus_depth,
            aperture=one.aperture,
            on_progress=in_all,
            **changed,
        )
        if out is None:
            out = rendered
        for channel in one.channels if index else ():
            out[..., channel] = rendered[..., channel]
    assert out is not None  # noqa: S101 (a lens has one pass at least)
    return out


def number_of_passes(lens: Lens) -> int:
    """Return how often a picture is rendered for a look: 1, or once for each kind of its colours.

    Example:
        >>> from ..optics.lens import lens_look
        >>> number_of_passes(lens_look(fringe=20.0))
        2
    """
    return len(_passes(lens))


def _passes(lens: Lens) -> list[_Pass]:
    """Return what is to be rendered; green first, whose alpha is kept."""
    picture, shift = lens.aperture.picture, _HUNDREDTHS * lens.fringe
    if picture is None or not picture.is_coloured:
        every = (RED, GREEN, BLUE)
        if not shift:
            return [_Pass(every, lens.aperture, 0.0)]
        return [_Pass((GREEN,), lens.aperture, 0.0), _Pass((RED, BLUE), lens.aperture, shift)]
    own = {
        channel: replace(lens.aperture, picture=channel_of(picture, channel))
        for channel in (GREEN, RED, BLUE)
    }
    return [
        _Pass((channel,), aperture, 0.0 if channel == GREEN else shift)
        for channel, aperture in own.items()
    ]


def _nearer(depth: Tensor, shift: float) -> Tensor:
    """Return depth whose disparity is larger by a shift, 1/m."""
    return torch.reciprocal(torch.reciprocal(depth.float()) + shift)
