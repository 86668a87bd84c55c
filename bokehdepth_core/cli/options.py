"""The options of the command line, and how their text becomes values."""

import argparse
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from .. import devices
from ..color import COLOR_SPACES
from ..depth import BUILT_IN
from ..depth.networks.options import ATTENTION_SCALES, parse_stages
from ..depth.networks.preprocess import LEVELS
from ..files.exif import read_photo_lens
from ..optics.camera import focal_length_px_from_35mm, intrinsics_from_focal_length
from ..optics.focus.controls import STRENGTH_UNITS, FocusControls
from ..render.highlights import BOOST_FROM
from ..render.picture import QUALITIES
from ..training.manifest import ON_BAD
from .focus_pull import add_focus_pull_options
from .inputs import add_depth_reading_options
from .lens_options import add_lens_shape, add_look

_BAD_INPUT = 2
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Report a mistake in the arguments and exit."""
        self.exit(_BAD_INPUT, f"{self.prog}: {message}. See {self.prog} --help.\n")


def _point(text: str) -> tuple[float, float]:
    parts = text.split(",")
    try:
        x, y = (float(part) for part in parts)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"cannot read {text!r} as a point; write shares such as 0.5,0.3"
        ) from None
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise argparse.ArgumentTypeError(
            f"{text} lies outside the picture; write shares of its width and height, 0 to 1"
        )
    return x, y


def _device(text: str) -> torch.device:
    try:
        device = torch.device(text)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise argparse.ArgumentTypeError(f"{text!r} is not usable here; try cpu") from None
    return device


def _resolution(text: str) -> int | None:
    levels = {"auto": None, "-1": None} | {str(level): level for level in range(LEVELS)}
    if text not in levels:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no level; use 0 (fast) to {LEVELS - 1} (fine), or auto"
        )
    return levels[text]


def network_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the number type of a network: the chosen one, or the best the device is fast at.

    On the CPU that is float32: half precision is no quicker there.
    """
    if precision != "auto":
        return _DTYPES[precision]
    return devices.network_dtype(device)


def check_folder(path: Path) -> None:
    """Refuse an unusable output before the work, not after it."""
    if not path.parent.is_dir():
        raise ValueError(f"{path}: folder {path.parent} does not exist. Create it first.")


def camera_of(options: argparse.Namespace, image: Tensor) -> Tensor | None:
    """Return intrinsics [1,3,3], px, from the options or the photo's EXIF; None where unknown.

    The photo is the first frame where a focus stack takes its place.
    """
    height, width = image.shape[:2]
    focal_px = options.focal_length_px
    if focal_px is None:
        photo = options.image or options.focus_stack[0]
        focal_35 = options.focal_length_35mm
        if focal_35 is None:
            focal_35 = read_photo_lens(photo).focal_length_35mm
        if focal_35 is None:
            return None
        focal_px = focal_length_px_from_35mm(focal_35, width, height)
    return intrinsics_from_focal_length(focal_px, width, height)


def add_depth_options(parser: argparse.ArgumentParser) -> None:
    """Add what `depth` takes."""
    add = parser.add_argument
    what = "the sharp photo; or a depth file, or a photo that carries depth"
    add("image", type=Path, nargs="?", help=f"{what}; left out with --focus-stack")
    add("--photo", type=Path, metavar="PHOTO", help="of a depth file: holes follow its colours")
    add("--stack", type=Path, nargs="+", default=(), metavar="FRAME", help="blurred frames")
    add("--no-align", dest="align", action="store_false", help="take the frames as they are")
    add("--strengths", help='bokeh strength of each frame, px·m, as "10, 20, 30"')
    add("--focus", choices=("nearest", "farthest"), help="what is sharp in them; else nearest")
    add("--focus-distance", type=float, metavar="M", help="its distance, m; without it no metres")
    add("--focal-length-px", type=float, metavar="PX", help="kept with the depth; else from EXIF")
    add("--focal-length-35mm", type=float, metavar="MM", help="the same as 35 mm equivalent")
    add("--calibration", action="store_true", help="also tell how well the frames fit a lens")
    add(
        *("--model", "--checkpoint"),
        default=BUILT_IN,
        metavar="FILE",
        help="depth checkpoint: a path or a name of `weights list` (built-in: the sweep)",
    )
    _add_focus_stack(parser)
    _add_network(parser)
    _add_mask(parser)
    add_depth_reading_options(parser)
    kinds = ".exr, .png (16 bit), .npz, .ply; or .jpg: a copy of the photo with depth in it"
    add("-o", "--output", type=Path, required=True, help=kinds)
    add_lens_shape(parser, "left out: a disc, or what the stack itself clearly shows")
    device_option(parser)


