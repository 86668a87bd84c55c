"""The command `evaluate claim`: does a defocus stack improve depth, and by how much?"""

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from itertools import product
from pathlib import Path

from ...checks import check_number
from ...depth import load_depth_estimator
from ...evaluation.claim.measure import Pair, measure_claim
from ...evaluation.claim.report import draw_claim, table, verdict, write_record
from ...evaluation.claim.runs import Arm, ClaimRun, find_runs
from ...evaluation.claim.summary import Claim, summarise_claim
from ...evaluation.depth_report import write_results
from ...evaluation.depth_run import Scene, manifest_scenes
from ...training.checkpoints import STATE
from ...training.course import PRECISIONS
from ...training.depth.settings import Settings
from ...training.manifest import REFUSE, read_manifest
from ...training.scenes import SceneSource
from ...training.scenes.source import LARGEST_RADIUS, SMALLEST_LARGEST, STRENGTHS
from ...training.scenes.textures import skimage_pictures
from ..options import OneLineParser, bad_data_options, check_folder, device_option
from ..overwriting import check_not_read
from ..progress import progress_bar
from .train.depth import VALIDATION_SEED, scenes_in_words

_SAMPLES, _SIZE, _RADIUS, _BATCH, _SEEDS = 128, 64, 10.0, 8, (0, 1, 2)
_FOCUS = {"nearest": "near", "farthest": "far"}
_WANTED_SEEDS = 3
_OF_TRAINING = ("batch", "precision", "seeds", "learning_rate")
_NOT_SHOWN = (
    "Not shown: what a stack adds to a network that was trained on many photos; real lenses; "
    "stacks of a generator with knowledge of its own."
)


def add_evaluate_claim(sets: "argparse._SubParsersAction[OneLineParser]") -> None:
    """Add `claim` to what can be evaluated."""
    parser = sets.add_parser(
        "claim",
        help="networks trained with stacks against such trained without",
        description="Compares pairs of runs of `train depth` with the same seed and options, one "
        "of them with --photo-share 1: the right stack, another scene's, a generated one, none. "
        "With --train-steps it trains the pairs first, or goes on. See docs/evaluation.md.",
    )
    add = parser.add_argument
    add("runs", type=Path, nargs="+", metavar="DIR", help="runs, or folders of runs")
    add("--samples", type=int, metavar="N", help=f"scenes; {_SAMPLES}, of a manifest all")
    add("--focus", choices=tuple(_FOCUS), default="nearest", help="what is sharp in the frames")
    add("--draws-seed", type=int, default=0, metavar="N", help="of the intervals' draws")
    add("--csv", type=Path, metavar="FILE", help="also write every single result")
    add("--plot", type=Path, metavar="FILE", help="also draw errors and learning curves, .png")
    add("--json", type=Path, metavar="FILE", help="also write numbers, settings and curves")
    data = parser.add_argument_group("scenes")
    data.add_argument("--manifest", type=Path, metavar="FILE", help=".jsonl; else made scenes")
    bad_data_options(data)
    data.add_argument("--size", type=int, metavar="PX", help=f"side of made scenes; {_SIZE}")
    data.add_argument(
        "--max-radius", type=float, metavar="PX", help=f"blur of made scenes; {_RADIUS:g}"
    )
    data.add_argument(
        "--clean", action="store_true", help="made scenes without noise, JPEG, curves and shifts"
    )
    train = parser.add_argument_group("training of the small network on made scenes")
    train.add_argument("--train-steps", type=int, metavar="N", help="of each run, all the same")
    train.add_argument("--seeds", type=int, nargs="+", metavar="N", help="0 1 2")
    train.add_argument("--batch", type=int, help="samples at once; 8")
    train.add_argument("--learning-rate", type=float, help="0.002")
    train.add_argument("--precision", choices=PRECISIONS, help="fp32")
    device_option(parser)
    parser.set_defaults(run=run_evaluate_claim)


