"""The command `evaluate depth`: with the stack, without it, and with that of another scene."""

import argparse
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ...checks import check_number
from ...depth import BUILT_IN, DepthEstimator, load_depth_estimator
from ...depth.sweep.messages import collected
from ...evaluation.depth_report import draw_results, table, write_results
from ...evaluation.depth_run import (
    CONDITIONS,
    DepthResult,
    Scene,
    manifest_scenes,
    run_depth_evaluation,
)
from ...evaluation.depth_scores import ALIGNMENTS
from ...evaluation.depth_summary import summarise
from ...evaluation.photo_sets import HOW_TO_GET, find_photos
from ...training.manifest import REFUSE, read_manifest
from ...training.scenes import SceneSource
from ...training.scenes.textures import skimage_pictures
from ...weights.published import DEPTH, find_weights
from ..options import OneLineParser, bad_data_options, check_folder, device_option
from ..overwriting import check_not_read
from ..progress import progress_bar
from .train.depth import VALIDATION_SEED

_SAMPLES, _SIZE = 32, 64
_FOCUS = {"nearest": "near", "farthest": "far"}
_NAN = ("refuse", "unknown")
_SETS = tuple(HOW_TO_GET)
# Options by the data that they are for.
_ONLY_FOR = {
    "a manifest": ("outside_files", "nan_depth"),
    "made scenes": ("size", "clean"),
    "a set of photos": ("eigen_crop", "longest"),
}


def add_evaluate_depth(sets: "argparse._SubParsersAction[OneLineParser]") -> None:
    """Add `depth` to what can be evaluated."""
    parser = sets.add_parser(
        "depth",
        help="depth networks and the sweep, with a stack, without, and with a wrong one",
        description="Scores of depth with intervals over scenes, on the fixed made scenes, a "
        "manifest of files or a published set of photos. See docs/evaluation.md.",
    )
    add = parser.add_argument
    what = "depth checkpoints: paths or names of `weights list`; built-in (default): the sweep"
    add("--checkpoint", nargs="+", default=[BUILT_IN], metavar="FILE", help=what)
    add("--align", choices=ALIGNMENTS, default="affine", help="before depth is compared; affine")
    what = "what is sharp in the frames: estimators are told, made scenes are made so"
    add("--focus", choices=tuple(_FOCUS), default="nearest", help=what)
    add("--samples", type=int, metavar="N", help=f"only the first N; of made scenes, {_SAMPLES}")
    add("--seed", type=int, default=0, help="of the intervals' draws")
    add("--csv", type=Path, metavar="FILE", help="also write every single result")
    add("--plot", type=Path, metavar="FILE", help="also draw them, .png")
    data = parser.add_argument_group("data")
    which = data.add_mutually_exclusive_group()
    which.add_argument("--manifest", type=Path, metavar="FILE", help=".jsonl; else made scenes")
    for name, title in (("nyu", "NYUv2"), ("ibims", "iBims-1"), ("eth3d", "ETH3D")):
        what = f"{title} on disk, photos without stacks: {HOW_TO_GET[name]}"
        which.add_argument(f"--{name}", type=Path, metavar="DIR", help=what)
    bad_data_options(data)
    data.add_argument("--nan-depth", choices=_NAN, help="NaN refused (default), or not measured")
    data.add_argument("--size", type=int, metavar="PX", help=f"side of made scenes; {_SIZE}")
    data.add_argument(
        "--clean", action="store_true", help="made scenes without noise, JPEG, curves and shifts"
    )
    what = "compare the middle of NYUv2 that most papers do"
    data.add_argument("--eigen-crop", action="store_true", help=what)
    what = "of a set: bring larger photos to it, depth by the nearest pixel"
    data.add_argument("--longest", type=int, metavar="PX", help=what)
    device_option(parser)
    parser.set_defaults(run=run_evaluate_depth)


