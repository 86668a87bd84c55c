"""The command line: parse, call the core, write files. Bad input gives one line and exit code 2."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .atomic import whole_file
from .camera import read_photo_lens
from .checks import check_number, parse_strengths
from .cli_depth import run_depth
from .cli_options import (
    OneLineParser,
    add_depth_options,
    add_render_options,
    add_stack_options,
    aperture_of,
    check_folder,
)
from .cli_weights import add_weights_commands
from .datatypes import BokehStack, DepthMap
from .demo import run_demo
from .depth_files import read_depth
from .files import check_picture_name, read_image, write_image
from .generator import load_bokeh_generator
from .generator.prompts import FAST, PUBLISHED_SAMPLING
from .optics import bokeh_strength_from_lens, focus_depth_at
from .progress_bar import progress_bar
from .render import render_bokeh
from .resample import fit_depth
from .weights import ADAPTER, BASE_MODEL, BUILT_IN, find_weights

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130  # as a shell reports a program ended by ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for bad input, 130 when interrupted."""
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
    except (ValueError, TypeError, OSError) as error:
        line = " ".join(str(error).split())
        print(f"bokehdepth: {line}", file=sys.stderr)
        return BAD_INPUT
    except torch.cuda.OutOfMemoryError:
        print("bokehdepth: the device ran out of memory. Use --device cpu.", file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as error:
        print(
            f"bokehdepth: the package {error.name!r} is missing. "
            'Install with: python -m pip install -e ".[standalone]"',
            file=sys.stderr,
        )
        return FAILED
    except KeyboardInterrupt:
        print("bokehdepth: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


# --- commands ------------------------------------------------------------------------------------


def _demo(options: argparse.Namespace) -> None:
    with progress_bar("demo") as on_progress:
        lines = run_demo(options.output, on_progress=on_progress)
    print("\n".join(lines))


def _render(options: argparse.Namespace) -> None:
    check_folder(options.output)
    check_picture_name(options.output, options.bits)
    image = read_image(options.image)[None]
    depth = read_depth(options.depth, options.depth_scale)
    depth = _fitted(options.depth, depth, image, options.refine)
    known = _background(options, depth, image)
    focus_depth = _focus_depth(options, depth)
    strength = options.strength
    if strength is None:
        strength = _lens_strength(options, depth, float(focus_depth), image)
    with progress_bar("render") as on_progress:
        blurred = render_bokeh(
            image.to(options.device),
            depth.depth.to(options.device),
            strength,
            focus_depth,
            aperture=aperture_of(options),
            highlight_boost=options.highlight_boost,
            quality=options.quality,
            refine_depth=options.refine,
            **known,
            on_progress=on_progress,
        )
    write_image(options.output, blurred, options.bits)
    unit = " m" if depth.metric else " (unit-free)"
    print(f"{options.output}: strength {strength:g}, focus at {float(focus_depth):.3g}{unit}")


def _stack(options: argparse.Namespace) -> None:
    if options.output.exists() and not options.output.is_dir():
        raise ValueError(f"output: {options.output} is a file. Give a folder.")
    strengths = parse_strengths(options.strengths)
    _check_used(options)
    image = read_image(options.image)
    make = _rendered_stack if options.adapter == BUILT_IN else _generated_stack
    _write_stack(options, make(options, image, strengths))


def _check_used(options: argparse.Namespace) -> None:
    """Refuse options of the generator that is not chosen, which would be ignored."""
    built_in = options.adapter == BUILT_IN
    names = ("base_model", "steps", "guidance", "fast") if built_in else ("depth", "focus_distance")
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
    depth = read_depth(options.depth, options.depth_scale)
    depth = _fitted(options.depth, depth, image[None])
    if options.focus_distance is not None:
        _need_metres(depth)
    generator = load_bokeh_generator(BUILT_IN, device=options.device)
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
        dtype=torch.float32 if device.type == "cpu" else torch.bfloat16,
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


def _write_stack(options: argparse.Namespace, stack: BokehStack) -> None:
    folder = options.output
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / "reference.png", stack.reference, options.bits)
    entries = []
    for index, (frame, strength) in enumerate(zip(stack.frames, stack.strengths, strict=True), 1):
        name = f"frame_{index:02d}_k{strength:g}.png"
        write_image(folder / name, frame, options.bits)
        entries.append({"file": name, "strength": strength})
    record = {
        "reference": "reference.png",
        "frames": entries,
        "image": options.image.name,
        "settings": dict(stack.settings),
    }
    if options.adapter == BUILT_IN:
        record |= {"depth": options.depth.name, "aperture": vars(aperture_of(options))}
    with whole_file(folder / "stack.json") as part:
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"{folder}: {len(entries)} frames, reference.png and stack.json")


