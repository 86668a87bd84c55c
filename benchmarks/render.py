"""Score and time the lens renderer beside two plain ones, in one run.

    python benchmarks/render.py scores SCENES [--quality final] [--reduce 4] [--soften 3]
                                              [--no-refine] [--no-baselines]
                                              [--only far_k15] [--sheet crops.jpg]
    python benchmarks/render.py costs [--side 1024]

Needs the package installed with its `dev` extra. SCENES holds folders of a sharp picture, its
depth and its true pictures through a lens, with a `scene.json` that describes them.
"""

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from memory import peak_bytes
from PIL import Image
from plain_renderers import gather, slices
from scenes import EDGES, Shot, energy, read_shots, score
from torch import Tensor

from bokehdepth_core import defocus, render_bokeh
from bokehdepth_core.demo.contact_sheet import Panel, contact_sheet
from bokehdepth_core.files.pictures.images import quantize
from bokehdepth_core.optics.aperture import DISC
from bokehdepth_core.render.renderer import QUALITIES

COLUMNS = ("psnr", "ssim", *EDGES, "light", "lamps", "seconds")
ERRORS = ("light", "lamps")  # %, signed; means are of their size
RADII = (8, 16, 32, 64)
GATHERED = 16  # px; beyond it the gathering baseline is extrapolated by its own growth
CROP = 128  # px
Render = Callable[[Tensor, Tensor, Shot], Tensor]


def renderers(quality: str, refine: bool, baselines: bool) -> dict[str, Render]:
    """Return the renderers by name: picture [H,W,3] and depth [1,H,W] to picture."""

    def ours(image: Tensor, depth: Tensor, shot: Shot) -> Tensor:
        return render_bokeh(
            image[None],
            depth,
            shot.strength,
            shot.focus,
            aperture=shot.aperture,
            quality=quality,
            refine_depth=refine,
        )[0]

    def plain(form: Callable[[Tensor, Tensor, object], Tensor]) -> Render:
        return lambda image, depth, shot: form(
            image, defocus(depth, shot.strength, shot.focus)[0], shot.aperture
        )

    return {"ours": ours} | (
        {"gather": plain(gather), "slices": plain(slices)} if baselines else {}
    )


def degrade(depth: Tensor, reduce: int, soften: float) -> Tensor:
    """Return depth [1,H,W] as a network might give it: coarser by a factor, or soft, in px."""
    disparity = 1 / depth[None]
    if reduce > 1:
        small = F.interpolate(disparity, scale_factor=1 / reduce, mode="area")
        disparity = F.interpolate(small, size=depth.shape[1:], mode="bilinear")
    if soften > 0:
        reach = math.ceil(3 * soften)
        line = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * soften**2))
        line = (line / line.sum()).reshape(1, 1, 1, -1)
        for kernel, border in (
            (line, (reach, reach, 0, 0)),
            (line.transpose(2, 3), (0, 0, reach, reach)),
        ):
            disparity = F.conv2d(F.pad(disparity, border, mode="replicate"), kernel)
    return 1 / disparity[0]


def score_shots(options: argparse.Namespace) -> None:
    """Print one line for each shot and renderer, the means by kind of shot, and those of all."""
    rows: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    sheet: dict[str, list[Panel]] = {}
    contestants = renderers(options.quality, options.refine, options.baselines)
    for shot in read_shots(options.scenes):
        if options.only not in (None, shot.name):
            continue
        depth = degrade(shot.depth, options.reduce, options.soften)
        signed = defocus(shot.depth, shot.strength, shot.focus)[0]
        found = {}
        for name, render in contestants.items():
            start = time.perf_counter()
            found[name] = render(shot.image, depth, shot)
            seconds = time.perf_counter() - start
            row = score(found[name], shot.truth, signed)
            row |= {"seconds": seconds, "lamps": lamps_error(render, depth, shot)}
            print_row(f"{shot.scene} {shot.name} {name}", row)
            for group in (shot.scene, shot.name, "all"):
                rows[group, name].append(row)
        sheet[shot.scene] = crops(shot, found, signed)
    for (group, name), scored in sorted(rows.items()):
        print_row(f"mean of {group}, {name}", mean(scored))
    if options.sheet:
        page = contact_sheet("Where a blurred edge is hardest", "", list(sheet.values()))
        Image.fromarray(quantize(page, 8)).save(options.sheet, quality=85, optimize=True)


def lamps_error(render: Render, depth: Tensor, shot: Shot) -> float:
    """Return by what share, in %, the light of lamps above 1 is too much; NaN without any."""
    if shot.image_hdr is None or shot.truth_hdr is None:
        return math.nan
    lights = [energy(render(image, depth, shot)) for image in (shot.image_hdr, shot.image)]
    wanted = energy(shot.truth_hdr) - energy(shot.truth)
    return 100 * ((lights[0] - lights[1]) / wanted - 1)