def _add_focus_stack(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with photos of one aperture at several focus distances")
    add = group.add_argument
    add("--focus-stack", type=Path, nargs="+", default=(), metavar="FRAME", help="near to far")
    add("--focus-distances", help='what is sharp in each, m, as "0.5, 1, inf"; else measured')
    add("--all-in-focus", type=Path, metavar="FILE", help="also write the picture sharp everywhere")


def _add_mask(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with a mask of the subject: a rough guess, no metres")
    add = group.add_argument
    add("--subject", type=Path, metavar="MASK", help="picture of the photo's size, subject white")
    add("--no-ground", dest="ground", action="store_false", help="a wall alone, no ground")
    add("--separation", type=float, metavar="0…1", help="wall: 0 beside it, 1 far off; else 0.8")


def _add_network(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with a checkpoint")
    add = group.add_argument
    add("--resolution", type=_resolution, metavar="0…9", help="0 fast, 9 fine; auto as trained")
    add("--precision", choices=("auto", *_DTYPES), help="number type of the network")
    add("--max-depth", type=float, metavar="M", help="range of a metric Depth Anything, m")
    add_retrained_depth(group)


def _stages(text: str) -> tuple[int, ...]:
    try:
        return parse_stages(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("stages: ")) from None


def add_retrained_adapter(parser: "argparse._ActionsContainer") -> None:
    """Add what the tensors of a retrained adapter do not tell."""
    add = parser.add_argument
    add("--alpha", type=float, help="of a retrained adapter; else as its file says, or its rank")
    add("--lora-scale", type=float, help="that a retrained adapter was trained with; else 1")
    add(
        "--query-only",
        action="store_true",
        default=None,
        help="leave the keys as they are; else as the adapter's file has it",
    )


def add_retrained_depth(parser: "argparse._ActionsContainer") -> None:
    """Add what the tensors of a retrained depth network do not tell."""
    add = parser.add_argument
    add("--alibi", type=float, help="of a retrained DSFA: bias for each px·m; else 1")
    add("--heads", type=int, help="of a retrained DSFA: attention heads; else 8")
    add("--stages", type=_stages, help="of a retrained network: encoder blocks, as 2,5,9,12")
    _add_attention_scale(parser)


def _add_attention_scale(parser: "argparse._ActionsContainer") -> None:
    parser.add_argument(
        "--attention-scale",
        choices=ATTENTION_SCALES,
        help="of Depth Anything with DSFA; else as its file says, or trained",
    )


def add_render_options(parser: argparse.ArgumentParser) -> None:
    """Add what `render` takes."""
    add = parser.add_argument
    add("image", type=Path, help="the photo; or a clip: a folder of frames, or a video")
    what = "any depth file; left out, what the photo carries, or a rough guess from people in it"
    add("depth", type=Path, nargs="?", help=what)
    strength = parser.add_mutually_exclusive_group()
    strength.add_argument("--strength", type=float, metavar="K", help="bokeh strength, px·m")
    strength.add_argument("--f-number", type=float, metavar="N", help="of a lens; else from EXIF")
    add("--focal-length-mm", type=float, metavar="MM", help="of the lens; else from EXIF")
    add("--focal-length-35mm", type=float, metavar="MM", help="35 mm equivalent; else from EXIF")
    add("--background", type=Path, metavar="PHOTO", help="what stands behind the front, if known")
    add("--background-depth", type=Path, metavar="DEPTH", help="its depth; goes with it")
    add("--wrap", action="store_true", help="a 360° panorama: left and right border join")
    add("--no-refine", dest="refine", action="store_false", help="keep soft depth edges soft")
    _add_color_space(parser)
    add("--hold-out", type=Path, metavar="MASK", help="picture: white stays as it is, unspilled")
    add("--coc", type=Path, metavar="FILE", help="also write the signed blur radius, px: .exr")
    add("-o", "--output", type=Path, required=True, help="picture to write; .exr keeps all light")
    _add_focus(parser)
    add_depth_reading_options(parser)
    add_focus_pull_options(parser)
    _add_controls(parser)
    add_look(parser)
    add_lens_shape(parser, "left out: as --lens has it")
    device_option(parser)


def _add_controls(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what a compositor sets beside the lens")
    add = group.add_argument
    add(
        "--strength-unit",
        choices=STRENGTH_UNITS,
        default=STRENGTH_UNITS[0],
        help="of --strength; in %% of width the look is the same at every size",
    )
    add(
        "--focus-mode",
        choices=("point", "automatic"),
        default="point",
        help="automatic looks for the subject",
    )
    add("--focus-range", type=float, default=0.0, metavar="PX", help="blur radius forgiven, px")
    add("--front-strength", type=float, default=1.0, metavar="X", help="times the blur in front")
    add("--back-strength", type=float, default=1.0, metavar="X", help="times the blur behind")
    add("--max-radius", type=float, default=0.0, metavar="PX", help="compress radii; 0: no limit")
    add("--tilt", type=float, default=0.0, metavar="DEG", help="turn the plane of focus: top away")
    add("--swing", type=float, default=0.0, metavar="DEG", help="the same: right side away")
    add("--grain", type=float, default=0.0, metavar="0…1", help="the photo's noise where blurred")
    add("--highlight-boost", type=float, default=0.0, help="re-expand clipped highlights")
    add(
        "--highlight-threshold",
        type=float,
        metavar="0…0.99",
        help=f"linear light from which on a highlight counts; else {BOOST_FROM:g}",
    )


def controls_of(options: argparse.Namespace) -> FocusControls:
    """Return how blur differs from the lens's."""
    return FocusControls(
        options.focus_range,
        options.front_strength,
        options.back_strength,
        options.max_radius,
        options.tilt,
        options.swing,
    )


def _add_color_space(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--color-space",
        choices=COLOR_SPACES,
        help="what the photo's numbers are, in and out; else as its file says",
    )


def add_stack_options(parser: argparse.ArgumentParser) -> None:
    """Add what `stack` takes."""
    add = parser.add_argument
    add("image", type=Path, help="the sharp photo; or a folder of photos, or a manifest .jsonl")
    add("--strengths", required=True, help='bokeh strengths, px·m, as "10, 20, 30"')
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="folder to write")
    many = parser.add_argument_group(
        "a folder or a manifest",
        "Each photo gets a folder; manifest.jsonl lists them for training. What is there already "
        "is not made again. Processes of accelerate launch share the photos.",
    )
    bad_data_options(many)
    _add_color_space(parser)
    add_generator_options(parser)
    add("--depth", type=Path, help="for built-in: any depth file, or a photo that carries depth")
    _add_focus(parser)
    add_depth_reading_options(parser)
    add_lens_shape(parser, "left out: a disc")
    device_option(parser)


def add_generator_options(parser: argparse.ArgumentParser) -> None:
    """Add which network makes stacks, and how it samples."""
    add = parser.add_argument
    add("--adapter", default=BUILT_IN, help="bokeh adapter file (built-in: render from --depth)")
    add(
        "--base-model",
        metavar="FLUX",
        help="FLUX for it: diffusers folder, FLUX.1-Kontext as ComfyUI's file, or hub name",
    )
    add_retrained_adapter(parser)
    add(
        "--steps", type=int, help="of the network; as published (FLUX.1-Kontext 50), 20 with --fast"
    )
    add(
        "--guidance",
        type=float,
        help="of the network; as published (FLUX.1-Kontext 7), 1 with --fast",
    )
    add("--seed", type=int, help="of the network's noise; else 0")
    add("--fast", action="store_true", help="the published quick preset of the network")


def bad_data_options(parser: "argparse._ActionsContainer") -> None:
    """Add what is done about data that cannot be used."""
    parser.add_argument(
        "--on-bad",
        choices=ON_BAD,
        help="a bad line, a missing or damaged file: refuse to go on (default), or skip and say it",
    )
    parser.add_argument(
        "--outside-files",
        action="store_true",
        help="allow a manifest to name files outside of its folder",
    )


def _add_focus(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--focus-point", type=_point, metavar="X,Y", help="shares of width and height, 0…1")
    add("--focus-distance", type=float, metavar="M", help="m; instead of a point")
    add("--quality", choices=tuple(QUALITIES), default="default", help="of the renderer")
    add("--bits", type=int, choices=(8, 16), default=8, help="for each channel of a PNG")


def device_option(parser: argparse.ArgumentParser) -> None:
    """Add where the work is done."""
    parser.add_argument("--device", type=_device, default="cpu", help="cpu, cuda or mps")
