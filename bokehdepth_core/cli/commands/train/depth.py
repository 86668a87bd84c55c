"""`bokehdepth train depth`: a depth network trained on made scenes or on a manifest."""

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path

from ....checks import check_number
from ....training.depth.batches import ManifestSource
from ....training.depth.settings import LOSSES, Settings
from ....training.feeding import Source
from ....training.manifest import REFUSE, read_manifest
from ....training.samples import Sample
from ....training.scenes import SceneSource
from ....training.scenes.source import FOCUS, LARGEST_RADIUS, STRENGTHS
from ....training.scenes.textures import folder_pictures, skimage_pictures
from ....weights.published import DEPTH, find_weights
from ...options import OneLineParser, bad_data_options
from ...progress import progress_bar
from .course import check_run, course_options, plan_of

VALIDATION_SEED = 1_000_003  # of the fixed scenes; no run may train on them
_NAN = ("refuse", "unknown")


def add_train_depth(kinds: "argparse._SubParsersAction[OneLineParser]") -> None:
    """Add `depth` to what can be trained."""
    depth = kinds.add_parser(
        "depth",
        help="a depth network that reads bokeh stacks",
        description="Trains on made scenes, or on a manifest of files. Goes on where the output "
        "folder was left; processes of accelerate launch share the work. See docs/training.md.",
    )
    add = depth.add_argument
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="checkpoints and history")
    _add_data(depth)
    _add_training(depth)
    depth.set_defaults(run=run_train_depth)


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    add = group.add_argument
    add("--manifest", type=Path, metavar="FILE", help=".jsonl of samples; left out: made scenes")
    add("--validate", type=Path, metavar="FILE", help="manifest to validate on; else fixed scenes")
    bad_data_options(group)
    add("--nan-depth", choices=_NAN, help="of a manifest: NaN refused (default), or not measured")
    add("--assume-focus", choices=("nearest", "farthest"), help="where a manifest says no focus")
    add("--focus", choices=FOCUS, help="of made scenes: where they are sharp; else all of them")
    add("--textures", type=Path, metavar="DIR", help="pictures for the surfaces of made scenes")
    add("--max-radius", type=float, metavar="PX", help=f"of made scenes; {LARGEST_RADIUS:g}")
    add("--clean", action="store_true", help="made scenes without noise, JPEG, curves and shifts")


def _add_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    add, default = group.add_argument, Settings()
    course_options(group, default)
    add(
        "--encoder",
        default=default.encoder,
        metavar="FILE",
        help="depth network to start from, or small",
    )
    add("--stages", type=_dsfa_stages, help="0-based, that get DSFA where the file has none; 2,3")
    add(
        "--max-depth",
        type=float,
        metavar="M",
        help="range of a Depth Anything; else its own, or 80",
    )
    add("--size", type=int, default=default.size, metavar="PX", help="side of the pictures")
    add("--loss", choices=LOSSES, default=default.loss, help="rho: blur in px; silog: metres")
    add("--silog-lambda", type=float, default=default.silog_lambda, help="0.5; UniDepth: 0.15")
    add("--photo-share", type=float, default=default.photo_share, help="of updates without stack")
    add("--learning-rate", type=float, help="small: 0.002; of a file: 5e-6")
    add("--encoder-rate", type=float, default=1.0, help="factor for the encoder; 0 freezes it")
    add("--dsfa-rate", type=float, help="factor for DSFA; 10 beside a file's encoder, else 1")
    add("--k-scale", type=float, default=default.k_scale, help="factor of K within DSFA; 1/30")
    add("--alibi", type=float, default=default.alibi, help="of DSFA, for K after --k-scale")
    add("--validation-samples", type=int, default=32, metavar="N", help="fixed ones; 2 or more")
    add("--workers", type=int, default=0, metavar="N", help="processes that make samples ahead")


