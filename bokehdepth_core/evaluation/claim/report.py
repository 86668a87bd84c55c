"""The claim for people and for records: a table of text, JSON, and a picture."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...files.atomic import whole_file
from ..bootstrap import Interval
from ..depth_run import NONE, SHUFFLED, STACK
from .measure import GENERATED
from .runs import Arm, ClaimRun
from .summary import SCORES, WANTED, WANTED_AT_MOST, Claim, Spread

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

ROWS = {
    STACK: "trained with stacks, right stack",
    SHUFFLED: "trained with stacks, another scene's",
    GENERATED: "trained with stacks, generated one",
    NONE: "trained without stacks, photo alone",
}
WIDTH, LEFT, RIGHT, TOP, LINE, CURVES, GAP = 760, 250, 24, 40, 34, 220, 56  # px
_PAPER, _INK, _GRID = (250, 249, 246), (28, 28, 32), (224, 222, 216)
_COLOURS = dict(
    zip(ROWS, ((196, 78, 30), (110, 110, 118), (150, 110, 170), (40, 104, 160)), strict=True)
)
_CURVES = {Arm.STACK: ("stack", _COLOURS[STACK]), Arm.PHOTO: ("photo", _COLOURS[NONE])}


def table(claim: Claim) -> list[str]:
    """Return lines of text: what was looked at down, scores across, then the ratios.

    Brackets are intervals over scenes; after `±` stands half the distance between the lowest and
    the highest seed.
    """
    shown = [score for score in SCORES if score in claim.scores]
    cells = [["error", *(SCORES[score] for score in shown)]]
    for condition, words in ROWS.items():
        cells.append([words, *(_cell(claim.scores[score][condition]) for score in shown)])
    cells.append(["over the last row's", *("" for _ in shown)])
    for condition in claim.ratios["affine_error"]:
        found = [
            _cell(claim.ratios[score][condition]) if score in claim.ratios else ""
            for score in shown
        ]
        cells.append([ROWS[condition], *found])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def verdict(claim: Claim) -> str:
    """Return one line: is the claim's number reached?"""
    found = claim.ratios["affine_error"][STACK].interval
    return (
        f"The right stack brings the error to {found.mean:.2f} of that without stacks, interval "
        f"{found.low:.2f} to {found.high:.2f}; wanted: {WANTED:g}, below {WANTED_AT_MOST:g}: "
        f"{'reached' if claim.is_reached else 'not reached'}."
    )


def _cell(found: Spread) -> str:
    text = f"{found.interval.mean:.3f} [{found.interval.low:.3f}, {found.interval.high:.3f}]"
    return f"{text} ±{_half_range(found):.3f}" if len(found.seeds) > 1 else text


def _half_range(found: Spread) -> float:
    return (max(found.seeds) - min(found.seeds)) / 2


def write_record(path: Path, claim: Claim, runs: Sequence[ClaimRun], scenes: str) -> None:
    """Write everything as JSON, whole or not at all: runs with their settings, curves and numbers.

    Raises:
        OSError: the file cannot be written.
    """
    record = {
        "scenes": {"what": scenes, "count": claim.scenes},
        "scores": {score: _record(found) for score, found in claim.scores.items()},
        "ratios": {score: _record(found) for score, found in claim.ratios.items()},
        "reached": claim.is_reached,
        "runs": [
            {
                "arm": run.arm.value,
                "seed": run.seed,
                "steps": run.steps,
                "samples": run.samples,
                "settings": run.settings,
                "history": list(run.history),
            }
            for run in runs
        ],
    }
    with whole_file(path) as part:
        part.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _record(found: dict[str, Spread]) -> dict[str, object]:
    return {
        condition: {
            "mean": round(one.interval.mean, 5),
            "interval": [round(one.interval.low, 5), round(one.interval.high, 5)],
            "seeds": [round(value, 5) for value in one.seeds],
        }
        for condition, one in found.items()
    }


def draw_claim(path: Path, claim: Claim, runs: Sequence[ClaimRun]) -> None:
    """Write a PNG: the four errors with interval and seeds; below, the course of the training.

    Raises:
        OSError: the file cannot be written.
    """
    from PIL import Image, ImageDraw

    top = TOP + LINE * len(ROWS) + GAP
    sheet = Image.new("RGB", (WIDTH, top + TOP + CURVES + GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _draw_errors(draw, claim)
    _draw_curves(draw, top, runs)
    with whole_file(path) as part:
        sheet.save(part, "PNG")


def _draw_errors(draw: "ImageDraw", claim: Claim) -> None:
    found = claim.scores["affine_error"]
    largest = 1.1 * max(max(one.interval.high, *one.seeds) for one in found.values()) or 1.0
    bottom, right = TOP + LINE * len(ROWS), WIDTH - RIGHT
    scale = (right - LEFT) / largest
    title = "error of disparity after the best scale and offset, over its range"
    draw.text((LEFT, 12), title, _INK, font=_font())
    draw.rectangle((LEFT, TOP, right, bottom), outline=_GRID)
    draw.text((LEFT, bottom + 6), "0", _INK, font=_font(), anchor="ma")
    draw.text((right, bottom + 6), f"{largest:.3g}", _INK, font=_font(), anchor="ra")
    for place, (condition, words) in enumerate(ROWS.items()):
        y, colour = TOP + LINE * (place + 0.5), _COLOURS[condition]
        draw.text((LEFT - 10, y), words, colour, font=_font(), anchor="rm")
        _draw_interval(draw, found[condition].interval, scale, y, colour)
        for value in found[condition].seeds:
            x = LEFT + scale * value
            draw.line((x, y - 9, x, y + 9), fill=colour, width=1)


def _draw_interval(
    draw: "ImageDraw", found: Interval, scale: float, y: float, colour: tuple[int, int, int]
) -> None:
    low, mean, high = (LEFT + scale * value for value in (found.low, found.mean, found.high))
    draw.line((low, y, high, y), fill=colour, width=3)
    draw.ellipse((mean - 5, y - 5, mean + 5, y + 5), fill=_PAPER, outline=colour, width=2)


def _draw_curves(draw: "ImageDraw", top: int, runs: Sequence[ClaimRun]) -> None:
    """Draw the validation error of every run over its steps, from 0."""
    curves = []
    for run in runs:
        column, colour = _CURVES[run.arm]
        curves.append(([(one["step"], one[column]) for one in run.history], colour))
    every = [point for points, _ in curves for point in points]
    last = max((step for step, _ in every), default=1.0) or 1.0
    largest = 1.1 * max((value for _, value in every), default=1.0) or 1.0
    draw.text((64, top + 12), "the same while training, a curve for each run", _INK, font=_font())
    left, right, bottom = 64, WIDTH - RIGHT, top + TOP + CURVES
    draw.rectangle((left, top + TOP, right, bottom), outline=_GRID)
    for value, y in ((largest, top + TOP), (0.0, bottom)):
        draw.text((left - 8, y), f"{value:.2g}", _INK, font=_font(), anchor="rm")
    draw.text((right, bottom + 6), f"{last:g} steps", _INK, font=_font(), anchor="ra")
    for points, colour in curves:
        drawn = [
            (left + (right - left) * step / last, bottom - CURVES * value / largest)
            for step, value in points
        ]
        draw.line(drawn, fill=colour, width=2, joint="curve")
        for at, height in drawn:
            draw.ellipse((at - 2, height - 2, at + 2, height + 2), fill=colour)


def _font() -> "ImageFont | FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.load_default(13)
