"""The course of a training run: a table as CSV, and curves as a picture."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from ..files.atomic import whole_file

CSV, PLOT = "history.csv", "history.png"
WIDTH, HEIGHT, MARGIN = 640, 320, 44  # px
_PAPER, _INK, _GRID = (250, 249, 246), (28, 28, 32), (224, 222, 216)
_COLOURS = ((196, 78, 30), (40, 104, 160), (90, 140, 60), (150, 110, 170), (110, 110, 118))


def write_history(folder: Path, history: Sequence[dict[str, float]]) -> None:
    """Write `history.csv` and `history.png`, each whole or not at all.

    Args:
        folder: of the run.
        history: a record for each validation, with `step` and the same names in all; NaN where
            something was not measured then.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_history(folder, [{"step": 0, "loss": 2.0}, {"step": 9, "loss": 1.0}])
        >>> (folder / "history.csv").read_text().splitlines()
        ['step,loss', '0,2', '9,1']
    """
    if not history:
        return
    with whole_file(folder / CSV) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(history[0])
        writer.writerows([f"{value:.6g}" for value in one.values()] for one in history)
    _draw(folder / PLOT, history)


def _draw(path: Path, history: Sequence[dict[str, float]]) -> None:
    from PIL import Image, ImageDraw, ImageFont

    sheet = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    right, bottom = WIDTH - 16, HEIGHT - MARGIN
    draw.rectangle((MARGIN, MARGIN, right, bottom), outline=_GRID)
    steps = [one["step"] for one in history]
    span = max(steps[-1] - steps[0], 1)
    names = [name for name in history[0] if name != "step"]
    for place, name in enumerate(names):
        colour = _COLOURS[place % len(_COLOURS)]
        known = [(step, one[name]) for step, one in zip(steps, history, strict=True)]
        known = [one for one in known if not math.isnan(one[1])]
        high = max((value for _, value in known), default=0.0)
        high = max(high, 1e-9)
        points = [
            (
                MARGIN + (right - MARGIN) * (step - steps[0]) / span,
                bottom - (bottom - MARGIN) * max(value, 0.0) / high,
            )
            for step, value in known
        ]
        if len(points) > 1:
            draw.line(points, fill=colour, width=2, joint="curve")
        # Each curve has its own scale, from 0 to its highest value, which stands beside its name.
        draw.text((MARGIN + place * 118, 14), f"{name} 0…{high:.3g}", colour, font=font)
    draw.text((MARGIN, bottom + 8), f"{steps[0]:g}", _INK, font=font)
    draw.text((right, bottom + 8), f"{steps[-1]:g} steps", _INK, font=font, anchor="ra")
    with whole_file(path) as part:
        sheet.save(part, "PNG")
