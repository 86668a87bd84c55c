"""Picture of what each lens opening makes of lamps behind the focus plane.

python benchmarks/apertures.py docs/aperture.jpg
"""

import argparse
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from bokehdepth_core import Aperture, render_bokeh
from bokehdepth_core.demo.contact_sheet import Panel, contact_sheet
from bokehdepth_core.files.pictures.images import quantize

SIDE, RADIUS, COLUMNS = 288, 20.0, 3
LAMPS = (0.14, 0.5, 0.86)  # their places, shares of a side
OPENINGS = {
    "disc": Aperture(),
    "6 blades": Aperture(6, 15.0),
    "6 blades, curvature 0.5": Aperture(6, 15.0, curvature=0.5),
    "anamorphic 0.6": Aperture(anamorphic=0.6),
    "aberration +0.9": Aperture(spherical_aberration=0.9),
    "aberration -0.9": Aperture(spherical_aberration=-0.9),
    "obstruction 0.5": Aperture(obstruction=0.5),
    "cat eye 0.8": Aperture(cat_eye=0.8),
    "5 blades, cat eye 0.8": Aperture(5, 20.0, curvature=0.3, cat_eye=0.8),
}


def lamps() -> Tensor:
    """Return [1,SIDE,SIDE,3], dim points of light, brighter than white, on a dark wall."""
    picture = torch.full((1, SIDE, SIDE, 3), 0.08)
    colours = torch.tensor([[4.6, 4.0, 3.2], [4.6, 3.1, 2.0], [3.2, 3.8, 4.6]])
    for row, y in enumerate(LAMPS):
        for column, x in enumerate(LAMPS):
            top, left = int(y * SIDE) - 2, int(x * SIDE) - 2
            picture[0, top : top + 4, left : left + 4] = colours[(row + column) % 3]
    return picture


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="picture to write")
    output, picture = parser.parse_args().output, lamps()
    depth = torch.full(picture.shape[:3], 10.0)
    strength = RADIUS / (1 / 2 - 1 / 10)
    panels = [
        Panel(render_bokeh(picture, depth, strength, 2.0, aperture=opening)[0].clamp(0, 1), title)
        for title, opening in OPENINGS.items()
    ]
    sheet = contact_sheet(
        "Lamps behind the focus plane",
        f"{SIDE} x {SIDE} px, blur radius {RADIUS:g} px; Aperture(blades, rotation, anamorphic, "
        "curvature, spherical_aberration, cat_eye, obstruction)",
        [panels[i : i + COLUMNS] for i in range(0, len(panels), COLUMNS)],
    )
    Image.fromarray(quantize(sheet, 8)).save(output, quality=85)


if __name__ == "__main__":
    main()
