"""A picture of a focus pull: the focus over the frames of a clip, with its keyframes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .track import FocusTrack

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

WIDTH, HEIGHT = 640, 320  # px
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 34, 36  # px around the plot
PAPER, INK, FAINT, GRID = (250, 249, 246), (28, 28, 32), (110, 110, 118), (224, 222, 216)
FOCUS, STRENGTH, LOST = (196, 78, 30), (40, 104, 160), (214, 170, 60)
APART = 20  # px between labels
_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)


def plot_focus_track(track: FocusTrack, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Tensor:
    """Return the focus of a clip as a picture, [H,W,3], sRGB, 0…1.

    Upwards is nearer, even in disparity, which is what blur is even in; the labels are metres.
    Dots are keyframes. Keyed strength is a second line, scaled to the same height.

    Args:
        track: of the clip.
        size: (height, width), px.

    Example:
        >>> from .track import focus_track
        >>> plot_focus_track(focus_track(torch.ones(1, 4, 4), "0: 1 m; 9: 4 m")).shape
        torch.Size([320, 640, 3])
    """
    from PIL import Image, ImageDraw

    sheet = Image.new("RGB", (size[1], size[0]), PAPER)
    draw = ImageDraw.Draw(sheet)
    _draw_frames(draw, track, size)
    if track.focus_depth is not None:
        disparity = (1 / track.focus_depth.double()).tolist()
        low, high = _padded(min(disparity), max(disparity))
        _draw_depths(draw, low, high, track.metric, size)
        _draw_line(draw, disparity, (low, high), track.keys, FOCUS, size)
        draw.text(
            (LEFT, 8), "focus, m" if track.metric else "focus, disparity", FOCUS, font=_font()
        )
    if track.strengths is not None:
        low, high = _padded(min(track.strengths), max(track.strengths))
        _draw_line(draw, track.strengths, (low, high), track.keys, STRENGTH, size)
        ends = f"strength {min(track.strengths):g} to {max(track.strengths):g}"
        draw.text((LEFT + 150, 8), ends, STRENGTH, font=_font())
    if track.lost:
        draw.text((size[1] - RIGHT, 8), "no subject", LOST, font=_font(), anchor="ra")
    return torch.from_numpy(np.array(sheet)).float() / 255.0


def _padded(low: float, high: float) -> tuple[float, float]:
    room = 0.08 * (high - low) or max(0.1 * abs(high), 0.05)
    return low - room, high + room


def _column(frame: float, frames: int, width: int) -> float:
    return LEFT + (width - LEFT - RIGHT) * (frame / max(1, frames - 1))


def _row(value: float, ends: tuple[float, float], height: int) -> float:
    share = (value - ends[0]) / (ends[1] - ends[0])
    return height - BOTTOM - (height - TOP - BOTTOM) * share


def _draw_frames(draw: "ImageDraw", track: FocusTrack, size: tuple[int, int]) -> None:
    """Draw the axis of frames, and where no subject was found."""
    height, width = size
    top, bottom = TOP, height - BOTTOM
    draw.rectangle((LEFT, top, width - RIGHT, bottom), outline=GRID)
    for frame in track.lost:
        x = _column(frame, len(track), width)
        draw.line((x, top, x, bottom), fill=LOST, width=2)
    step = _nice((len(track) - 1) / 8)
    for frame in range(0, len(track), step):
        x = _column(frame, len(track), width)
        draw.line((x, bottom, x, bottom + 4), fill=FAINT)
        draw.text((x, bottom + 7), str(frame), FAINT, font=_font(), anchor="ma")
    draw.text((LEFT - 8, bottom + 7), "frame", FAINT, font=_font(), anchor="ra")


def _nice(least: float) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, … that is no less."""
    power = 10.0 ** math.floor(math.log10(max(least, 1)))
    return next(round(power * step) for step in (1, 2, 5, 10) if power * step >= least)


def _draw_depths(
    draw: "ImageDraw", low: float, high: float, metric: bool, size: tuple[int, int]
) -> None:
    """Draw the labels of the focus, m or disparity, as many as stand apart."""
    height, width = size
    last = math.inf
    for disparity, label in _labels(low, high, metric):
        y = _row(disparity, (low, high), height)
        if last - y >= APART:
            draw.line((LEFT, y, width - RIGHT, y), fill=GRID)
            draw.text((LEFT - 8, y), label, INK, font=_font(), anchor="rm")
            last = y


def _labels(low: float, high: float, metric: bool) -> list[tuple[float, str]]:
    """Return disparities within the plot, rising, and what is written there."""
    if not metric:
        step = 10 ** math.floor(math.log10(max(high - low, 1e-6))) / 2
        count = int((high - low) / step) + 2
        values = [(math.ceil(low / step) + one) * step for one in range(count)]
        return [(value, f"{value:.3g}") for value in values if 0 <= value <= high]
    found = [(0.0, "inf")]
    for power in range(6, -7, -1):
        found += [
            (1 / (step * 10.0**power), f"{step * 10.0**power:g}") for step in reversed(_STEPS)
        ]
    inside = [one for one in found if low <= one[0] <= high]
    if len(inside) < 2:  # a still focus, or a narrow pull
        values = [low + (high - low) * share for share in (0.08, 0.92)]
        inside = sorted(inside + [(value, f"{1 / value:.4g}") for value in values if value > 0])
    return inside


def _draw_line(
    draw: "ImageDraw",
    values: Sequence[float],
    ends: tuple[float, float],
    keys: Sequence[int],
    color: tuple[int, int, int],
    size: tuple[int, int],
) -> None:
    height, width = size
    at = [
        (_column(frame, len(values), width), _row(value, ends, height))
        for frame, value in enumerate(values)
    ]
    draw.line(at, fill=color, width=2, joint="curve")
    for frame in keys:
        x, y = at[frame]
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=PAPER, outline=color, width=2)


def _font() -> "ImageFont | FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.load_default(13)