def run_evaluate_depth(options: argparse.Namespace) -> None:
    """Run `evaluate depth`.

    Raises:
        ValueError: unusable options or data.
        FileNotFoundError: no such file.
    """
    _check(options)
    estimators = _estimators(options)
    scenes, count, what = _scenes(options)
    with collected(lowest=logging.WARNING) as said, progress_bar("evaluate") as on_progress:
        results = run_depth_evaluation(
            estimators,
            scenes,
            align=options.align,
            focus=options.focus,
            on_bad=options.on_bad or REFUSE,
            report=_said,
            count=count,
            on_progress=on_progress,
        )
    if said:
        _said(f"the sweep warned {len(said)} times; the first time: {said[0].getMessage()}")
    if not results:
        raise ValueError("scenes: none of them could be used. The lines above say why.")
    rows = summarise(results, seed=options.seed)
    if options.csv is not None:
        write_results(options.csv, results)
    if options.plot is not None:
        draw_results(options.plot, results, rows)
    print("\n".join(table(rows)))
    print("\n".join(["", *_notes(options, results, what)]))


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot be done, or would be ignored, before the work."""
    for name, least in (("samples", 1), ("size", 16)):
        if getattr(options, name) is not None:
            check_number(getattr(options, name), name, least)
    check_number(options.seed, "seed", 0, (1 << 63) - 1)
    for path in (options.csv, options.plot):
        if path is not None:
            check_folder(path)
    if options.plot is not None and options.plot.suffix.lower() != ".png":
        raise ValueError(f"plot: expected a name that ends in .png, found {options.plot.name}.")
    _check_used(options)


def _check_used(options: argparse.Namespace) -> None:
    """Refuse options of other data, and a sweep where there is no stack."""
    photos = _set_of(options)
    chosen = "a manifest" if options.manifest is not None else "made scenes"
    chosen = "a set of photos" if photos is not None else chosen
    unused = {name: what for what, names in _ONLY_FOR.items() if what != chosen for name in names}
    if chosen == "made scenes":
        unused["on_bad"] = "a manifest"
    for name, what in unused.items():
        if getattr(options, name) not in (None, False):
            flag = "--" + name.replace("_", "-")
            raise ValueError(f"{name}: {flag} is for {what}. Leave it out.")
    if photos is not None and BUILT_IN in options.checkpoint:
        raise ValueError(
            f"checkpoint: {BUILT_IN} needs a stack, which --{photos} has not. Give a network."
        )


def _set_of(options: argparse.Namespace) -> str | None:
    """Return which set of photos was chosen."""
    return next((name for name in _SETS if getattr(options, name) is not None), None)


def _estimators(options: argparse.Namespace) -> dict[str, DepthEstimator]:
    """Return the estimators by the names of the table, which tell files of one name apart."""
    found: dict[str, DepthEstimator] = {}
    for source in dict.fromkeys(options.checkpoint):
        path = source if source == BUILT_IN else find_weights(source, DEPTH)
        name = source if len(options.checkpoint) > 1 else Path(source).name
        found[name] = load_depth_estimator(path, device=options.device)
    return found


def _scenes(options: argparse.Namespace) -> tuple[Iterable[Scene], int, str]:
    """Return the scenes, how many they are at most, and a line about them."""
    if options.manifest is not None:
        on_bad = options.on_bad or REFUSE
        entries = read_manifest(
            options.manifest, on_bad=on_bad, outside=options.outside_files, report=_said
        )[: options.samples]
        for entry in entries:
            check_not_read(options, entry.files)
        unknown = options.nan_depth == "unknown"
        scenes = manifest_scenes(entries, on_bad=on_bad, nan_is_unknown=unknown, report=_said)
        return scenes, len(entries), f"manifest {options.manifest.name}"
    kind = _set_of(options)
    if kind is not None:
        return _photos(options, kind)
    count, size = options.samples or _SAMPLES, options.size or _SIZE
    pictures = skimage_pictures()
    source = SceneSource(
        VALIDATION_SEED,
        size,
        focus=_FOCUS[options.focus],
        pictures=pictures,
        disturb=not options.clean,
    )
    textures = "with" if pictures else "without"
    what = (
        f"made scenes of seed {VALIDATION_SEED}, {size} px, {textures} scikit-image's photographs"
    )
    return (Scene(f"scene {index}", source[index]) for index in range(count)), count, what


def _photos(options: argparse.Namespace, kind: str) -> tuple[Iterable[Scene], int, str]:
    """Return the photos of a set, how many, and a line about them."""
    found = find_photos(
        getattr(options, kind), kind, eigen_crop=options.eigen_crop, longest=options.longest
    )
    found = replace(found, photos=found.photos[: options.samples])
    for one in found.photos:
        check_not_read(options, one.files)
    what = f"{len(found.photos)} photos of {kind}" + ", Eigen crop" * options.eigen_crop
    scenes = found.scenes(options.on_bad or REFUSE, _said)
    return scenes, len(found.photos), what


def _notes(options: argparse.Namespace, results: Sequence[DepthResult], what: str) -> list[str]:
    """Return what the numbers are of, and which of them are not there and why."""
    lines = [
        f"{what}; aligned: {options.align}; sharp: {options.focus}. Intervals: 95 %, over scenes."
    ]
    for name in dict.fromkeys(one.estimator for one in results):
        own = [one for one in results if one.estimator == name]
        missing = [one for one in CONDITIONS if not any(own_.condition == one for own_ in own)]
        if missing:
            lines.append(f"{name}: cannot be asked, or has no data for: {', '.join(missing)}.")
        relative = {one.condition for one in own if not one.metric}
        if relative and options.align != "affine":
            lines.append(
                f"{name}: no metres in {', '.join(sorted(relative))}; compared by the affine error."
            )
    return lines


def _said(line: str) -> None:
    print(line, file=sys.stderr)
