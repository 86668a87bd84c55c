"""The command `evaluate`: measures against data whose truth is known; `zedd` in full."""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from ...checks import check_number
from ...evaluation.zedd import APERTURES, HOW_TO_GET, find_scenes
from ...evaluation.zedd_run import TASKS, ZeddOptions, ZeddResult
from ...files.atomic import whole_file
from ..options import OneLineParser, check_folder, device_option
from ..progress import progress_bar
from .evaluate_claim import add_evaluate_claim
from .evaluate_depth import add_evaluate_depth
from .evaluate_generator import add_evaluate_generator

# FOSSA ViT-B, five frames at f/2.8, on `val`: github.com/princeton-vl/FOSSA, README.
PUBLISHED = ("published: FOSSA ViT-B, five frames", "2.8", "0.096", "0.432", "0.810", "0.919")
_COLUMNS = ("AbsRel", "δ1.05", "δ1.15", "δ1.25", "AUSE", "PSNR", "SSIM", "radius")
_NAMES = ("abs_rel", "delta_105", "delta_115", "delta_125", "ause", "psnr", "ssim", "radius_ratio")


def add_evaluate_commands(commands: "argparse._SubParsersAction[OneLineParser]") -> None:
    """Add `evaluate` and its data sets to the program's commands."""
    evaluate = commands.add_parser("evaluate", help="measure against data whose truth is known")
    sets = evaluate.add_subparsers(required=True, metavar="data")
    add_evaluate_depth(sets)
    add_evaluate_claim(sets)
    add_evaluate_generator(sets)
    zedd = sets.add_parser(
        "zedd",
        help="real focus and aperture brackets with LiDAR depth",
        description="Depth from aperture brackets and focus stacks, the renderer and the lens "
        f"formula on the ZEDD data set. {HOW_TO_GET}.",
    )
    add = zedd.add_argument
    add("folder", type=Path, help="the data set's, with metadata.txt and val/")
    add("--what", nargs="+", choices=tuple(TASKS), default=tuple(TASKS), help="default: all")
    add("--scenes", type=int, metavar="N", help="only the first N")
    add("--height", type=int, default=480, metavar="PX", help="of the pictures; 480 as published")
    add("--f-number", type=float, choices=APERTURES, default=2.8, help="of stacks and renders")
    add("--frames", type=int, default=5, metavar="N", help="of a focus stack")
    add("--focal-length-mm", type=float, metavar="MM", help="of the lens; else from K.txt")
    add("--sensor-width-mm", type=float, default=36.0, metavar="MM", help="of the camera")
    add("--csv", type=Path, metavar="FILE", help="also write every single result")
    device_option(zedd)
    zedd.set_defaults(run=run_zedd)


def run_zedd(options: argparse.Namespace) -> None:
    """Run `evaluate zedd`.

    Raises:
        ValueError: unusable options or files.
        FileNotFoundError: no data set in the folder.
    """
    if options.csv is not None:
        check_folder(options.csv)
    chosen = _options(options)
    scenes = find_scenes(options.folder)[: options.scenes]
    results: list[ZeddResult] = []
    with progress_bar("zedd") as on_progress:
        for index, scene in enumerate(scenes):
            for done, task in enumerate(options.what):
                on_progress(index * len(options.what) + done, len(scenes) * len(options.what))
                results += TASKS[task](scene, chosen, lambda: None)
    if options.csv is not None:
        _write_csv(options.csv, results)
    print("\n".join(_table(results)))
    notes = [f"{one.scene}, {one.kind}: {one.note}" for one in results if one.note]
    print("\n".join(dict.fromkeys(notes)), end="\n" if notes else "")
    count = f"{len(scenes)} scene{'s' * (len(scenes) != 1)}"
    print(f"\n{count}. Both kinds of stack see f/16 as their sharp picture; FOSSA does not.")


def _options(options: argparse.Namespace) -> ZeddOptions:
    for name, least in (("height", 64), ("frames", 2), ("scenes", 1)):
        value = getattr(options, name)
        if value is not None:
            check_number(value, name, least)
    for name in ("focal_length_mm", "sensor_width_mm"):
        value = getattr(options, name)
        if value is not None:
            check_number(value, name, above=0)
    return ZeddOptions(
        options.height,
        options.f_number,
        options.frames,
        options.focal_length_mm,
        options.sensor_width_mm,
        options.device,
    )


def _table(results: Sequence[ZeddResult]) -> list[str]:
    """Return lines of means over scenes, for each kind and f-number."""
    rows: list[tuple[str, ...]] = [("means over scenes", "f/", *_COLUMNS)]
    for kind, number in dict.fromkeys((one.kind, one.f_number) for one in results):
        same = [one for one in results if (one.kind, one.f_number) == (kind, number)]
        means = (_mean([_values(one)[index] for one in same]) for index in range(len(_NAMES)))
        rows.append((kind, "all" if number is None else f"{number:g}", *means))
    if any(one.kind == "focus stack" for one in results):
        rows.append((*PUBLISHED, *("",) * (len(rows[0]) - len(PUBLISHED))))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.3f}" if known else ""


def _values(result: ZeddResult) -> list[float | None]:
    """Return the numbers of a result in the order of the columns."""
    return [
        getattr(result, name) if hasattr(result, name) else getattr(result.depth, name, None)
        for name in _NAMES
    ]


def _write_csv(path: Path, results: Sequence[ZeddResult]) -> None:
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("scene", "kind", "f_number", "focus_m", *_NAMES, "pixels", "note"))
        for one in results:
            pixels = "" if one.depth is None else one.depth.pixels
            cells = ("" if value is None else f"{value:.6g}" for value in _values(one))
            writer.writerow(
                (
                    *(one.scene, one.kind, one.f_number or "", one.focus_m or ""),
                    *(*cells, pixels, one.note),
                )
            )
