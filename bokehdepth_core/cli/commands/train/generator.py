"""`bokehdepth train generator`: a bokeh adapter trained on a frozen FLUX."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ....checks import check_number
from ....datatypes import BokehStack
from ....training.generator.cache import Cache, file_digest, fingerprint, key_of
from ....training.generator.flow import TIMES, collate
from ....training.generator.settings import GeneratorSettings
from ....training.manifest import REFUSE, Entry, read_manifest
from ....training.processes import Processes, this_process
from ....weights.published import ADAPTER, BASE_MODEL, find_weights
from ...options import OneLineParser, bad_data_options
from ...progress import progress_bar
from .course import check_run, course_options, plan_of

if TYPE_CHECKING:
    from ....training.generator.pairs import Preparation, Scene
    from ....training.generator.source import PairSource
    from ....training.generator.training import GeneratorTraining
    from ....training.generator.validation import Samples

_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
_MOST_SHOWN = 3  # frames of a sampled stack
_NOT_OPTIONS = {"base", "start", "data"}


def add_train_generator(kinds: "argparse._SubParsersAction[OneLineParser]") -> None:
    """Add `generator` to what can be trained."""
    parser = kinds.add_parser(
        "generator",
        help="a bokeh adapter on FLUX",
        description="Trains on stacks of a manifest, or renders them from its photos and depth. "
        "Goes on where the output folder was left; processes of accelerate launch share the work. "
        "See docs/generator.md.",
    )
    add = parser.add_argument
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="checkpoints and history")
    add(
        "--base-model",
        required=True,
        metavar="FLUX",
        help="FLUX.1-Kontext or FLUX.2, frozen: diffusers folder, ComfyUI's file, or hub name",
    )
    add("--base", metavar="NAME", help="which base it is, where its size does not tell")
    add("--adapter", metavar="FILE", help="to start from; left out: a new one")
    _add_data(parser)
    _add_training(parser)
    _add_samples(parser)
    parser.set_defaults(run=run_train_generator)


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    add = group.add_argument
    add("--manifest", type=Path, required=True, metavar="FILE", help=".jsonl of photos")
    add("--validate", type=Path, metavar="FILE", help="manifest to validate on; else the same")
    bad_data_options(group)
    add("--looks", type=int, default=4, metavar="N", help="lenses of a photo without a stack")
    add("--frames", type=int, default=3, metavar="N", help="strengths of each of them")
    add("--cache", type=Path, metavar="DIR", help="of latents and prompts; else in the output")
    add("--cache-size", type=float, default=50.0, metavar="GB", help="that it may hold; 50")


def _add_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    add, default = group.add_argument, GeneratorSettings()
    course_options(group, default)
    add("--rank", type=int, default=default.rank, help="of the low-rank pairs")
    add("--alpha", type=float, default=default.alpha, help="the pairs are scaled by alpha / rank")
    add("--size", type=int, default=default.size, metavar="PX", help="side of the pictures")
    add("--group", type=int, default=default.group, help="strengths of one photo side by side")
    add("--grounded", action="store_true", help="let a group share the first one's attention")
    for what in ("prompt", "strength", "image"):
        name = f"{what}_dropout"
        add(f"--{what}-dropout", type=float, default=getattr(default, name), metavar="0…1")
    add("--times", choices=TIMES, default=default.times, help="how noise levels are drawn")
    add("--shift", type=float, default=default.shift, help="above 1: towards noise")
    add("--guidance", type=float, default=default.guidance, help="embedded, while training")
    add("--learning-rate", type=float, default=default.learning_rate)
    add("--checkpointing", action="store_true", help="less memory, a third more time")
    add("--workers", type=int, default=0, metavar="N", help="processes that read ahead")


def _add_samples(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("looking at it")
    add = group.add_argument
    add("--validation-pairs", type=int, default=16, metavar="N", help="fixed ones, for the loss")
    add("--samples", type=int, default=1, metavar="N", help="stacks that are sampled; 0 for none")
    add("--sample-every", type=int, default=1000, metavar="N", help="updates")
    add("--sample-steps", type=int, default=20, metavar="N", help="of sampling")
    add("--sample-guidance", type=float, default=1.0, help="of sampling")


def run_train_generator(options: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        ValueError: unusable options or data.
        FileNotFoundError: no such file.
    """
    settings = _settings(options)
    _check(options)
    entries = _entries(options, options.manifest)
    held_out = None if options.validate is None else _entries(options, options.validate)
    base_model = find_weights(options.base_model, BASE_MODEL)
    plan = plan_of(options)
    training = _training(options, settings, str(base_model), entries, held_out)
    from ....training.loop import train

    with progress_bar("train") as on_progress:
        run = train(training, plan, say=print, on_progress=on_progress)
    print(f"{options.output}: adapter.safetensors after {run.step} steps, history.csv, history.png")


def _check(options: argparse.Namespace) -> None:
    check_run(options)
    for name in ("looks", "frames", "validation_pairs", "sample_every", "sample_steps"):
        check_number(getattr(options, name), name, 1)
    for name in ("workers", "samples", "sample_guidance"):
        check_number(getattr(options, name), name, 0)
    check_number(options.cache_size, "cache_size", above=0)
    if options.samples and options.sample_every % options.validate_every:
        raise ValueError(
            f"sample_every: expected a multiple of --validate-every, {options.validate_every}, "
            f"found {options.sample_every}."
        )