def crops(shot: Shot, found: dict[str, Tensor], signed: Tensor) -> list[Panel]:
    """Return the crop where the worst of the plain renderers, or else ours, errs most."""
    worst = found.get("slices", found["ours"])
    square = (worst.clamp(0, 1) - shot.truth).square().mean(-1)[None, None]
    spread = F.avg_pool2d(square, CROP, 1)[0, 0]
    row, column = divmod(int(spread.argmax()), spread.shape[1])
    pictures = {"sharp": shot.image, "truth": shot.truth} | found
    return [
        Panel(picture[row : row + CROP, column : column + CROP].clamp(0, 1), name, note)
        for name, picture in pictures.items()
        for note in [f"{shot.scene} {shot.name}, {float(signed.abs().max()):.0f} px"]
    ]


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of every column; of an error, that of its size."""
    columns = {key: np.array([row[key] for row in rows]) for key in COLUMNS}
    columns |= {key: np.abs(columns[key]) for key in ERRORS}
    return {
        key: float(np.nanmean(values)) if np.isfinite(values).any() else math.nan
        for key, values in columns.items()
    }


def print_row(title: str, row: dict[str, float]) -> None:
    """Print one row of the table."""
    print(f"{title:44s}" + "".join(f" {key} {row[key]:.3f}" for key in COLUMNS), flush=True)


def print_costs(side: int) -> None:
    """Print time over radii as a share of the gathering baseline's, growth, and peak memory."""
    torch.manual_seed(0)
    image, depth = torch.rand(side, side, 3), still_life(side)
    gathered = {}
    for radius in (GATHERED // 2, GATHERED):
        start = time.perf_counter()
        gather(image, defocus(depth, radius / 0.875, 8.0)[0], DISC)
        gathered[radius] = time.perf_counter() - start
    growth = math.log2(gathered[GATHERED] / gathered[GATHERED // 2])
    print(f"{side} x {side} px; gather grows with r^{growth:.2f}, measured to {GATHERED} px")
    default_at_32 = math.nan
    for quality in ("default", "draft", "final"):
        seconds = {}
        for radius in RADII:
            start = time.perf_counter()
            render_bokeh(image[None], depth, radius / 0.875, 8.0, quality=quality)
            seconds[radius] = time.perf_counter() - start
            plain = gathered[GATHERED] * (radius / GATHERED) ** growth
            print(
                f"{quality} radius {radius}: {seconds[radius]:.2f} s, "
                f"1/{plain / seconds[radius]:.1f} of gather",
                flush=True,
            )
        exponent = math.log(seconds[RADII[-1]] / seconds[RADII[0]]) / math.log(RADII[-1] / RADII[0])
        default_at_32 = seconds[32] if quality == "default" else default_at_32
        print(f"{quality} grows with r^{exponent:.2f}; at 32 px", end=" ")
        print(f"{seconds[32] / default_at_32:.2f} of the default's time")
    for quality in QUALITIES:
        held = peak_bytes(lambda q=quality: render_bokeh(image[None], depth, 36.6, 8.0, quality=q))
        print(f"{quality} peak memory at 32 px: {held / 4 / side**2:.1f} floats a pixel")


def still_life(side: int) -> Tensor:
    """Return depth [1,S,S] m: a far wall, a floor, and six round things before them."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    slope = 1 + 7 * (rows - side // 2) / (side / 2)
    depth = torch.where(rows > side // 2, 8 / slope, 8.0)
    for index in range(6):
        away = torch.hypot(columns - (0.15 * index + 0.1) * side, rows - (0.2 + 0.1 * index) * side)
        depth[away < 0.07 * side] = 1 + 0.3 * index
    return depth[None]


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    scores = commands.add_parser("scores", help="quality on ray-traced scenes")
    scores.add_argument("scenes", type=Path)
    scores.add_argument("--quality", default="default", choices=list(QUALITIES))
    scores.add_argument("--reduce", type=int, default=1, help="factor by which depth is coarser")
    scores.add_argument("--soften", type=float, default=0.0, help="px of Gaussian blur of depth")
    scores.add_argument("--no-refine", dest="refine", action="store_false", help="keep soft depth")
    scores.add_argument("--no-baselines", dest="baselines", action="store_false")
    scores.add_argument("--only", metavar="NAME", help="one kind of shot, such as far_k15")
    scores.add_argument("--sheet", type=Path, help="write a picture of crops")
    costs = commands.add_parser("costs", help="time and memory")
    costs.add_argument("--side", type=int, default=1024)
    options = parser.parse_args()
    if options.command == "scores":
        score_shots(options)
    else:
        print_costs(options.side)


if __name__ == "__main__":
    main()
