"""How many textured pixels a sweep still gets right on stacks that cameras and generators disturb.

    python benchmarks/disturbed.py SCENES [--only WORD ...] [--no-align] [--made SEED]

SCENES is a folder of scene folders as `benchmarks/sweep.py` takes them, and right and textured mean
what they mean there. Every disturbance has a fixed seed. With --made, SCENES is not read: scenes
of slanted cards with random textures, one in front of the other, are rendered instead (`cards.py`).
"""

import argparse
import io
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from cards import card_scenes
from sweep import load, textured

from bokehdepth_core import BokehStack, disparity_offset
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.depth.alignment.warp import Similarity, warped

DIRECTIONS = ((1.0, 0.0), (0.6, 0.8), (-0.8, 0.6))  # of the shifts, one a frame
WOBBLE_WAVE = 32  # px, sigma of the Gaussian that smooths a wobble

Change = Callable[[BokehStack], BokehStack]


def bits(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round() / 255


def moved(*places: Similarity) -> Change:
    """Return frames moved so that alignment must find about the inverse of each place."""

    def change(stack: BokehStack) -> BokehStack:
        size = (stack.frames.shape[1], stack.frames.shape[2])
        frames = [
            warped(one.permute(2, 0, 1), places[i % len(places)].field(size, one.device))
            for i, one in enumerate(stack.frames)
        ]
        return replace(stack, frames=bits(torch.stack(frames).permute(0, 2, 3, 1)))

    return change


def wobble(px: float) -> Change:
    """Return frames moved by smooth random fields, `px` a root mean square of each axis."""

    def change(stack: BokehStack) -> BokehStack:
        generator = torch.Generator().manual_seed(3)
        frames = []
        for one in stack.frames:
            field = smooth_noise((2, *one.shape[:2]), generator)
            field = field / field.square().mean((1, 2), keepdim=True).sqrt() * px
            frames.append(warped(one.permute(2, 0, 1), field).permute(1, 2, 0))
        return replace(stack, frames=bits(torch.stack(frames)))

    return change


def smooth_noise(shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    reach = 3 * WOBBLE_WAVE
    taps = torch.arange(-reach, reach + 1.0)
    kernel = torch.exp(-0.5 * (taps / WOBBLE_WAVE).square())
    wide = (shape[0], 1, shape[1] + 2 * reach, shape[2] + 2 * reach)
    noise = torch.randn(wide, generator=generator)
    rows = functional.conv2d(noise, kernel[None, None, :, None])
    return functional.conv2d(rows, kernel[None, None, None])[:, 0]


def light(factor: Callable[[int, BokehStack], Tensor]) -> Change:
    """Return frames whose linear light is multiplied."""

    def change(stack: BokehStack) -> BokehStack:
        frames = [
            linear_to_srgb(srgb_to_linear(one) * factor(i, stack))
            for i, one in enumerate(stack.frames)
        ]
        return replace(stack, frames=bits(torch.stack(frames)))

    return change


def corners(index: int, stack: BokehStack) -> Tensor:
    """Return 1 in the middle, falling with r² to 0.6 in the corners of the last frame."""
    height, width = stack.reference.shape[:2]
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    lost = 0.4 * (index + 1) / len(stack.frames)
    return (1 - lost * (x.square() + y.square()) / 2)[..., None]


def every(picture: Callable[[Tensor], Tensor], reference: bool = True) -> Change:
    """Return a stack whose pictures are changed one by one."""

    def change(stack: BokehStack) -> BokehStack:
        frames = torch.stack([picture(one) for one in stack.frames])
        first = picture(stack.reference) if reference else stack.reference
        return replace(stack, reference=first, frames=frames)

    return change


def noise(levels: float) -> Change:
    def change(stack: BokehStack) -> BokehStack:
        generator = torch.Generator().manual_seed(5)
        return every(
            lambda one: bits(one + levels / 255 * torch.randn(one.shape, generator=generator))
        )(stack)

    return change


def jpeg(quality: int) -> Callable[[Tensor], Tensor]:
    def picture(image: Tensor) -> Tensor:
        data = io.BytesIO()
        Image.fromarray((image * 255).round().byte().numpy()).save(data, "JPEG", quality=quality)
        with Image.open(data) as read:
            flat = torch.frombuffer(bytearray(read.convert("RGB").tobytes()), dtype=torch.uint8)
        return flat.reshape(image.shape) / 255

    return picture


def contrast(amount: float) -> Callable[[Tensor], Tensor]:
    """Return an S-curve of sRGB values; it is steepest in the middle, 1 + amount."""
    return lambda image: bits(image - amount * torch.sin(2 * math.pi * image) / (2 * math.pi))


DISTURBANCES: dict[str, Change] = {
    "clean": lambda stack: stack,
    "shift 3 px": moved(*(Similarity((3 * x, 3 * y)) for x, y in DIRECTIONS)),
    "scale 1 %": moved(Similarity(scale=-0.01)),
    "rotation 0.5°": moved(Similarity(rotation=math.radians(0.5))),
    "wobble 1 px": wobble(1.1),
    "tone curve, frames": every(contrast(0.2), reference=False),
    "tone curve, all": every(contrast(0.3)),
    "noise 5/255": noise(5),
    "noise 10/255": noise(10),
    "JPEG 75": every(jpeg(75)),
    "corners 40 %": light(corners),
    "gain 20 %": light(lambda i, _: torch.tensor(1.2 if i % 2 == 0 else 1 / 1.2)),
    "white balance 5 %": light(lambda i, _: torch.tensor([1.05, 1.0, 0.95])),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path, nargs="?")
    parser.add_argument("--only", nargs="*", default=[], help="words of the disturbances wanted")
    parser.add_argument("--no-align", action="store_true")
    parser.add_argument("--made", type=int, help="seed of scenes to make")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.made is None:
        folders = sorted(path.parent for path in arguments.scenes.glob("*/scene.json"))
        scenes = [load(folder) for folder in folders]
    else:
        scenes = card_scenes(arguments.made)
    for name, change in DISTURBANCES.items():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        for scene in scenes:
            start = time.process_time()
            offset, _ = disparity_offset(
                change(scene.stack),
                focus_depth=scene.focus_depth,
                aperture=scene.aperture,
                align=not arguments.no_align,
            )
            truth = scene.offset
            right = (offset - truth).abs() <= (0.1 * truth).clamp(min=0.02)
            share = 100 * float(right[textured(scene.stack.reference)].float().mean())
            seconds = time.process_time() - start
            print(f"{name:20} {scene.name:22} {share:5.1f} %  {seconds:5.1f} s", flush=True)


if __name__ == "__main__":
    main()
