"""`bokehdepth stack`: a photo in, the photo at growing bokeh strengths out."""

import argparse
import json

import torch
from torch import Tensor

from ..checks import parse_strengths
from ..color import convert_color
from ..datatypes import BokehStack
from ..devices import network_dtype
from ..files.atomic import whole_file
from ..files.pictures.images import write_image
from ..generator import load_bokeh_generator
from ..generator.prompts import FAST, PUBLISHED_SAMPLING
from ..generator.rendered import RenderedStackGenerator
from ..weights.published import ADAPTER, BASE_MODEL, BUILT_IN, find_weights
from .inputs import depth_of, need_metres
from .options import aperture_of
from .photos import read_photo_for
from .progress import progress_bar

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
    _check_used(options)
    photo = read_photo_for(options)
    image = convert_color(photo.image, photo.color_space, "sRGB")
    make = _rendered_stack if options.adapter == BUILT_IN else _generated_stack
    _write_stack(options, make(options, image, strengths), photo.color_space)


def _check_used(options: argparse.Namespace) -> None:
    """Refuse options of the generator that is not chosen, which would be ignored."""
    built_in = options.adapter == BUILT_IN
    names = (
        ("base_model", "steps", "guidance", "fast", *_RETRAINED)
        if built_in
        else ("depth", "focus_distance")
    )
    for name in names:
        if getattr(options, name) not in (None, False):
            flag = "--" + name.replace("_", "-")
            raise ValueError(
                f"{name}: the built-in generator takes no {flag}. Give --adapter too, or leave it "
                "out."
                if built_in
                else f"{name}: with --adapter no {flag} is taken. Leave it out."
            )


def _rendered_stack(
    options: argparse.Namespace, image: Tensor, strengths: tuple[float, ...]
) -> BokehStack:
    if options.depth is None:
        raise ValueError(
            "depth: the built-in generator renders its frames from a depth map and none was "
            "given. Give --depth, or --adapter and --base-model."
        )
    depth = depth_of(options, options.depth, image[None])
    if options.focus_distance is not None:
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


def _generated_stack(
    options: argparse.Namespace, image: Tensor, strengths: tuple[float, ...]
) -> BokehStack:
    device = torch.device(options.device)
    generator = load_bokeh_generator(
        find_weights(options.adapter, ADAPTER),
        options.base_model and find_weights(options.base_model, BASE_MODEL),
        device=device,
        dtype=network_dtype(device),
        **{name: getattr(options, name) for name in _RETRAINED},
    )
    chosen = {"steps": options.steps, "guidance": options.guidance}
    preset = FAST if options.fast else PUBLISHED_SAMPLING
    with progress_bar("stack") as on_progress:
        return generator.generate(
            image,
            strengths,
            **preset | {name: value for name, value in chosen.items() if value is not None},
            seed=options.seed,
            on_progress=on_progress,
        )


def _write_stack(options: argparse.Namespace, stack: BokehStack, color_space: str) -> None:
    """Write the frames: as PNG, or as EXR where the photo is linear light."""
    folder = options.output
    folder.mkdir(parents=True, exist_ok=True)
    suffix = ".png" if color_space == "sRGB" else ".exr"

    def write(name: str, picture: Tensor) -> None:
        values = convert_color(picture, "sRGB", color_space)
        write_image(folder / name, values, options.bits, color_space=color_space)

    write(f"reference{suffix}", stack.reference)
    entries = []
    for index, (frame, strength) in enumerate(zip(stack.frames, stack.strengths, strict=True), 1):
        name = f"frame_{index:02d}_k{strength:g}{suffix}"
        write(name, frame)
        entries.append({"file": name, "strength": strength})
    record = {
        "reference": f"reference{suffix}",
        "frames": entries,
        "image": options.image.name,
        "settings": dict(stack.settings),
    }
    if options.adapter == BUILT_IN:
        record |= {"depth": options.depth.name, "aperture": vars(aperture_of(options))}
    with whole_file(folder / "stack.json") as part:
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"{folder}: {len(entries)} frames, reference{suffix} and stack.json")