def _settings(options: argparse.Namespace) -> GeneratorSettings:
    names = {one.name for one in fields(GeneratorSettings)} - _NOT_OPTIONS
    return GeneratorSettings(**{name: getattr(options, name) for name in names})


def _entries(options: argparse.Namespace, manifest: Path) -> list[Entry]:
    on_bad = options.on_bad or REFUSE
    return read_manifest(manifest, on_bad=on_bad, outside=options.outside_files, report=_said)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """What is encoded: pairs to train with, and to validate with."""

    scenes: "list[Scene]"
    fixed: "list[Scene]"


def _training(
    options: argparse.Namespace,
    settings: GeneratorSettings,
    base_model: str,
    entries: list[Entry],
    held_out: list[Entry] | None,
) -> "GeneratorTraining":
    """Load the base model, encode what is not kept yet, and return what the loop takes."""
    from ....generator.adapter import load_adapter
    from ....generator.flux.pipeline import load_pipeline
    from ....generator.placement import InTurn
    from ....training.generator.encoding import encoder_of
    from ....training.generator.pairs import Preparation
    from ....training.generator.source import PairSource
    from ....training.generator.training import GeneratorTraining, base_of

    start = None if options.adapter is None else find_weights(options.adapter, ADAPTER)
    start_from = None if start is None else load_adapter(start)  # first: a wrong one costs nothing
    pipeline = load_pipeline(base_model, _DTYPES[settings.precision])
    base = base_of(pipeline.transformer, options.base)
    placement = InTurn(pipeline, _device(options))
    encoder = encoder_of(pipeline, placement)
    cache = Cache(options.cache or options.output / "cache", int(options.cache_size * 1e9))
    prepare = Preparation(
        encoder, cache, settings.size, options.looks, options.frames, settings.seed
    )
    found = _prepared(options, prepare, entries, held_out, this_process(options.cpu))
    main = this_process(options.cpu).is_main  # which validates
    shown = entries if held_out is None else held_out
    usable = {scene.where for scene in (*found.scenes, *found.fixed)}
    chosen = [(number, one) for number, one in enumerate(shown) if one.where in usable]
    samples = _samples(options, prepare, chosen, placement) if main and options.samples else None
    encoder.drop_text_encoders()
    settings = replace(
        settings,
        base=f"{base.name} {fingerprint(pipeline.transformer.state_dict())[:16]}",
        start=None if start is None else file_digest(Path(start))[:16],
        data=f"{options.manifest.name} {key_of(found.scenes)[:16]}",
    )

    def source(scenes: "list[Scene]") -> PairSource:
        where = (encoder.places(settings.size), encoder.word_places)
        return PairSource(scenes, cache, settings, encoder.text_mark, *where)

    fixed = _fixed(options, source(found.fixed), settings) if main else []
    return GeneratorTraining(
        settings,
        pipeline.transformer,
        base,
        source(found.scenes),
        options.output,
        tuple(fixed),
        start_from,
        samples,
        options.sample_every,
        options.checkpointing,
        options.workers,
    )


def _prepared(
    options: argparse.Namespace,
    prepare: "Preparation",
    entries: list[Entry],
    held_out: list[Entry] | None,
    processes: Processes,
) -> _Prepared:
    """Encode this process's share, wait for the others, and return the scenes of all."""
    on_bad = options.on_bad or REFUSE
    prepare.prompt("")  # of examples whose prompt is dropped
    found: list[list[Scene]] = []
    for one in (entries, entries if held_out is None else held_out):
        share = range(processes.index, len(one), processes.count)
        with progress_bar("encode") as on_progress:
            prepare.scenes(one, share, on_bad=on_bad, on_progress=on_progress)
        processes.wait()
        found.append(prepare.scenes(one, on_bad=on_bad, report=_said))
    return _Prepared(*found)


def _fixed(
    options: argparse.Namespace, source: "PairSource", settings: GeneratorSettings
) -> list[Any]:
    examples = source.fixed(options.validation_pairs)
    starts = range(0, len(examples), settings.batch)
    return [collate(examples[start : start + settings.batch]) for start in starts]


def _samples(
    options: argparse.Namespace,
    prepare: "Preparation",
    entries: Sequence[tuple[int, Entry]],
    placement: Any,
) -> "Samples | None":
    """Return the stacks that are sampled: of the first photos with two strengths or more.

    Args:
        options: of the command.
        prepare: that made the scenes.
        entries: that gave scenes, with their numbers in the manifest.
        placement: of the base model's parts.
    """
    from ....generator.prompts import bokeh_prompt
    from ....training.generator.validation import Samples

    truths: list[BokehStack] = []
    prompts: dict[str, tuple[torch.Tensor, ...]] = {}
    for number, entry in entries:
        if len(truths) == options.samples:
            break
        if entry.frames and len(set(entry.strengths)) < 2:
            continue
        stack = prepare.stack(entry, number, _MOST_SHOWN)
        truths.append(stack)
        for text in ["", *map(bokeh_prompt, stack.strengths)]:
            kept = prepare.cache.read(prepare.prompt(text))
            prompts[text] = tuple(kept[name][None] for name in ("text", "pooled") if name in kept)
    if not truths:
        return None
    pipeline = prepare.encoder.pipeline
    return Samples(
        *(pipeline, placement, truths, prompts),
        *(options.sample_steps, options.sample_guidance, options.seed),
    )


def _device(options: argparse.Namespace) -> torch.device:
    if options.cpu or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", this_process(options.cpu).local_index)


def _said(line: str) -> None:
    print(line, file=sys.stderr)
