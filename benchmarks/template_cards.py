"""Make the cards of workflows/: pictures of results, before on the left and after on the right.

    python benchmarks/template_cards.py [NAME-PART…]

Everything comes from the bundled scene: its photo, bracket and true depth. Cards of graphs with
models that are not at hand show what the lens does with the depth that such a model gives.
"""

import sys
from pathlib import Path

import torch
from PIL import Image
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bokehdepth_core import (
    Aperture,
    focus_depth_at,
    guess_portrait_depth,
    render_bokeh,
)
from bokehdepth_core.demo.contact_sheet import DEPTH_COLOURS, color_map
from bokehdepth_core.demo.run import load_scene
from bokehdepth_core.files.pictures.writing import quantize
from bokehdepth_core.optics.camera import intrinsics_from_focal_length, unproject

WORKFLOWS = Path(__file__).resolve().parents[1] / "workflows"
SIZE = (480, 320)  # px, width and height: about what the template browser shows
FOCAL_PX = 614.4  # of the bundled scene
SCENE = load_scene()
PHOTO = SCENE.stack.reference[None]
FACE = (0.4, 0.55)  # (x, y) of somebody in it, 1.5 m away


def portrait():
    found = guess_portrait_depth(PHOTO)
    focus = focus_depth_at(found.depth.depth, *FACE, found.alpha)
    return PHOTO[0], lens(found.depth.depth, 26.0, focus)


def depth_anything():
    return PHOTO[0], lens(SCENE.depth, 60.0, 1.5, Aperture(6, 15.0), 0.8)


def f_number():
    return PHOTO[0], lens(SCENE.depth, 45.0, 1.5)


def bracket():
    return coloured(SCENE.depth), lens(SCENE.depth, 30.0, 3.0)


def pull():
    return lens(SCENE.depth, 40.0, 1.5), lens(SCENE.depth, 40.0, float(SCENE.depth[0, 365, 440]))


def linear():
    return PHOTO[0], lens(SCENE.depth, 60.0, 1.5, Aperture(spherical_aberration=0.8), 2.5)


def stack():
    return SCENE.stack.frames[0], SCENE.stack.frames[2]


def edit():
    return PHOTO[0], SCENE.stack.frames[1]


def cloud():
    return PHOTO[0], turned(SCENE.depth, PHOTO[0])


def control():
    return PHOTO[0], coloured(SCENE.depth, ((0, 0, 0), (255, 255, 255)))


def any_depth():
    return coloured(SCENE.depth, ((0, 0, 0), (255, 255, 255))), lens(SCENE.depth, 60.0, 1.5)


CARDS = {
    "01": portrait,
    "02": depth_anything,
    "03": f_number,
    "04": bracket,
    "05": pull,
    "06": linear,
    "07": stack,
    "08": edit,
    "09": cloud,
    "10": control,
    "11": any_depth,
}


def lens(depth, strength, focus, aperture=None, boost=0.3):
    """Return the photo through a lens, [H,W,3]."""
    aperture = aperture or Aperture()
    return render_bokeh(PHOTO, depth, strength, focus, aperture=aperture, highlight_boost=boost)[0]


def coloured(depth, colours=DEPTH_COLOURS):
    """Return depth as a picture [H,W,3], near is bright."""
    disparity = depth[0].reciprocal()
    low, high = disparity.min(), disparity.max()
    return color_map((disparity - low) / (high - low), colours)


def turned(depth, picture):
    """Return the points of the depth, seen from the side, [H,W,3]: each a square of 2 px."""
    camera = intrinsics_from_focal_length(FOCAL_PX, depth.shape[2], depth.shape[1])
    points = unproject(depth, camera)[0].reshape(-1, 3)
    colour = picture.reshape(-1, 3)
    middle = torch.tensor([0.0, 0.0, 3.0])
    angle = torch.tensor(0.55)
    turn = torch.tensor([[angle.cos(), 0, angle.sin()], [0, 1, 0], [-angle.sin(), 0, angle.cos()]])
    seen = (points - middle) @ turn.T + middle + torch.tensor([0.0, 0.2, 1.2])
    order = seen[:, 2].argsort(descending=True)
    seen, colour = seen[order], colour[order]
    column = (seen[:, 0] / seen[:, 2] * FOCAL_PX + 256).long()
    row = (seen[:, 1] / seen[:, 2] * FOCAL_PX + 256).long()
    sheet = torch.full((512, 512, 3), 0.09)
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = column + dx, row + dy
            inside = (x >= 0) & (x < 512) & (y >= 0) & (y < 512)
            # Far points first, near ones over them; on the CPU the last of equal indices stays.
            sheet.view(-1, 3)[(y * 512 + x)[inside]] = colour[inside]
    return sheet


def card(before, after):
    """Return the halves of both beside each other, with a white line between."""
    width, height = SIZE
    halves = []
    for picture in (before, after):
        side = picture.shape[0]
        # The middle of the picture as wide as half a card, so that somebody is in both halves.
        wide = round(side * (width / 2) / height)
        left = min(max(0, round(FACE[0] * side - wide / 2)), side - wide)
        part = picture[:, left : left + wide].movedim(-1, 0)[None]
        halves.append(
            functional.interpolate(
                part, (height, width // 2), mode="bilinear", antialias=True, align_corners=False
            )[0].movedim(0, -1)
        )
    whole = torch.cat(halves, 1)
    whole[:, width // 2 - 1 : width // 2 + 1] = 1
    return whole


if __name__ == "__main__":
    for number, make in CARDS.items():
        files = list(WORKFLOWS.glob(f"{number} *.json"))
        for file in files:
            if len(sys.argv) > 1 and not any(one in file.name for one in sys.argv[1:]):
                continue
            shown = quantize(card(*make()), 8)
            Image.fromarray(shown).save(file.with_suffix(".jpg"), quality=88)
            print(file.with_suffix(".jpg").name)