def run_evaluate_claim(options: argparse.Namespace) -> None:
    """Run `evaluate claim`.

    Raises:
        ValueError: unusable options, runs or scenes.
        FileNotFoundError: no such file, or no run in a folder.
    """
    _check(options)
    if options.train_steps is not None:
        _train(options)
    runs = find_runs(options.runs)
    pairs = {one.seed: _pair(one.seed, runs, options) for one in runs}
    scenes, count, what = _scenes(options)
    with progress_bar("claim") as on_progress:
        results = measure_claim(
            pairs, scenes, focus=options.focus, count=count, on_progress=on_progress
        )
    claim = summarise_claim(results, seed=options.draws_seed)
    if options.csv is not None:
        write_results(options.csv, results)
    if options.plot is not None:
        draw_claim(options.plot, claim, runs)
    if options.json is not None:
        write_record(options.json, claim, runs, what)
    print("\n".join([*table(claim), "", verdict(claim), *_notes(claim, runs, what)]))


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot be done, or would be ignored, before the work."""
    for name, least in (("samples", 2), ("size", 16), ("train_steps", 1), ("batch", 1)):
        if getattr(options, name) is not None:
            check_number(getattr(options, name), name, least)
    if options.max_radius is not None:
        check_number(options.max_radius, "max_radius", SMALLEST_LARGEST, LARGEST_RADIUS)
    check_number(options.draws_seed, "draws_seed", 0, (1 << 63) - 1)
    for path in (options.csv, options.plot, options.json):
        if path is not None:
            check_folder(path)
    if options.plot is not None and options.plot.suffix.lower() != ".png":
        raise ValueError(f"plot: expected a name that ends in .png, found {options.plot.name}.")
    _check_used(options)


def _check_used(options: argparse.Namespace) -> None:
    """Refuse options that would be ignored, and training that has no place or no scenes."""
    if options.train_steps is not None and options.manifest is not None:
        raise ValueError("train_steps: trains on made scenes, not on a manifest. Leave one out.")
    if options.train_steps is not None and len(options.runs) > 1:
        raise ValueError("runs: training goes into one folder. Give one.")
    unused = {} if options.train_steps is not None else dict.fromkeys(_OF_TRAINING, "--train-steps")
    if options.manifest is None:
        unused |= dict.fromkeys(("on_bad", "outside_files"), "--manifest")
    else:
        unused |= dict.fromkeys(("size", "max_radius", "clean"), "made scenes")
    for name, wanted in unused.items():
        if getattr(options, name) not in (None, False):
            flag = "--" + name.replace("_", "-")
            raise ValueError(f"{name}: {flag} goes with {wanted}. Leave it out.")


def _train(options: argparse.Namespace) -> None:
    """Train the two runs of each seed, or go on with them; done ones are left as they are."""
    from ...training.depth.training import DepthTraining
    from ...training.depth.validation import fixed_batches
    from ...training.loop import Plan, train

    fixed = tuple(fixed_batches(_source(options, VALIDATION_SEED), 32, options.batch or _BATCH))
    for seed, arm in product(dict.fromkeys(options.seeds or _SEEDS), Arm):
        name = f"{arm.value.replace(' ', '-')}-{seed}"
        folder = options.runs[0] / name
        folder.mkdir(parents=True, exist_ok=True)
        settings = _settings(options, seed, arm)
        with progress_bar(name) as on_progress:
            train(
                DepthTraining(settings, _source(options, seed), fixed),
                Plan(folder, cpu=options.device.type == "cpu"),
                say=partial(_said_of, name),
                on_progress=on_progress,
            )


def _settings(options: argparse.Namespace, seed: int, arm: Arm) -> Settings:
    radius = options.max_radius or _RADIUS
    return Settings(
        steps=options.train_steps,
        batch=options.batch or _BATCH,
        size=options.size or _SIZE,
        photo_share=1.0 if arm is Arm.PHOTO else 0.0,
        learning_rate=options.learning_rate,
        # So that a run that goes on is the one that was told so at once.
        schedule="constant",
        precision=options.precision or PRECISIONS[0],
        seed=seed,
        data=scenes_in_words(_FOCUS[options.focus], radius, options.clean),
    )


def _source(options: argparse.Namespace, seed: int) -> SceneSource:
    return SceneSource(
        seed,
        options.size or _SIZE,
        STRENGTHS,
        _FOCUS[options.focus],
        options.max_radius or _RADIUS,
        skimage_pictures(),
        not options.clean,
    )


def _pair(seed: int, runs: Iterable[ClaimRun], options: argparse.Namespace) -> Pair:
    found = {one.arm: one for one in runs if one.seed == seed}
    for run in found.values():
        check_not_read(options, (run.weights, run.folder / STATE))
    return Pair(
        load_depth_estimator(found[Arm.STACK].weights, device=options.device),
        load_depth_estimator(found[Arm.PHOTO].weights, device=options.device),
    )


def _scenes(options: argparse.Namespace) -> tuple[Iterable[Scene], int, str]:
    """Return the scenes, how many they are at most, and a line about them."""
    if options.manifest is not None:
        on_bad = options.on_bad or REFUSE
        entries = read_manifest(
            options.manifest, on_bad=on_bad, outside=options.outside_files, report=_said
        )[: options.samples]
        for entry in entries:
            check_not_read(options, entry.files)
        scenes = manifest_scenes(entries, on_bad=on_bad, report=_said)
        return scenes, len(entries), f"manifest {options.manifest.name}"
    count = options.samples or _SAMPLES
    source = _source(options, VALIDATION_SEED)
    words = scenes_in_words(source.focus, source.largest_radius, options.clean)
    what = f"made {words}, seed {VALIDATION_SEED}, {source.size} px"
    return (Scene(f"scene {index}", source[index]) for index in range(count)), count, what


def _notes(claim: Claim, runs: Iterable[ClaimRun], what: str) -> list[str]:
    lines = [
        f"{claim.scenes} scenes: {what}; sharp where told. Brackets: 95 % over scenes; ±: seeds."
    ]
    budgets = {(one.steps, one.samples) for one in runs}
    if len(budgets) > 1:
        each = ", ".join(f"{one.arm.value} {one.seed}: {one.steps}" for one in runs)
        lines.append(f"The runs had different budgets; steps: {each}.")
    else:
        steps, samples = next(iter(budgets))
        lines.append(f"Each run: {steps} steps, {samples} pictures.")
    if claim.seeds < _WANTED_SEEDS:
        lines.append(f"Only {claim.seeds} seed{'s' * (claim.seeds > 1)}; three tell a spread.")
    return [*lines, _NOT_SHOWN]


def _said(line: str) -> None:
    print(line, file=sys.stderr)


def _said_of(name: str, line: str) -> None:
    _said(f"{name}: {line}")
