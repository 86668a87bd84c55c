"""Share of textured pixels whose |d − d_f| a sweep finds, against a plain baseline, with times.

    python benchmarks/sweep.py SCENES [--threads 2]

SCENES is a folder of scene folders with `scene.json`, pictures and `depth.npz`.

A pixel is right within max(10 %, 0.02/m). Textured: the standard deviation of the reference's luma
(sRGB values 0…1) in a 7 px square is above 0.015. Edge: within 12 px of a step of more than 1 px in
the blur radius of the strongest frame. Times are those of this run, both methods on the same
stacks; read their ratio. The confidence is measured over all pixels (`reliability.py`): its curve
is written as mean confidence : share of right pixels (share of all pixels), in tenths.
`--no-baseline` leaves the baseline and the calibration out. More scenes: `bracket_scenes.py`.

The baseline blurs the sharp picture by a disc for each candidate, takes capped squared differences
in square-root-encoded light, averages them over a 2 px Gaussian window, weights frames by 1/K, and
fits a parabola through the best candidate and its neighbours.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from reliability import reliability

from bokehdepth_core import Aperture, BokehStack, DepthMap, calibrate_stack, disparity_offset
from bokehdepth_core.color import srgb_to_linear

LUMA = torch.tensor([0.2126, 0.7152, 0.0722])
BASELINE_RADII = torch.arange(0, 32.5, 0.5)  # px in the strongest frame
MARGIN = 34  # px of border, beyond the widest disc


@dataclass(frozen=True)
class Scene:
    name: str
    stack: BokehStack
    depth: DepthMap
    focus_depth: float
    aperture: Aperture

    @property
    def offset(self) -> Tensor:
        return (self.depth.disparity[0] - 1 / self.focus_depth).abs()


def load(folder: Path) -> Scene:
    facts = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
    stack, lens = facts["stack"], facts["aperture"]
    reference, *frames = (picture(folder / name) for name in stack["files"])
    depth = torch.from_numpy(np.load(folder / "depth.npz")["depth"])[None]
    polygon = lens["shape"] == "polygon"
    return Scene(
        facts["name"],
        BokehStack(reference, torch.stack(frames), stack["K"][1:]),
        DepthMap(depth),
        stack["focus_depth_m"],
        Aperture(lens["blades"], lens["rotation_deg"]) if polygon else Aperture(),
    )


def picture(path: Path) -> Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255)


def disc(radius: float) -> Tensor:
    """Return a disc [n,n] of unit sum, from 8 x 8 points a pixel."""
    reach = int(np.ceil(radius)) + 1
    points = (torch.arange((2 * reach + 1) * 8) + 0.5) / 8 - reach - 0.5
    inside = points[:, None].square() + points.square() <= max(radius, 0.1) ** 2
    kernel = functional.avg_pool2d(inside.float()[None, None], 8)[0, 0]
    return kernel / kernel.sum()


def spectrum_of(planes: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Return the spectrum of [3,H,W] planes with reflected borders, and the size it stands for."""
    padded = functional.pad(planes[None], (MARGIN,) * 4, mode="reflect")[0]
    # A multiple of 64 keeps the transform fast.
    size = tuple(-(-(side + MARGIN) // 64) * 64 for side in padded.shape[1:])
    return torch.fft.rfft2(padded, s=size), size


def blur(spectrum: Tensor, size: tuple[int, int], shape: tuple[int, int], radius: float) -> Tensor:
    """Return the planes of a spectrum, cut to `shape`, convolved with a disc."""
    kernel = disc(radius)
    first = MARGIN + kernel.shape[0] // 2
    full = torch.fft.irfft2(spectrum * torch.fft.rfft2(kernel, s=size), s=size)
    return full[:, first : first + shape[0], first : first + shape[1]]


def window(plane: Tensor, sigma: float = 2.0) -> Tensor:
    taps = torch.arange(-6, 7)
    kernel = torch.exp(-0.5 * (taps / sigma).square())
    kernel = kernel / kernel.sum()
    padded = functional.pad(plane[None, None], (6,) * 4, mode="reflect")
    rows = functional.conv2d(padded, kernel[None, None, :, None])
    return functional.conv2d(rows, kernel[None, None, None])[0, 0]


def baseline(stack: BokehStack) -> Tensor:
    """Return |d − d_f|, [H,W], 1/m, of the plain sweep."""
    sharp = srgb_to_linear(stack.reference).permute(2, 0, 1)
    frames = srgb_to_linear(stack.frames).permute(0, 3, 1, 2).sqrt()
    offsets = BASELINE_RADII / max(stack.strengths)
    spectrum, size = spectrum_of(sharp)
    costs = []
    for offset in offsets.tolist():
        cost = 0
        for frame, strength in zip(frames, stack.strengths, strict=True):
            blurred = blur(spectrum, size, sharp.shape[1:], strength * offset).clamp(min=0).sqrt()
            difference = (blurred - frame).square().sum(0).clamp(max=0.04)
            cost = cost + window(difference) / strength
        costs.append(cost)
    volume = torch.stack(costs)
    best = volume.argmin(0).clamp(1, len(offsets) - 2)
    left, here, right = (volume.gather(0, (best + step)[None])[0] for step in (-1, 0, 1))
    curvature = (left - 2 * here + right).clamp(min=1e-12)
    shift = (0.5 * (left - right) / curvature).clamp(-1, 1)
    return (best + shift) * (offsets[1] - offsets[0])


def textured(reference: Tensor) -> Tensor:
    luma = (reference @ LUMA)[None, None]
    padded = functional.pad(luma, (3,) * 4, mode="reflect")
    mean = functional.avg_pool2d(padded, 7, 1)
    variance = functional.avg_pool2d(padded.square(), 7, 1) - mean.square()
    return variance[0, 0] > 0.015**2


def near_edge(scene: Scene) -> Tensor:
    signed = scene.depth.disparity[None] * max(scene.stack.strengths)
    highest = functional.max_pool2d(signed, 3, 1, 1)
    lowest = -functional.max_pool2d(-signed, 3, 1, 1)
    step = (highest - lowest > 1).float()
    return functional.max_pool2d(step, 25, 1, 12)[0, 0] > 0


def right_pixels(scene: Scene, offset: Tensor) -> Tensor:
    truth = scene.offset
    return (offset - truth).abs() <= (0.1 * truth).clamp(min=0.02)


def report(scene: Scene, label: str, offset: Tensor, seconds: float) -> float:
    right = right_pixels(scene, offset)
    texture, edge = textured(scene.stack.reference), near_edge(scene)
    shares = [
        100 * float(right[chosen].float().mean())
        for chosen in (texture, texture & ~edge, texture & edge, torch.ones_like(texture))
    ]
    print(
        f"{scene.name:22} {label:15} textured {shares[0]:5.1f}  away {shares[1]:5.1f}  "
        f"edge {shares[2]:5.1f}  all {shares[3]:5.1f} %   {seconds:6.1f} s",
        flush=True,
    )
    return shares[0]


def timed(method, *arguments, **options) -> tuple[Tensor, float]:
    start = time.perf_counter()
    result = method(*arguments, **options)
    return result, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-baseline", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for folder in sorted(path.parent for path in arguments.scenes.glob("*/scene.json")):
        scene = load(folder)
        sweep_scene(scene, not arguments.no_baseline)


def sweep_scene(scene: Scene, with_baseline: bool) -> None:
    """Print what the sweep reaches on a scene, and the baseline and the calibration beside it."""
    plain = 0.0
    if with_baseline:
        offset, plain = timed(baseline, scene.stack)
        report(scene, "baseline", offset, plain)
    (offset, confidence), ours = timed(disparity_offset, scene.stack, focus_depth=scene.focus_depth)
    report(scene, "sweep", offset, ours)
    if scene.aperture != Aperture():
        (offset, confidence), known = timed(
            disparity_offset,
            scene.stack,
            focus_depth=scene.focus_depth,
            aperture=scene.aperture,
        )
        report(scene, "known aperture", offset, known)
    print(reliability(confidence, right_pixels(scene, offset)).summary)
    if with_baseline:
        print(f"{'':22} time of the baseline x {ours / plain:.2f}")
        found = calibrate_stack(scene.stack, scene.depth, scene.focus_depth)
        print(f"{'':22} {found.summary}")


if __name__ == "__main__":
    main()
