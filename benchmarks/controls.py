"""Picture of what each control of a compositor's lens does, on the bundled scene.

python benchmarks/controls.py docs/controls.jpg
"""

import argparse
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate as resize

from bokehdepth_core import FocusControls, find_subject, focus_depth_at, render_bokeh
from bokehdepth_core.demo.contact_sheet import Panel, contact_sheet
from bokehdepth_core.demo.run import load_scene
from bokehdepth_core.files.pictures.images import quantize
from bokehdepth_core.optics.camera import intrinsics_from_focal_length
from bokehdepth_core.optics.focus import controlled_defocus
from bokehdepth_core.optics.focus.controls import strength_in_px
from bokehdepth_core.render.finish.focus_view import focus_view

STRENGTH, COLUMNS = 60.0, 3
OF_WIDTH = 12.0  # % of the picture's width, times metres
FOCAL_LENGTH = 614.4  # px, of the scene
BALL = (0.84, 0.77)  # the stone ball, x and y
NOISE = 0.04  # standard deviation of the noise that grain is measured in, sRGB
DETAIL = (slice(330, 490), slice(340, 500))  # the ball, and what is blurred beside it
JOINT = 180  # column of the scene that becomes the border of a panorama
AS_IT_IS = FocusControls()
SHOTS = {
    "as the lens has it": (AS_IT_IS, {}),
    "focus_range 6": (FocusControls(focus_range=6.0), {}),
    "front_strength 0": (FocusControls(front_strength=0.0), {}),
    "back_strength 2": (FocusControls(back_strength=2.0), {}),
    "max_radius 8": (FocusControls(max_radius=8.0), {}),
    "tilt 45: the plane leans back": (FocusControls(tilt=45.0), {}),
    "swing 45: its right part goes back": (FocusControls(swing=45.0), {}),
    "highlight_boost 4, threshold 0.4": (
        AS_IT_IS,
        {"highlight_boost": 4.0, "highlight_threshold": 0.4},
    ),
    "highlight_boost 4, threshold 0.95": (
        AS_IT_IS,
        {"highlight_boost": 4.0, "highlight_threshold": 0.95},
    ),
}


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="picture to write")
    output, scene = parser.parse_args().output, load_scene()
    photo, depth = scene.stack.reference[None], scene.depth
    focus = focus_depth_at(depth, *BALL)
    camera = intrinsics_from_focal_length(FOCAL_LENGTH, depth.shape[2], depth.shape[1])

    def shot(controls: FocusControls, options: dict[str, float]) -> Tensor:
        turning = {"intrinsics": camera, "focus_point": BALL}
        out = render_bokeh(photo, depth, STRENGTH, focus, controls=controls, **turning, **options)
        return out[0].clamp(0, 1)

    def grainy(grain: float) -> Tensor:
        noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
        noisy = (photo + NOISE * noise).clamp(0, 1)
        out = render_bokeh(noisy, depth, STRENGTH, focus, grain=grain, quality="draft")
        return out[0][DETAIL].clamp(0, 1)

    panels = [Panel(shot(*recipe), title) for title, recipe in SHOTS.items()]
    panels += [
        Panel(grainy(one), f"a noisy photo, grain {one:g}", "a detail") for one in (0.0, 1.0)
    ]
    subject = find_subject(photo, depth)
    found = controlled_defocus(depth, STRENGTH, subject.focus_depth)
    x, y = subject.point[0].tolist()
    note = f"the subject was found around {x:.2f}, {y:.2f}"
    panels.append(Panel(focus_view(photo, found)[0], "focus_mode automatic: focus_view", note))
    found = controlled_defocus(depth, STRENGTH, focus)
    note = "focused on the ball: front and back in two colours"
    panels.append(Panel(focus_view(photo, found)[0], "focus_view", note))
    panels += [
        Panel(of_width(photo, depth, focus, size), f"{OF_WIDTH:g} % of width", f"{size} px wide")
        for size in (512, 128)
    ]
    panels += [
        Panel(joint(photo, depth, focus, wrap=one), f"a panorama, wrap {word}", "its joint")
        for word, one in (("off", False), ("on", True))
    ]
    panels.append(Panel(joint(photo, depth, focus), "the same turned by half", "no joint in view"))
    sheet = contact_sheet(
        "The controls of a compositor's lens",
        f"The bundled scene, K = {STRENGTH:g} px·m, focused on the stone ball",
        [panels[i : i + COLUMNS] for i in range(0, len(panels), COLUMNS)],
    )
    Image.fromarray(quantize(sheet, 8)).save(output, quality=85)


def of_width(photo: Tensor, depth: Tensor, focus: Tensor, size: int) -> Tensor:
    """Return the scene rendered `size` px wide with one strength in % of width, [H,W,3]."""
    whole = photo.shape[1:3]
    small = resize(photo.movedim(-1, 1), size=(size, size), mode="area")
    near = resize(depth[None], size=(size, size), mode="nearest")[0]
    strength = strength_in_px(OF_WIDTH, "% of width", size)
    out = render_bokeh(small.movedim(1, -1), near, strength, focus)
    return resize(out.movedim(-1, 1), size=whole, mode="nearest")[0].movedim(0, -1).clamp(0, 1)


def joint(photo: Tensor, depth: Tensor, focus: Tensor, wrap: bool | None = None) -> Tensor:
    """Return [H,H,3] around the joint of a panorama: the scene and its mirror image, turned.

    Args:
        photo: [1,H,W,3].
        depth: [1,H,W], m.
        focus: [1], m.
        wrap: whether the borders are joined; None turns the panorama so that no joint is there.
    """
    size = photo.shape[2]
    turn = size - JOINT if wrap is None else -JOINT
    around, far = (torch.cat([one, one.flip(2)], 2).roll(turn, 2) for one in (photo, depth))
    out = render_bokeh(around, far, STRENGTH, focus, wrap=bool(wrap))
    middle = out if wrap is None else out.roll(size, 2)
    return middle[0, :, size // 2 : size + size // 2].clamp(0, 1)


if __name__ == "__main__":
    main()
