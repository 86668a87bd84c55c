"""Score the lens renderer on a folder of ray-traced scenes, against two plain baselines.

Usage: python benchmarks/render.py SCENES [--quality default] [--timing]

Needs scipy, scikit-image and Pillow. Edge masks: a depth edge is a step of more than 1 px of
defocus between neighbours; its radius is that of its blurrier side. Baselines use a round spot.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn.functional import conv2d, pad

from bokehdepth_core import Aperture, defocus, render_bokeh
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear

COLUMNS = ("psnr", "ssim", "edge", "near-blurred", "far-blurred")
Render = Callable[[Tensor, Tensor, float, float, Aperture], Tensor]


def gather(image: Tensor, signed: Tensor) -> Tensor:
    """Average, at each pixel of [H,W,3], over the disc of its own defocus: cost grows with r²."""
    light = srgb_to_linear(image).movedim(-1, 0)[None]
    reach = math.ceil(float(signed.abs().max()))
    wide = pad(light, (reach,) * 4, mode="replicate")[0]
    radius = signed.abs().clamp(min=0.5)
    height, width = signed.shape
    total, count = torch.zeros_like(light[0]), torch.zeros_like(signed)
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            inside = (radius + 0.5 - math.hypot(x, y)).clamp(0, 1)
            count += inside
            top, left = reach + y, reach + x
            total += inside * wide[:, top : top + height, left : left + width]
    return linear_to_srgb(total / count).movedim(0, -1)


def slices(image: Tensor, signed: Tensor, count: int = 32) -> Tensor:
    """Cut [H,W,3] into slices of defocus, blur each, and lay them over each other, back first."""
    light = srgb_to_linear(image).movedim(-1, 0)
    low, high = float(signed.min()), float(signed.max())
    index = ((signed - low) / max(high - low, 1e-6) * (count - 1)).round()
    out, seen = torch.zeros_like(light), torch.zeros_like(light[:1])
    for level in range(count):
        mask = (index == level).float()[None]
        radius = abs(low + (high - low) * level / (count - 1))
        layer = torch.cat([light * mask, mask])[:, None]
        reach = math.ceil(radius)
        axis = torch.arange(-reach, reach + 1.0)
        disc = (max(radius, 0.5) + 0.5 - torch.hypot(axis[:, None], axis)).clamp(0, 1)
        layer = conv2d(layer, (disc / disc.sum())[None, None], padding=reach)[:, 0]
        out = out * (1 - layer[3:]) + layer[:3]
        seen = seen * (1 - layer[3:]) + layer[3:]
    return linear_to_srgb(out / seen.clamp(min=1e-6)).movedim(0, -1)


def edge_masks(signed: np.ndarray) -> dict[str, np.ndarray]:
    """Return the pixels [H,W] within two radii of edges, and within one of either kind."""
    masks = {name: np.zeros(signed.shape, bool) for name in COLUMNS[2:]}
    radii: dict[str, np.ndarray] = {
        name: np.zeros(signed.shape, np.float32) for name in COLUMNS[3:]
    }
    for axis in (0, 1):
        a, b = np.moveaxis(signed, axis, 0)[:-1], np.moveaxis(signed, axis, 0)[1:]
        near, far = np.abs(np.maximum(a, b)), np.abs(np.minimum(a, b))
        step = np.abs(a - b) > 1
        for name, chosen in (("near-blurred", near > far), ("far-blurred", near <= far)):
            rows = np.moveaxis(radii[name], axis, 0)[:-1]
            np.maximum(rows, np.where(step & chosen, np.maximum(near, far), 0), out=rows)
    for name, field in radii.items():
        for radius in np.unique(np.ceil(field[field > 0])):
            away = distance_transform_edt(np.ceil(field) != radius)
            masks[name] |= away <= radius
            masks["edge"] |= away <= 2 * radius
    return masks


def score(found: np.ndarray, truth: np.ndarray, signed: np.ndarray) -> dict[str, float]:
    """Return PSNR in dB and SSIM of [H,W,3] sRGB; NaN where a kind of edge is not there."""
    square = (found.clip(0, 1) - truth) ** 2
    ssim = structural_similarity(
        found.clip(0, 1), truth, channel_axis=-1, data_range=1.0, gaussian_weights=True, sigma=1.5
    )
    row = {"psnr": -10 * math.log10(square.mean()), "ssim": float(ssim)}
    for name, mask in edge_masks(signed).items():
        row[name] = -10 * math.log10(square[mask].mean()) if mask.any() else math.nan
    return row


def read_picture(path: Path) -> Tensor:
    """Return an 8-bit PNG as [H,W,3], 0…1."""
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB"), np.float32) / 255)


def score_scenes(folder: Path, quality: str) -> None:
    """Print one line for each scene, render and renderer, then the means."""
    rows: dict[str, list[dict[str, float]]] = {"ours": [], "gather": [], "slices": []}
    for scene in sorted(path.parent for path in folder.glob("*/scene.json")):
        facts = json.loads((scene / "scene.json").read_text())
        image = read_picture(scene / "sharp.png")
        depth = torch.from_numpy(np.load(scene / "depth.npz")["depth"])[None]
        shape = facts.get("aperture") or facts.get("opening") or {}
        opening = Aperture(int(shape.get("blades") or 0), float(shape.get("rotation_deg") or 0))
        renders = facts["renders"]
        named = renders.items() if isinstance(renders, dict) else [(e["name"], e) for e in renders]
        for name, entry in named:
            signed = defocus(depth, entry["K"], entry["focus_depth_m"])[0]
            truth = read_picture(scene / f"gt_{name}.png").numpy()
            ours = render_bokeh(
                image[None],
                depth,
                entry["K"],
                entry["focus_depth_m"],
                aperture=opening,
                quality=quality,
            )[0]
            found = {"ours": ours, "gather": gather(image, signed), "slices": slices(image, signed)}
            for renderer, picture in found.items():
                row = score(picture.numpy(), truth, signed.numpy())
                rows[renderer].append(row)
                print_row(f"{scene.name} {name} {renderer}", row)
    for renderer, scored in rows.items():
        mean = {key: float(np.nanmean([row[key] for row in scored])) for key in COLUMNS}
        print_row(f"mean {renderer}", mean)


def print_row(title: str, row: dict[str, float]) -> None:
    """Print one row of the table."""
    print(f"{title:44s}" + "".join(f" {key} {row[key]:.3f}" for key in COLUMNS), flush=True)


def time_radii(side: int, quality: str) -> None:
    """Print the time at radii 8…64 px over that of `gather` at 8 px, and the growth exponent."""
    torch.manual_seed(0)
    image = torch.rand(1, side, side, 3)
    depth = 1 / (0.1 + torch.linspace(0, 1, side)).expand(1, side, side)
    start = time.perf_counter()
    gather(image[0], defocus(depth, 8.0, 10.0)[0])
    unit = time.perf_counter() - start
    spent = {}
    for radius in (8, 16, 32, 64):
        start = time.perf_counter()
        render_bokeh(image, depth, float(radius), 10.0, quality=quality)
        spent[radius] = time.perf_counter() - start
        print(f"radius {radius}: {spent[radius] / unit:.2f} of gather at 8 px", flush=True)
    print(f"exponent {math.log(spent[64] / spent[8]) / math.log(8):.2f}")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--quality", default="default")
    parser.add_argument("--timing", action="store_true", help="time over radii, no scores")
    parser.add_argument("--side", type=int, default=512)
    arguments = parser.parse_args()
    if arguments.timing:
        time_radii(arguments.side, arguments.quality)
    else:
        score_scenes(arguments.scenes, arguments.quality)


if __name__ == "__main__":
    main()
