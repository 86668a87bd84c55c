"""The command `evaluate generator`: does the blur of generated stacks obey K?"""

import argparse
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...checks import check_number, parse_strengths
from ...color import convert_color
from ...datatypes import BokehStack, DepthMap
from ...depth.sweep.calibration import check_calibratable
from ...depth.sweep.messages import collected
from ...evaluation.generator.report import StackResult, draw_results, table, write_results
from ...evaluation.generator.scores import Truth, score_stack, truth_of
from ...files.atomic import inputs_kept
from ...generator.rendered import RenderedStackGenerator
from ...optics.focus.subject import find_subject
from ...training.manifest import REFUSE
from ...weights.published import BUILT_IN
from ..inputs import add_depth_reading_options, depth_of
from ..options import (
    OneLineParser,
    add_generator_options,
    bad_data_options,
    check_folder,
    device_option,
)
from ..photos import read_photo_for
from ..progress import progress_bar
from .stack import Make, stack_maker
from .stack_folder import Item, folder_items

RENDERED = "rendered"


def add_evaluate_generator(sets: "argparse._SubParsersAction[OneLineParser]") -> None:
    """Add `generator` to what can be evaluated."""
    parser = sets.add_parser(
        "generator",
        help="whether the blur of bokeh stacks obeys their strengths",
        description="Makes a stack of each photo of a folder and measures it, beside frames that "
        "are rendered from its depth. See docs/evaluation.md.",
    )
    add = parser.add_argument
    add("folder", type=Path, help="of photos")
    add("--depth", type=Path, metavar="DIR", help="depth files of the same names")
    add("--strengths", default="10, 20, 30", help='px·m; "10, 20, 30"')
    add("--photos", type=int, metavar="N", help="only the first N")
    add("--csv", type=Path, metavar="FILE", help="also write every stack's figures")
    add("--plot", type=Path, metavar="FILE", help="also draw K shown against K asked for, .png")
    bad_data_options(parser)
    add_generator_options(parser)
    add_depth_reading_options(parser)
    device_option(parser)
    parser.set_defaults(run=run_evaluate_generator)


def run_evaluate_generator(options: argparse.Namespace) -> None:
    """Run `evaluate generator`.

    Raises:
        ValueError: unusable options or data.
        FileNotFoundError: no such file.
    """
    strengths = _check(options)
    skipped: list[str] = []
    items = folder_items(_as_stack(options), options.on_bad or REFUSE, skipped)[: options.photos]
    makes = _makes(options)
    results: list[StackResult] = []
    with collected(lowest=logging.WARNING), progress_bar("evaluate") as on_progress:
        for done, item in enumerate(items):
            on_progress(done, len(items))
            try:
                results += _measured(options, item, strengths, makes)
            except (ValueError, OSError) as error:
                if options.on_bad != "skip":
                    raise ValueError(f"{item.photo.name}: {error}") from error
                skipped.append(f"skipped {item.photo.name}: {error}")
    for line in skipped:
        print(line, file=sys.stderr)
    if not results:
        raise ValueError(f"folder: no photo of {options.folder} could be used. See above.")
    with inputs_kept(file for one in items for file in (one.photo, one.depth) if file is not None):
        if options.csv is not None:
            write_results(options.csv, results)
        if options.plot is not None:
            draw_results(options.plot, results)
    print("\n".join([*table(results, options.seed or 0), "", *_notes(options)]))


def _check(options: argparse.Namespace) -> tuple[float, ...]:
    """Return the strengths, after refusing what cannot be done or would be ignored."""
    strengths = parse_strengths(options.strengths)
    check_calibratable(strengths)
    if not options.folder.is_dir():
        raise ValueError(f"folder: {options.folder} is no folder. Give one of photos.")
    if options.outside_files:
        raise ValueError("outside_files: is for a manifest, and this is a folder.")
    if options.photos is not None:
        check_number(options.photos, "photos", 1)
    for path in (options.csv, options.plot):
        if path is not None:
            check_folder(path)
    if options.plot is not None and options.plot.suffix.lower() != ".png":
        raise ValueError(f"plot: expected a name that ends in .png, found {options.plot.name}.")
    if options.adapter == BUILT_IN and options.depth is None:
        raise ValueError("adapter: give one with --base-model, or --depth to render from.")
    if options.adapter == BUILT_IN and options.base_model is not None:
        raise ValueError("base_model: goes with --adapter, which was not given.")
    return strengths


def _as_stack(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options as the command `stack` has them."""
    return argparse.Namespace(
        **{**vars(options), "image": options.folder, "output": Path("out.png")},
    )


def _makes(options: argparse.Namespace) -> dict[str, Make]:
    """Return what makes stacks, by the names of the table."""
    if options.adapter == BUILT_IN:
        return {}
    steps = options.steps or (20 if options.fast else 50)
    return {f"{Path(options.adapter).stem}, {steps} steps": stack_maker(options)}


@dataclass(frozen=True, eq=False)
class _Photo:
    """A photo, and what its depth says of it."""

    image: Tensor
    depth: DepthMap | None = None
    focus_depth: float | None = None
    truth: Truth | None = None


def _measured(
    options: argparse.Namespace, item: Item, strengths: tuple[float, ...], makes: dict[str, Make]
) -> list[StackResult]:
    """Return the results of one photo: of the generator and, with depth, of rendered frames."""
    own = argparse.Namespace(**{**vars(_as_stack(options)), "image": item.photo})
    own.depth, own.color_space = item.depth, None
    photo = _photo_of(own)
    found = []
    for name, make in makes.items():
        stack = make(own, photo.image, strengths, None)
        found.append(_result(name, item, stack, photo))
    if photo.depth is not None:
        renderer = RenderedStackGenerator(torch.device(options.device))
        stack = renderer.generate(
            photo.image, strengths, depth=photo.depth, focus_depth=photo.focus_depth
        )
        found.append(_result(RENDERED, item, stack, photo))
    return found


def _photo_of(options: argparse.Namespace) -> _Photo:
    read = read_photo_for(options)
    image = convert_color(read.image, read.color_space, "sRGB").clamp(0, 1)
    if options.depth is None:
        return _Photo(image)
    depth = depth_of(options, options.depth, image[None], said=False)
    focus = float(find_subject(image[None], depth.depth).focus_depth[0])
    return _Photo(image, depth, focus, truth_of(depth, focus))


def _result(name: str, item: Item, stack: BokehStack, photo: _Photo) -> StackResult:
    return StackResult(name, item.photo.name, stack.strengths, score_stack(stack, photo.truth))


def _notes(options: argparse.Namespace) -> list[str]:
    """Return what the numbers mean, and which of them are not there and why."""
    lines = [
        "Intervals: 95 %, over photos. R², slope and monotony after alignment; slope: blur over "
        "K·|d - d_f| of the depth."
    ]
    if options.depth is None:
        lines.append("Without --depth there is no slope, no subject and nothing rendered.")
    return lines
