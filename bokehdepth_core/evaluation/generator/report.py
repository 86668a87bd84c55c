"""Scores of bokeh stacks for people: a table of text, every photo as CSV, and a picture."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...files.atomic import whole_file
from ..bootstrap import bootstrap
from .scores import StackScores

SCORES = {
    "r_squared": "R²",
    "slope": "slope",
    "monotony": "monotony",
    "subject_psnr": "subject, dB",
    "colour": "colour, LAB",
    "moved": "moved, px",
    "unaligned": "unaligned",
}
SIDE, MARGIN = 420, 56  # px, of the plot
_PAPER, _INK, _GRID = (250, 249, 246), (28, 28, 32), (224, 222, 216)
_COLOURS = ((196, 78, 30), (40, 104, 160), (90, 140, 60))


@dataclass(frozen=True)
class StackResult:
    """The scores of one photo's stack.

    Attributes:
        generator: that made it.
        photo: its name.
        strengths: bokeh strengths K that were asked for, px·m.
        scores: figures.
    """

    generator: str
    photo: str
    strengths: tuple[float, ...]
    scores: StackScores


def table(results: Sequence[StackResult], seed: int = 0) -> list[str]:
    """Return lines of text: scores down, generators across, means with their intervals.

    Example:
        >>> scores = StackScores(0.9, 0.8, 1.0, None, 0.5, 0.0, 0, (8.0, 16.0), 900)
        >>> print(*table([StackResult("FLUX", "a.png", (10.0, 20.0), scores)])[:3], sep=chr(10))
                     FLUX
        R²           0.900 [0.900, 0.900]
        slope        0.800 [0.800, 0.800]
    """
    names = list(dict.fromkeys(one.generator for one in results))
    rows = [["", *names]]
    for score, title in SCORES.items():
        cells = [
            _cell([one for one in results if one.generator == name], score, seed) for name in names
        ]
        rows.append([title, *cells])
    for strength in sorted({k for one in results for k in one.strengths}):
        rows.append([f"K {strength:g} came out", *(_came_out(results, n, strength) for n in names)])
    rows.append(["photos", *(str(len(_of(results, name))) for name in names)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _of(results: Sequence[StackResult], generator: str) -> list[StackResult]:
    return [one for one in results if one.generator == generator]


def _cell(results: Sequence[StackResult], score: str, seed: int) -> str:
    values = [getattr(one.scores, score) for one in results]
    known = [float(value) for value in values if value is not None]
    if not known:
        return "-"
    found = bootstrap(known, seed=seed)
    text = f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"
    return text if len(known) == len(results) else f"{text} of {len(known)}"


def came_out(results: Sequence[StackResult], generator: str, strength: float) -> list[float]:
    """Return the K that frames of one stated strength show, one of each photo where it is known."""
    return [
        shown
        for one in _of(results, generator)
        for stated, shown in zip(one.strengths, one.scores.shown, strict=True)
        if stated == strength and not math.isnan(shown)
    ]


def _came_out(results: Sequence[StackResult], generator: str, strength: float) -> str:
    found = came_out(results, generator, strength)
    return f"as {sum(found) / len(found):.1f}" if found else "-"


def write_results(path: Path, results: Sequence[StackResult]) -> None:
    """Write every stack as a line of CSV, whole or not at all; what was not measured is empty.

    Raises:
        OSError: the file cannot be written.
    """
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("generator", "photo", *SCORES, "blocks", "strengths", "shown"))
        for one in results:
            values = [getattr(one.scores, score) for score in SCORES]
            writer.writerow(
                (
                    *(one.generator, one.photo),
                    *("" if value is None else f"{value:.6g}" for value in values),
                    one.scores.blocks,
                    " ".join(f"{value:g}" for value in one.strengths),
                    " ".join(f"{value:.6g}" for value in one.scores.shown),
                )
            )


def draw_results(path: Path, results: Sequence[StackResult]) -> None:
    """Write a PNG: K that frames show against K that was asked for; a dot for each photo.

    Raises:
        OSError: the file cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    sheet = Image.new("RGB", (SIDE, SIDE), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    strengths = sorted({k for one in results for k in one.strengths})
    names = list(dict.fromkeys(one.generator for one in results))
    points = {name: {k: came_out(results, name, k) for k in strengths} for name in names}
    every = [value for found in points.values() for one in found.values() for value in one]
    largest = max([*strengths, *every]) * 1.05
    span = SIDE - 2 * MARGIN

    def place(x: float, y: float) -> tuple[float, float]:
        return MARGIN + span * x / largest, SIDE - MARGIN - span * y / largest

    draw.rectangle((*place(0, largest), *place(largest, 0)), outline=_GRID)
    draw.line((*place(0, 0), *place(largest, largest)), fill=_GRID, width=2)
    for row, name in enumerate(names):
        colour = _COLOURS[row % len(_COLOURS)]
        draw.text((MARGIN, 8 + 18 * row), name[-48:], colour, font=font)
        means = []
        for strength, found in points[name].items():
            for value in found:
                x, y = place(strength, value)
                draw.ellipse((x - 2, y - 2, x + 2, y + 2), outline=colour)
            means += [place(strength, sum(found) / len(found))] if found else []
        if len(means) > 1:
            draw.line(means, fill=colour, width=2)
    draw.text((SIDE / 2, SIDE - 24), f"K asked for, 0…{largest:.3g}", _INK, font=font, anchor="mm")
    draw.text((4, MARGIN - 16), "K shown", _INK, font=font)
    with whole_file(path) as part:
        sheet.save(part, "PNG")
