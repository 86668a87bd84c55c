"""Peak memory of rendering a clip, against how many frames it has.

    python benchmarks/clip_memory.py [--frames N ...] [--size WxH] [--steady S] [--mp4 | --node]

`bokehdepth render` takes a folder of pictures and one of depths; it writes a folder, or with --mp4
a video. With --node, *Render Bokeh* in the ComfyUI at COMFYUI_PATH takes a batch, with nothing kept
for the next run (`nodes/host/kept.py`). Printed are the peak of resident memory above what was held
before, what each further frame adds, and how long a frame takes. Needs Linux.
"""

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
STRENGTH = 12.0  # px·m
FLOAT = 4  # bytes
# Freed memory goes back at once, so that the peak is of what was held and not of its fragments.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "16384"}


def frame(index: int, width: int, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a photo [H,W,3] with a thing that moves, and its noisy depth [H,W], m."""
    random = torch.Generator().manual_seed(index)
    across, down = torch.linspace(0, 1, width), torch.linspace(0, 1, height)
    photo = torch.stack(torch.meshgrid(down, across, indexing="ij") * 2, dim=-1)[..., :3].clone()
    depth = torch.full((height, width), 4.0)
    left = width // 8 + index % (width // 4)
    part = (slice(height // 4, 3 * height // 4), slice(left, left + width // 4))
    photo[part], depth[part] = torch.tensor([0.9, 0.3, 0.1]), 1.0
    return photo, depth * (1 + 0.01 * torch.randn(height, width, generator=random))


class Peak:
    """The most resident memory since it was made, bytes above what was held then."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self._before = _status("VmRSS")

    def __call__(self) -> int:
        return _status("VmHWM") - self._before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def render_files(count: int, asked: argparse.Namespace) -> tuple[int, float]:
    """Return the peak of the command line with a clip, bytes, and seconds a frame."""
    from bokehdepth_core import DepthMap, write_depth, write_image
    from bokehdepth_core.cli import main

    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        folder = Path(name)
        for part in ("frames", "depths"):
            (folder / part).mkdir()
        for index in range(count):
            photo, depth = frame(index, *asked.size)
            write_image(folder / "frames" / f"{index}.png", photo)
            write_depth(folder / "depths" / f"{index}.npz", DepthMap(depth[None], metric=True))
        paths = [str(folder / one) for one in ("frames", "depths")]
        paths += ["-o", str(folder / ("out.mp4" if asked.mp4 else "out"))]
        lens = ["--strength", str(STRENGTH), "--focus-distance", "1", "--quality", "draft"]
        peak, begin = Peak(), time.monotonic()
        if main(["render", *paths, *lens, "--steady", str(asked.steady)]):
            raise SystemExit("the clip was not rendered")
        return peak(), (time.monotonic() - begin) / count


def render_node(count: int, asked: argparse.Namespace) -> tuple[int, float]:
    """Return the peak of *Render Bokeh* with a batch, its inputs too, bytes; seconds a frame."""
    sys.path[:0] = map(str, (ROOT / "tests", ROOT / "tests/helpers/comfyui"))
    from comfyui_pack import NAME  # it loads ComfyUI

    nodes, core = sys.modules[f"{NAME}.nodes.lens"], sys.modules[f"{NAME}.bokehdepth_core"]
    nodes.preparation = lambda *_: None
    width, height = asked.size
    peak = Peak()
    image, depth = torch.empty(count, height, width, 3), torch.empty(count, height, width)
    for index in range(count):
        image[index], depth[index] = frame(index, width, height)
    given = {"image": image, "depth": core.DepthMap(depth, metric=True), "steady": asked.steady}
    focus = {"focus_x": 0.5, "focus_y": 0.5, "focus_distance": 1.0}
    begin = time.monotonic()
    done = nodes.RenderBokeh.execute(**given, **focus, strength=STRENGTH, quality="draft")
    return peak(), (time.monotonic() - begin) / len(done.result[0])


def size_of(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return width, height


def main() -> None:
    """Print the peaks."""
    if not ENVIRONMENT.items() <= os.environ.items():  # only read when a process begins
        sys.exit(subprocess.call([sys.executable, *sys.argv], env=os.environ | ENVIRONMENT))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[20, 40, 80])
    parser.add_argument("--size", type=size_of, default=(192, 108), metavar="WxH")
    parser.add_argument("--steady", type=float, default=1.0)
    parser.add_argument("--mp4", action="store_true")
    parser.add_argument("--node", action="store_true")
    asked = parser.parse_args()
    render, found = render_node if asked.node else render_files, []
    render(2, asked)  # what is loaded and set up once
    for count in asked.frames:
        most, seconds = render(count, asked)
        found.append((count, most))
        print(f"{count:4d} frames: {most / 2**20:7.2f} MiB, {seconds:.2f} s a frame", flush=True)
    for (few, low), (many, high) in pairwise(found):
        more = (high - low) / (many - few) / (FLOAT * asked.size[0] * asked.size[1])
        print(f"{few} to {many} frames: {more:.2f} numbers a pixel for each further frame")


if __name__ == "__main__":
    main()
