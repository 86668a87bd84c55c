"""Results of a depth evaluation for people: a table of text, every result as CSV, and a picture."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..files.atomic import whole_file
from .bootstrap import Interval
from .depth_run import CONDITIONS, DepthResult
from .depth_summary import SCORES, Row

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

WIDTH, LEFT, RIGHT, TOP, LINE, BOTTOM = 720, 210, 24, 38, 30, 34  # px
PLOTTED = ("affine_error", "abs_rel")
_PAPER, _INK, _GRID = (250, 249, 246), (28, 28, 32), (224, 222, 216)
_COLOURS = dict(zip(CONDITIONS, ((196, 78, 30), (40, 104, 160), (110, 110, 118)), strict=True))
_CONTROL_CHARACTERS = dict.fromkeys((*range(32), 127), "?")


def table(rows: Sequence[Row]) -> list[str]:
    """Return lines of text: for each estimator a block, scores down and conditions across.

    Example:
        >>> row = Row("built-in", "stack", {"abs_rel": Interval(0.25, 0.125, 0.5, 8)}, 8)
        >>> print(*table([row]), sep=chr(10))
        built-in  stack
        AbsRel    0.250 [0.125, 0.500]
        scenes    8
    """
    lines: list[str] = []
    for name in dict.fromkeys(row.estimator for row in rows):
        own = [row for row in rows if row.estimator == name]
        shown = [one for one in SCORES if any(one in row.scores for row in own)]
        cells = [[name, *(row.condition for row in own)]]
        cells += [[SCORES[one], *(_cell(row, one) for row in own)] for one in shown]
        cells.append(["scenes", *(str(row.scenes) for row in own)])
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines += [""] if lines else []
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]
    return lines


def _cell(row: Row, score: str) -> str:
    found = row.scores.get(score)
    if found is None:
        return "-"
    text = f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"
    return text if found.count == row.scenes else f"{text} of {found.count}"


def write_results(path: Path, results: Sequence[DepthResult]) -> None:
    """Write every single result as CSV, whole or not at all; what was not measured is empty.

    Raises:
        OSError: the file cannot be written.
    """
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("estimator", "scene", "condition", "metric", "pixels", *SCORES))
        for one in results:
            values = [getattr(one.scores, score) for score in SCORES]
            writer.writerow(
                (
                    *(one.estimator, one.scene, one.condition, one.metric, one.scores.pixels),
                    *("" if value is None else f"{value:.6g}" for value in values),
                )
            )


def draw_results(path: Path, results: Sequence[DepthResult], rows: Sequence[Row]) -> None:
    """Write a PNG: a faint dot for each scene, the mean over scenes and its interval.

    Args:
        path: of the picture.
        results: of the run.
        rows: of their summary.

    Raises:
        OSError: the file cannot be written.
    """
    from PIL import Image, ImageDraw

    shown = [row for row in rows if row.condition in CONDITIONS]
    panels = [one for one in PLOTTED if any(one in row.scores for row in shown)]
    panel = TOP + LINE * len(shown) + BOTTOM
    sheet = Image.new("RGB", (WIDTH, panel * len(panels)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, score in enumerate(panels):
        _draw_panel(draw, place * panel, score, results, shown)
    with whole_file(path) as part:
        sheet.save(part, "PNG")


def _draw_panel(
    draw: "ImageDraw",
    top: int,
    score: str,
    results: Sequence[DepthResult],
    rows: Sequence[Row],
) -> None:
    """Draw one score: a line for each estimator and condition, from 0 to the worst scene."""
    every = [getattr(one.scores, score) for one in results]
    largest = max((value for value in every if value is not None), default=0.0) or 1.0
    span = WIDTH - LEFT - RIGHT
    draw.text((LEFT, top + 10), f"{SCORES[score]}, less is better", _INK, font=_font())
    bottom = top + TOP + LINE * len(rows)
    draw.rectangle((LEFT, top + TOP, WIDTH - RIGHT, bottom), outline=_GRID)
    draw.text((LEFT, bottom + 6), "0", _INK, font=_font(), anchor="ma")
    draw.text((WIDTH - RIGHT, bottom + 6), f"{largest:.3g}", _INK, font=_font(), anchor="ra")
    for place, row in enumerate(rows):
        y = top + TOP + LINE * (place + 0.5)
        colour = _COLOURS[row.condition]
        name = f"{row.estimator[-18:]}, {row.condition}".translate(_CONTROL_CHARACTERS)
        draw.text((LEFT - 10, y), name, colour, font=_font(), anchor="rm")
        for one in results:
            value = getattr(one.scores, score)
            if (one.estimator, one.condition) == (row.estimator, row.condition) and (
                value is not None
            ):
                x = LEFT + span * value / largest
                draw.ellipse((x - 2, y - 2, x + 2, y + 2), outline=_faint(colour))
        if score in row.scores:
            _draw_interval(draw, row.scores[score], span / largest, y, colour)


def _draw_interval(
    draw: "ImageDraw", found: Interval, scale: float, y: float, colour: tuple[int, int, int]
) -> None:
    low, mean, high = (LEFT + scale * value for value in (found.low, found.mean, found.high))
    draw.line((low, y, high, y), fill=colour, width=3)
    draw.ellipse((mean - 5, y - 5, mean + 5, y + 5), fill=_PAPER, outline=colour, width=2)


def _faint(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = ((one + 2 * paper) // 3 for one, paper in zip(colour, _PAPER, strict=True))
    return red, green, blue


def _font() -> "ImageFont | FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.load_default(13)