# --- from options to values ----------------------------------------------------------------------


def _background(
    options: argparse.Namespace, depth: DepthMap, image: Tensor
) -> dict[str, Tensor | None]:
    """Return what is known of the background, as `render_bokeh` takes it."""
    picture = hidden = None
    if options.background is not None:
        picture = read_image(options.background)[None].to(options.device)
    if options.background_depth is not None:
        found = read_depth(options.background_depth, options.depth_scale)
        found = _fitted(options.background_depth, found, image, refined=False)
        if found.metric != depth.metric:
            raise ValueError(
                f"{options.background_depth}: one of the two depths is in metres and the other is "
                "not. Give two of a kind."
            )
        hidden = found.depth.to(options.device)
    return {"background": picture, "background_depth": hidden}


def _fitted(path: Path, depth: DepthMap, image: Tensor, refined: bool = True) -> DepthMap:
    """Return depth at the size of the image [1,H,W,3]; tell where it had another."""
    size = (image.shape[1], image.shape[2])
    found = (depth.depth.shape[1], depth.depth.shape[2])
    if found != size:
        note = (
            f"{path.name}: depth of {found[0]}x{found[1]} made {size[0]}x{size[1]} like the image"
        )
        print(note, file=sys.stderr)
    return fit_depth(depth, size, soft_edges=refined)


def _need_metres(depth: DepthMap) -> None:
    if not depth.metric:
        raise ValueError(
            "focus_distance: the depth holds no metres, only normalised disparity. "
            "Give --focus-point instead."
        )


def _focus_depth(options: argparse.Namespace, depth: DepthMap) -> Tensor:
    if options.focus_distance is not None:
        _need_metres(depth)
        return torch.tensor([check_number(options.focus_distance, "focus_distance", above=0)])
    return focus_depth_at(depth.depth, *(options.focus_point or (0.5, 0.5)))


def _lens_strength(
    options: argparse.Namespace, depth: DepthMap, focus_depth: float, image: Tensor
) -> float:
    """Return K from the lens options, with the photo's EXIF for what they leave out."""
    if not depth.metric:
        raise ValueError(
            "f_number: a lens needs depth in metres and this one is normalised disparity. "
            "Give --strength instead."
        )
    lens = read_photo_lens(options.image)
    values = {
        name: getattr(options, name) or getattr(lens, name)
        for name in ("f_number", "focal_length_mm", "focal_length_35mm")
    }
    missing = [name for name, value in values.items() if value is None]
    if missing:
        flags = ", ".join("--" + name.replace("_", "-") for name in missing)
        raise ValueError(
            "strength: not given, and the photo's EXIF lacks the lens. "
            f"Give --strength, or {flags}."
        )
    height, width = image.shape[1:3]
    return bokeh_strength_from_lens(
        **values, focus_distance_m=focus_depth, width=width, height=height
    )


# --- the terminal --------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="bokehdepth",
        description="From a photo and its aperture stack to depth, and from depth to lens bokeh.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    demo = commands.add_parser(
        "demo", help="whole pipeline on a bundled scene; nothing to download"
    )
    demo.add_argument("--output", type=Path, default=Path("bokehdepth_demo"), metavar="DIR")
    demo.set_defaults(run=_demo)
    depth = commands.add_parser("depth", help="depth from a photo and its aperture stack")
    add_depth_options(depth)
    depth.set_defaults(run=run_depth)
    render = commands.add_parser("render", help="blur a photo by its depth through a lens")
    add_render_options(render)
    render.set_defaults(run=_render)
    stack = commands.add_parser(
        "stack", help="make a bokeh stack: rendered from photo and depth, or by FLUX"
    )
    add_stack_options(stack)
    stack.set_defaults(run=_stack)
    add_weights_commands(commands)
    return parser
