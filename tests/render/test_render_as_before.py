"""What was rendered before the controls of a compositor's lens came, it is rendered still.

"cat_eye" is from when vignetted blur became the mean that each pixel sees: light was up to a tenth
too bright or too dark before. Since then specks beside depth edges are gone: 0.2 to 0.5 % of the
values of each picture changed. Depth edges are those of the next lower power of √2 of the strength:
the values around them changed by up to 1 of 255. A mirrored photo gives the mirrored picture now:
where neighbours are equally near another one is taken, and beside two edges here up to 1.5 % of the
values changed by more than 4 of 255. Of cells of "draft" that are half near the far half counts,
those that no edge crosses have their mean depth, and pixels are parted at full size only beside
what is in focus.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bokehdepth_core import Aperture, render_bokeh

FILE = Path(__file__).parents[1] / "data" / "render_before_controls.safetensors"
RECIPES = {
    "default": {},
    "boosted": {"highlight_boost": 2.0, "aperture": Aperture(6, 15.0)},
    "draft": {"quality": "draft", "refine_depth": False},
    "linear": {"color_space": "linear Rec.709", "highlight_boost": 1.0},
    "cat_eye": {"aperture": Aperture(cat_eye=0.7, spherical_aberration=0.5)},
}


def scene():
    """Return a picture with lamps and depth with fronts, both made of formulas alone."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(56.0), indexing="ij")
    waves = torch.stack([(x * 7 + y * 3) % 11, (x * 2 + y * 5) % 13, (x + y) % 7], -1) / 13
    waves[(x % 17 == 8) & (y % 13 == 6)] = 1.0
    depth = 2 + y / 20
    depth[10:30, 8:24] = 1.0
    depth[5:20, 36:50] = 9.0
    return waves[None], depth[None]


@pytest.mark.parametrize("name", RECIPES)
def test_a_render_without_controls_is_what_it_was(name):
    image, depth = scene()
    found = render_bokeh(image, depth, 7.0, 2.0, **RECIPES[name])
    # Bit for bit on one build of torch; transforms of another round differently, by some 1e-6.
    torch.testing.assert_close(found, load_file(FILE)[name], atol=2e-5, rtol=0)