def _dsfa_stages(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part in ("0", "1", "2", "3") for part in parts) or parts != sorted(set(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} are no stages; write some of 0,1,2,3")
    return tuple(map(int, parts))


def run_train_depth(options: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        ValueError: unusable options or data.
        FileNotFoundError: no such file.
    """
    check_run(options)
    check_number(options.workers, "workers", 0)
    check_number(options.validation_samples, "validation_samples", 2)
    _check_used(options)
    settings = _settings(options)
    from ....training.depth.training import DepthTraining
    from ....training.depth.validation import fixed_batches
    from ....training.loop import train

    source = _source(options, settings)
    fixed = []
    if os.environ.get("RANK", "0") == "0":  # the one process that validates
        fixed = fixed_batches(
            _validation(options, settings, source), options.validation_samples, settings.batch
        )
    training = DepthTraining(settings, source, tuple(fixed), options.workers)
    with progress_bar("train") as on_progress:
        run = train(training, plan_of(options), say=print, on_progress=on_progress)
    print(f"{options.output}: depth.safetensors after {run.step} steps, history.csv, history.png")


def _settings(options: argparse.Namespace) -> Settings:
    names = {one.name for one in fields(Settings)} - {"data", "stages", "encoder"}
    encoder = options.encoder
    if encoder != "small":
        encoder = str(find_weights(encoder, DEPTH))
    chosen = {name: getattr(options, name) for name in names}
    if options.stages is not None:
        chosen["stages"] = options.stages
    return Settings(**chosen, encoder=encoder, data=_in_words(options))


def _in_words(options: argparse.Namespace) -> str:
    """Return what the samples are, so that a run goes on with the same ones only."""
    if options.manifest is not None:
        return f"manifest {options.manifest.name}"
    textures = None if options.textures is None else options.textures.name
    return scenes_in_words(options.focus, options.max_radius, options.clean, textures)


def scenes_in_words(
    focus: str | None, max_radius: float | None, clean: bool, textures: str | None = None
) -> str:
    """Return what made scenes are, as a run records it."""
    parts = [f"focus {focus or 'all'}", f"radius {max_radius or LARGEST_RADIUS:g}"]
    parts += ["clean"] if clean else []
    parts += [f"textures {textures}"] if textures is not None else []
    return f"scenes, {', '.join(parts)}"


def _check_used(options: argparse.Namespace) -> None:
    """Refuse options of the data that are not used, which would be ignored."""
    of_files = ("on_bad", "outside_files", "nan_depth", "assume_focus")
    of_scenes = ("focus", "textures", "max_radius", "clean")
    files = options.manifest is not None or options.validate is not None
    unused = [*(() if files else of_files), *(of_scenes if options.manifest is not None else ())]
    if options.encoder == "small":
        unused += ["stages", "max_depth"]
    for name in unused:
        if getattr(options, name) not in (None, False):
            flag = "--" + name.replace("_", "-")
            what = "a manifest" if name in of_files else "made scenes"
            what = "a depth network's file" if name in ("stages", "max_depth") else what
            raise ValueError(f"{name}: {flag} is for {what}. Leave it out.")


def _source(options: argparse.Namespace, settings: Settings) -> Source[Sample]:
    if options.manifest is not None:
        return _files(options, settings, options.manifest)
    pictures = skimage_pictures()
    if options.textures is not None:
        pictures = folder_pictures(options.textures)
    return SceneSource(
        settings.seed,
        settings.size,
        STRENGTHS,
        options.focus,
        LARGEST_RADIUS if options.max_radius is None else options.max_radius,
        pictures,
        not options.clean,
    )


def _files(options: argparse.Namespace, settings: Settings, manifest: Path) -> ManifestSource:
    on_bad = options.on_bad or REFUSE
    entries = read_manifest(manifest, on_bad=on_bad, outside=options.outside_files, report=_said)
    return ManifestSource(
        entries,
        settings.seed,
        settings.size,
        on_bad,
        options.nan_depth == "unknown",
        settings.assume_focus,
        _said,
    )


def _validation(
    options: argparse.Namespace, settings: Settings, source: Source[Sample]
) -> Source[Sample]:
    """Return what is validated on: a manifest, or scenes that no run trains on."""
    if options.validate is not None:
        return _files(options, settings, options.validate)
    if isinstance(source, SceneSource):
        return SceneSource(
            VALIDATION_SEED,
            settings.size,
            source.strengths,
            source.focus,
            source.largest_radius,
            source.pictures,
            source.disturb,
        )
    return SceneSource(VALIDATION_SEED, settings.size)


def _said(line: str) -> None:
    print(line, file=sys.stderr)
