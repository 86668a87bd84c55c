"""Contact sheets: captioned pictures in a grid, and maps as colour pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..files.pictures.images import quantize

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

PANEL = 400  # px, width of one picture
GAP = 16
CAPTION = 46
HEADER = 78
PAPER, INK, FAINT = (250, 249, 246), (28, 28, 32), (110, 110, 118)

# Near is warm and bright, far is dark blue: the lightness grows all the way.
DEPTH_COLOURS = ((18, 16, 56), (70, 30, 120), (160, 50, 110), (235, 105, 60), (255, 225, 130))
ERROR_COLOURS = ((250, 249, 246), (250, 190, 120), (215, 70, 50), (90, 10, 30))
CONFIDENCE_COLOURS = ((24, 28, 36), (60, 120, 130), (225, 245, 235))


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a sheet.

    Attributes:
        picture: [H,W,3], sRGB, 0…1.
        title: short caption.
        note: second, fainter line.
    """

    picture: Tensor
    title: str
    note: str = ""


def color_map(values: Tensor, colours: Sequence[tuple[int, int, int]]) -> Tensor:
    """Return values [H,W] within 0…1 as a colour picture [H,W,3], sRGB, 0…1."""
    stops = np.linspace(0.0, 1.0, len(colours))
    levels = values.detach().cpu().double().clamp(0, 1).numpy()
    channels = [np.interp(levels, stops, channel) / 255.0 for channel in np.transpose(colours)]
    return torch.from_numpy(np.stack(channels, axis=-1)).float()


def contact_sheet(title: str, subtitle: str, rows: Sequence[Sequence[Panel]]) -> Tensor:
    """Return rows of captioned pictures on paper, [H,W,3], sRGB, 0…1."""
    from PIL import Image, ImageDraw

    first = rows[0][0].picture
    height = round(PANEL * first.shape[0] / first.shape[1])
    columns = max(len(row) for row in rows)
    size = (
        GAP + columns * (PANEL + GAP),
        HEADER + len(rows) * (height + CAPTION + GAP),
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 14), title, INK, font=_font(26))
    draw.text((GAP, 48), subtitle, FAINT, font=_font(16))
    for line, row in enumerate(rows):
        for column, panel in enumerate(row):
            left = GAP + column * (PANEL + GAP)
            top = HEADER + line * (height + CAPTION + GAP)
            picture = Image.fromarray(quantize(panel.picture, 8))
            sheet.paste(picture.resize((PANEL, height), Image.Resampling.LANCZOS), (left, top))
            draw.text((left, top + height + 5), panel.title, INK, font=_font(17))
            draw.text((left, top + height + 26), panel.note, FAINT, font=_font(14))
    return torch.from_numpy(np.array(sheet)).float() / 255.0


def _font(size: int) -> "ImageFont | FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)
