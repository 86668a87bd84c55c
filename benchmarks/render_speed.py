"""Time the lens renderer beside a compiled gather, single thread, as ratios of one run.

    python benchmarks/render_speed.py [--kept]

Needs the package installed with its `dev` extra, and numba. A gather averages, at each pixel, over
its own blur disc: the plainest lens blur there is. Times are those of the processor.
"""

import argparse
import math
import time
from collections.abc import Callable

import numba
import numpy as np
import torch
from render import still_life

from bokehdepth_core import Aperture, defocus, render_bokeh
from bokehdepth_core.color import srgb_to_linear
from bokehdepth_core.render.preparation import PreparationCache

FOCUS = 8.0  # m; the wall of the scene
DISPARITIES = 0.875  # 1/m, between its nearest and farthest point
CASES = ((512, 16), (1024, 32))  # px, side and largest radius
KEPT_BYTES = 2**30


@numba.njit(fastmath=True)
def gather(light: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Return light [H,W,3] averaged over each pixel's disc of a radius [H,W], px."""
    height, width = radius.shape
    out = np.empty_like(light)
    for row in range(height):
        for column in range(width):
            own = max(radius[row, column], 0.5)
            reach = math.ceil(own)
            red = green = blue = weight = 0.0
            for y in range(max(0, row - reach), min(height, row + reach + 1)):
                for x in range(max(0, column - reach), min(width, column + reach + 1)):
                    share = own + 0.5 - math.sqrt((y - row) ** 2 + (x - column) ** 2)
                    if share > 0:
                        share = min(share, 1.0)
                        weight += share
                        red += share * light[y, x, 0]
                        green += share * light[y, x, 1]
                        blue += share * light[y, x, 2]
            out[row, column, 0] = red / weight
            out[row, column, 1] = green / weight
            out[row, column, 2] = blue / weight
    return out


def seconds(run: Callable[[], object]) -> float:
    """Return the processor's time that a call takes, s."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def compare(side: int, radius: int) -> None:
    """Print the time of each quality as a multiple of the gather's."""
    torch.manual_seed(0)
    image, depth = torch.rand(1, side, side, 3), still_life(side)
    strength = radius / DISPARITIES
    light = srgb_to_linear(image[0]).numpy()
    spread = defocus(depth, strength, FOCUS)[0].abs().numpy()
    gathered = seconds(lambda: gather(light, spread))
    found = {
        quality: seconds(lambda q=quality: render_bokeh(image, depth, strength, FOCUS, quality=q))
        for quality in ("default", "draft")
    }
    print(
        f"{side} px, radius {radius}: gather {gathered:.2f} s; "
        f"default {found['default'] / gathered:.2f} of it; "
        f"draft {found['draft'] / found['default']:.2f} of default",
        flush=True,
    )


def compare_kept(side: int, radius: int) -> None:
    """Print what a change of one value costs, as a share of the first render."""
    torch.manual_seed(0)
    image, depth = torch.rand(1, side, side, 3), still_life(side)
    cache, strength = PreparationCache(KEPT_BYTES), radius / DISPARITIES

    def render(factor: float = 1.0, focus: float = FOCUS, aperture: Aperture | None = None):
        aperture = aperture or Aperture()
        return lambda: render_bokeh(
            image, depth, factor * strength, focus, aperture=aperture, cache=cache
        )

    first = seconds(render())
    changes = {
        "nothing": render(),
        "aperture": render(aperture=Aperture(6)),
        "strength": render(factor=0.9),
        "focus": render(focus=4.0),
    }
    shares = ", ".join(f"{name} {seconds(run) / first:.2f}" for name, run in changes.items())
    print(f"{side} px, radius {radius}: of the first render's {first:.2f} s: {shares}", flush=True)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kept", action="store_true", help="time renders with a cache instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    gather(np.zeros((4, 4, 3), np.float32), np.ones((4, 4), np.float32))  # compiles it
    for case in CASES:
        (compare_kept if options.kept else compare)(*case)


if __name__ == "__main__":
    main()
