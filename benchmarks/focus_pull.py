"""Frames of a focus pull from one photo, and how far neighbouring frames differ.

python benchmarks/focus_pull.py docs/focus_pull.jpg
"""

import argparse
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image

from bokehdepth_core import focus_track, render_focus_pull
from bokehdepth_core.demo.contact_sheet import Panel, contact_sheet
from bokehdepth_core.demo.run import load_scene
from bokehdepth_core.files.pictures.images import quantize
from bokehdepth_core.optics.focus.plot import plot_focus_track

KEYFRAMES = "0: 0.84,0.77; 4: 0.84,0.77; 20: 14 m ease; 24: 14 m"
STRENGTH = 30.0  # px·m, at half the size of the scene
SHOWN = (0, 10, 12, 14, 24)


def main() -> None:
    """Write the picture, and print the changes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="picture to write")
    output, scene = parser.parse_args().output, load_scene()
    photo, depth = scene.stack.reference[None, ::2, ::2].contiguous(), scene.depth[:, ::2, ::2]
    track = focus_track(depth, KEYFRAMES)
    frames = [one[0].clamp(0, 1) for one in render_focus_pull(photo, depth, STRENGTH, track)]
    for index, (one, other) in enumerate(pairwise(frames)):
        change = 255 * (other - one).abs()
        print(
            f"{index:2d} to {index + 1:2d}: mean {change.mean():5.2f}, largest {change.max():5.1f}"
        )
    plot = plot_focus_track(track, (320, 320))
    panels = [
        Panel(frames[one], f"frame {one}", f"focus at {float(track.focus_depth[one]):.3g} m")
        for one in SHOWN
    ]
    panels.append(Panel(torch.as_tensor(plot), "the plot of Focus Pull", KEYFRAMES))
    title = f"A focus pull of {len(track)} frames from one photo"
    sheet = contact_sheet(title, "Even in disparity, eased", [panels[:3], panels[3:]])
    Image.fromarray(quantize(sheet, 8)).save(output, quality=85)


if __name__ == "__main__":
    main()
