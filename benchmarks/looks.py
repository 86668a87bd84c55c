"""Picture of the lens looks: a field of lamps through each of them.

python benchmarks/looks.py docs/looks.jpg
"""

import argparse
import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from bokehdepth_core import LENS_LOOKS, Lens, lens_look, render_lens_look
from bokehdepth_core.color import linear_to_srgb
from bokehdepth_core.demo.contact_sheet import Panel, contact_sheet
from bokehdepth_core.files.pictures.images import quantize

SIDE, APART, COLUMNS = 384, 64, 3  # px, px, panels
RADIUS = 20.0  # px, of the blur
FRONT = 1 / 6  # of the picture's height where lamps are in front of the focus


def heart(side: int = 256) -> Tensor:
    """Return the picture of a heart, pink on its left, [side,side,3], sRGB."""
    at = torch.linspace(-1.2, 1.2, side)
    y, x = -at[:, None] + 0.1, at[None, :]
    inside = (x * x + y * y - 0.8) ** 3 - x * x * y**3 < 0
    picture = inside.float()[..., None].expand(-1, -1, 3).clone()
    picture[:, : side // 2, 1] *= 0.6
    return picture


def lamps() -> tuple[Tensor, Tensor]:
    """Return linear light of a grid of lamps, and their depth: the upper ones in front."""
    image = torch.full((1, SIDE, SIDE, 3), 0.02)
    middles = torch.arange(APART // 2, SIDE, APART)
    for row in middles:
        image[0, row - 1 : row + 2, (middles[:, None] + torch.arange(-1, 2)).flatten()] = 90.0
    depth = torch.full((1, SIDE, SIDE), math.inf)
    depth[:, : int(FRONT * SIDE)] = 0.5
    return image, depth


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="picture to write")
    output, (light, depth) = parser.parse_args().output, lamps()
    looks = [*LENS_LOOKS.values(), lens_look(aperture_image=heart(), fringe=0.0)]

    def field(lens: Lens) -> Tensor:
        out = render_lens_look(
            lens, light, depth, RADIUS, 1.0, color_space="linear Rec.709", refine_depth=False
        )
        return linear_to_srgb(out[0]).clamp(0, 1)

    names = [lens.name for lens in looks[:-1]] + ["an own opening: a two-coloured heart"]
    panels = [
        Panel(field(lens), name, f"fringe {lens.fringe:g}")
        for lens, name in zip(looks, names, strict=True)
    ]
    sheet = contact_sheet(
        "Lens looks",
        f"Lamps blurred by {RADIUS:g} px, the uppermost row in front of the focus",
        [panels[i : i + COLUMNS] for i in range(0, len(panels), COLUMNS)],
    )
    Image.fromarray(quantize(sheet, 8)).save(output, quality=80)


if __name__ == "__main__":
    main()
