"""`bokehdepth stack`: a photo in, the photo at growing bokeh strengths out.

A folder of photos, or a manifest of them, goes to `stack_folder.py`.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...checks import counted, parse_strengths
from ...color import convert_color
from ...datatypes import BokehStack, DepthMap
from ...devices import network_dtype
from ...files.atomic import whole_file
from ...files.pictures.images import write_image
from ...generator import load_bokeh_generator
from ...generator.prompts import FAST
from ...generator.rendered import RenderedStackGenerator
from ...weights.published import ADAPTER, BASE_MODEL, BUILT_IN, find_weights
from ..inputs import depth_of, need_metres
from ..lens_options import SHAPE_OPTIONS, aperture_of
from ..photos import read_photo_for
from ..progress import progress_bar

MANIFEST_SUFFIX = ".jsonl"
RECORD = "stack.json"  # written last: a folder that has it is whole
_FRAME = re.compile(r"frame_\d+_k.*\.(png|exr)|reference\.(png|exr)")
Make = Callable[[argparse.Namespace, Tensor, tuple[float, ...], DepthMap | None], BokehStack]
_RETRAINED = ("alpha", "lora_scale", "query_only")


def run_stack(options: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        ValueError: unusable options or files.
        FileNotFoundError: no such file.
    """
    if options.output.exists() and not options.output.is_dir():
        raise ValueError(f"output: {options.output} is a file. Give a folder.")
    strengths = parse_strengths(options.strengths)
    if options.image.is_dir() or options.image.suffix.lower() == MANIFEST_SUFFIX:
        from .stack_folder import run_stack_folder

        run_stack_folder(options, strengths)
        return
    if options.on_bad is not None or options.outside_files:
        name = "outside_files" if options.outside_files else "on_bad"
        raise ValueError(f"{name}: is for a folder or a manifest; this is one photo. Leave it out.")
    check_used(options)
    photo = read_photo_for(options)
    image = convert_color(photo.image, photo.color_space, "sRGB")
    check_no_other_frames(options.output, strengths, photo.color_space)
    depth = depth_for(options, image)
    stack = stack_maker(options)(options, image, strengths, depth)
    record = write_stack(options, stack, photo.color_space)
    count = counted(len(stack.strengths), "frame")
    print(f"{options.output}: {count}, {record['reference']} and stack.json")


def stack_maker(options: argparse.Namespace) -> Make:
    """Return what makes the stacks of photos by these options, its networks loaded once."""
    return _rendered_stack if options.adapter == BUILT_IN else _generator_of(options)


def check_used(options: argparse.Namespace) -> None:
    """Refuse options of the generator that is not chosen, and a second focus: not to be used.

    Raises:
        ValueError: such an option is given.
    """
    built_in = options.adapter == BUILT_IN
    names = (
        ("base_model", "steps", "guidance", "seed", "fast", *_RETRAINED)
        if built_in
        else ("depth", "focus_distance", "focus_point", *SHAPE_OPTIONS)
    )
    for name in names:
        value = getattr(options, name)
        if value is not None and value is not False:
            flag = "--" + name.replace("_", "-")
            raise ValueError(
                f"{name}: the built-in generator takes no {flag}. Give --adapter too, or leave it "
                "out."
                if built_in
                else f"{name}: with --adapter no {flag} is taken. Leave it out."
            )
    if options.focus_distance is not None and options.focus_point is not None:
        raise ValueError("focus_point: leave --focus-point out; --focus-distance is given.")


def depth_for(options: argparse.Namespace, image: Tensor) -> DepthMap | None:
    """Return the depth that frames of an image [H,W,3] are rendered from; None with an adapter.

    Raises:
        ValueError: no depth file was given, or an unusable one.
    """
    if options.adapter != BUILT_IN:
        return None
    if options.depth is None:
        raise ValueError(
            "depth: the built-in generator renders its frames from a depth map and none was "
            "given. Give --depth, or --adapter and --base-model."
        )
    return depth_of(options, options.depth, image[None])


def _rendered_stack(
    options: argparse.Namespace,
    image: Tensor,
    strengths: tuple[float, ...],
    depth: DepthMap | None,
) -> BokehStack:
    if options.focus_distance is not None and depth is not None:
        need_metres(depth)
    generator = RenderedStackGenerator(torch.device(options.device))
    with progress_bar("stack") as on_progress:
        return generator.generate(
            image,
            strengths,
            depth=depth,
            focus_depth=options.focus_distance,
            focus_point=options.focus_point,
            aperture=aperture_of(options),
            quality=options.quality,
            on_progress=on_progress,
        )


def _generator_of(options: argparse.Namespace) -> Make:
    """Return what makes stacks by FLUX, which is loaded here."""
    device = torch.device(options.device)
    generator = load_bokeh_generator(
        find_weights(options.adapter, ADAPTER),
        options.base_model and find_weights(options.base_model, BASE_MODEL),
        device=device,
        dtype=network_dtype(device),
        **{name: getattr(options, name) for name in _RETRAINED},
    )
    given = {"steps": options.steps, "guidance": options.guidance}
    sampling: dict[str, Any] = dict(FAST) if options.fast else {}  # else as the base is published
    sampling |= {name: value for name, value in given.items() if value is not None}

    def make(
        one: argparse.Namespace,
        image: Tensor,
        strengths: tuple[float, ...],
        depth: DepthMap | None,
    ) -> BokehStack:
        with progress_bar("stack") as on_progress:
            return generator.generate(
                image, strengths, **sampling, seed=one.seed or 0, on_progress=on_progress
            )

    return make


def check_no_other_frames(folder: Path, strengths: Sequence[float], color_space: str) -> None:
    """Refuse a folder with frames that a stack does not replace: they would pose as its own.

    Raises:
        ValueError: it holds some.
    """
    own = {f"reference{_suffix(color_space)}", *_frame_names(strengths, color_space)}
    beside = {one.name for one in folder.glob("*") if _FRAME.fullmatch(one.name)}
    found = sorted(beside - own)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise ValueError(
            f"output: choose another folder than {folder}, or remove the frames of another stack "
            f"from it. It holds {found[0]}{more}."
        )


def _suffix(color_space: str) -> str:
    return ".png" if color_space == "sRGB" else ".exr"


def _frame_names(strengths: Sequence[float], color_space: str) -> list[str]:
    suffix = _suffix(color_space)
    return [f"frame_{index:02d}_k{one:g}{suffix}" for index, one in enumerate(strengths, 1)]


def write_stack(
    options: argparse.Namespace,
    stack: BokehStack,
    color_space: str,
    more: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Write the frames: as PNG, or as EXR where the photo is linear light; return the record.

    The record, `stack.json`, is written last, with what `more` adds.
    """
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    suffix = _suffix(color_space)

    def write(name: str, picture: Tensor) -> None:
        values = convert_color(picture, "sRGB", color_space)
        write_image(folder / name, values, options.bits, color_space=color_space)

    write(f"reference{suffix}", stack.reference)
    entries = []
    names = _frame_names(stack.strengths, color_space)
    for name, frame, strength in zip(names, stack.frames, stack.strengths, strict=True):
        write(name, frame)
        entries.append({"file": name, "strength": strength})
    record: dict[str, object] = {
        "reference": f"reference{suffix}",
        "frames": entries,
        "image": options.image.name,
        "settings": dict(stack.settings),
    }
    if options.adapter == BUILT_IN:
        record |= {"depth": options.depth.name, "aperture": vars(aperture_of(options))}
    record |= more or {}
    with whole_file(folder / RECORD) as part:
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record
