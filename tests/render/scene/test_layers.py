"""Layers of a scene: occluded background that a blurred front shows, and mixed pixels."""

import math

import pytest
import torch

from bokehdepth_core import Aperture, render_bokeh
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.optics import thin_lens
from bokehdepth_core.optics.psf import LensBlur
from bokehdepth_core.render.picture import QUALITIES
from bokehdepth_core.render.scene.layers import separate_layers

SIDE, RADIUS = 96, 22.0  # px, of the picture and of the ball in it
FRONT, WALL = torch.tensor([0.1, 0.25, 0.2]), torch.tensor([0.7, 0.7, 0.7])
STRENGTH = 12.0  # px·m; the middle of the ball is at 1 m


def ball(slope, fine=1):
    """Return places, px, and disparity, 1/m, of a ball before an infinitely far wall."""
    line = (torch.arange(SIDE * fine) + 0.5) / fine - SIDE / 2
    y, x = torch.meshgrid(line, line, indexing="ij")
    share = torch.hypot(x, y) / RADIUS
    height = (1 - share.clamp(max=1) ** 2).sqrt()
    return x, y, torch.where(share <= 1, 1 - slope * (1 - height), 0.0)


def ball_through_lens(slope, samples=96):
    """Return the picture [H,W,3] of the ball, drawn for many places on the lens."""
    x, y, disparity = (part[ball(slope, 6)[2] > 0] for part in ball(slope, 6))
    cover = torch.zeros(SIDE * SIDE)
    for index in range(samples):
        radius, angle = math.sqrt((index + 0.5) / samples), index * 2.399963  # golden angle
        column = (x + STRENGTH * disparity * radius * math.cos(angle) + SIDE / 2).floor().long()
        row = (y + STRENGTH * disparity * radius * math.sin(angle) + SIDE / 2).floor().long()
        hit = torch.zeros_like(cover)
        hit[row * SIDE + column] = 1
        cover += hit / samples
    return over(cover.view(SIDE, SIDE))


def over(cover):
    """Return the front's colour over the wall's, [H,W,3], sRGB."""
    front, wall = srgb_to_linear(FRONT), srgb_to_linear(WALL)
    return linear_to_srgb(torch.lerp(wall, front, cover[..., None]))


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("slope", [0.0, 0.1, 0.3, 0.6])
def test_a_round_front_is_as_soft_as_through_a_lens_and_as_round(slope, quality):
    disparity = ball(slope)[2]
    image = over((disparity > 0).float())[None]
    out = render_bokeh(image, 1 / disparity[None], STRENGTH, math.inf, quality=quality)[0]
    # Coverage of slices that get narrower adds up to less than one, by about the slope's share.
    assert (out - ball_through_lens(slope)).square().mean() < (1e-3 if slope < 0.5 else 3e-3)
    angle = torch.arange(64) * (2 * math.pi / 64)
    for radius in (RADIUS - 3, RADIUS + 3):
        row, column = (
            (SIDE / 2 + radius * part).long() for part in (torch.sin(angle), torch.cos(angle))
        )
        # Between neighbouring rows and columns the soft edge itself changes by 0.03.
        assert out[row, column].std(0).max() < 0.025


def test_behind_the_steep_rim_of_a_ball_is_the_wall_not_the_ball():
    disparity = ball(0.6)[2]
    defocus = thin_lens.defocus(1 / disparity[None], STRENGTH, math.inf)[0]
    image = srgb_to_linear(over((disparity > 0).float())).movedim(-1, 0)
    occluded = separate_layers(image, defocus, STRENGTH).occluded
    shown = (occluded.alpha > 0) & (disparity > 0)
    assert shown.sum() > 500
    assert (occluded.defocus[shown] == 0).all()


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("turn", [0.0, 17.0, 45.0])
def test_no_trace_of_a_thin_wire_stays_on_the_sharp_wall_behind_it(turn, quality):
    angle = math.radians(turn)
    line = (torch.arange(SIDE * 8) + 0.5) / 8 - SIDE / 2
    y, x = torch.meshgrid(line, line, indexing="ij")
    across = (y * math.cos(angle) - x * math.sin(angle)).abs()
    share = (across < 1.2).float().view(SIDE, 8, SIDE, 8).mean((1, 3))
    depth = torch.where(share >= 0.5, 1.0, 5.0)[None]
    out = render_bokeh(over(share)[None], depth, 10.0, 5.0, quality=quality)[0]
    # The blurred wire covers 2.4 px of a disc 16 px wide: a soft band, 4/π of that at most.
    inner = out[20:-20, 20:-20]
    soft = 0.19 * (srgb_to_linear(WALL) - srgb_to_linear(FRONT)).max()
    wider = 2 if quality == "draft" else 1.15  # at half the size it may be 2 px wide instead
    assert (srgb_to_linear(WALL) - srgb_to_linear(inner)).max() < wider * soft
    jumps = max(inner.diff(dim=0).abs().max(), inner.diff(dim=1).abs().max())
    assert jumps < 0.03


def test_inpainted_background_is_smoother_the_farther_it_is_from_view():
    wall = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    x, y, disparity = ball(0.0)
    light = torch.where(disparity > 0, 0.2, wall)
    occluded = separate_layers(light, STRENGTH * disparity, STRENGTH).occluded
    inside = RADIUS - torch.hypot(x, y)
    spread = [
        occluded.light[:, (inside > near) & (inside < near + 2)].std() for near in (0.0, 4.0, 10.0)
    ]
    assert spread[0] > spread[1] > spread[2]
    assert spread[2] < 0.1  # of 0.29 for the wall itself
    # Weighted means of what is in view: neither darker nor brighter than that on the whole.
    assert abs(float(occluded.light[:, inside > 4].mean()) - 0.5) < 0.05


def test_another_surface_adds_nothing_to_the_inpainted_background():
    # A wire before a leaf before a wall: behind the wire the leaf goes on, and ends where it ends.
    defocus = torch.zeros(61, 61)
    defocus[:, 20:] = 8.0
    defocus[28:33] = 16.0
    light = torch.where(defocus == 8, 0.3, 0.9).expand(3, -1, -1)
    light = torch.where(defocus == 16, 0.1, light)
    occluded = separate_layers(light, defocus, 16.0).occluded
    behind_wire = occluded.light[:, 28:33]
    assert torch.allclose(behind_wire[..., :20], torch.tensor(0.9), atol=1e-6)
    assert torch.allclose(behind_wire[..., 30:], torch.tensor(0.3), atol=1e-6)
    assert behind_wire[..., 20:].mean() < 0.31  # the end itself is not known to the pixel


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_known_background_shows_where_a_blurred_front_lets_it_through(quality):
    line = (torch.arange(SIDE * 4) + 0.5) / 4 - SIDE / 2
    y, x = torch.meshgrid(line, line, indexing="ij")
    share = (torch.hypot(x, y) < RADIUS).float().view(SIDE, 4, SIDE, 4).mean((1, 3))
    # Stripes that the front hides: no one could guess them.
    wall = torch.where(torch.arange(SIDE) // 6 % 2 == 0, 0.9, 0.2)[None, :, None]
    wall = wall.expand(SIDE, SIDE, 3)
    light = torch.lerp(srgb_to_linear(wall), srgb_to_linear(FRONT), share[..., None])
    image = linear_to_srgb(light)[None]
    depth = torch.where(share >= 0.5, 1.0, 5.0)[None]
    psf = LensBlur((SIDE, SIDE), 14, Aperture(), share.device)
    cover = psf.convolve(share[None], 9.6)[0, ..., None]
    truth = linear_to_srgb(torch.lerp(srgb_to_linear(wall), srgb_to_linear(FRONT), cover))
    known = {"background": wall[None], "background_depth": torch.full_like(depth, 5.0)}
    guessed, rendered = (
        render_bokeh(image, depth, 12.0, 5.0, quality=quality, **more)[0] for more in ({}, known)
    )
    errors = [float((out - truth).square().mean()) for out in (guessed, rendered)]
    assert errors[1] < errors[0] / 5
    # The rest is what stays of mixed pixels; a draft sees two pixels as one.
    assert errors[1] < (1e-3 if quality == "draft" else 1e-4)


def test_a_background_before_the_picture_changes_nothing():
    image = torch.rand(1, 40, 50, 3, generator=torch.Generator().manual_seed(0))
    depth = torch.full((1, 40, 50), 4.0)
    depth[:, 10:30, 10:30] = 1.0
    out = render_bokeh(image, depth, 9.0, 4.0)
    nearer = render_bokeh(
        image, depth, 9.0, 4.0, background=1 - image, background_depth=torch.full_like(depth, 0.9)
    )
    torch.testing.assert_close(nearer, out, atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"background_depth": None}, "background_depth: missing. Give the background and its"),
        ({"background": None}, "background: missing. Give the background and its depth"),
        ({"background": torch.zeros(1, 9, 8, 3)}, r"background: expected \[1, 8, 8, 3\]"),
        ({"background_depth": torch.ones(1, 9, 8)}, r"background_depth: expected \[1, 8, 8\]"),
        ({"background_depth": torch.zeros(1, 8, 8)}, "background_depth: "),
    ],
)
def test_a_background_that_does_not_fit_is_named(change, message):
    known = {"background": torch.zeros(1, 8, 8, 3), "background_depth": torch.ones(1, 8, 8)}
    with pytest.raises(ValueError, match=f"^{message}"):
        render_bokeh(torch.zeros(1, 8, 8, 3), torch.ones(1, 8, 8), 5.0, 2.0, **(known | change))


def test_a_thin_thing_hides_what_passes_from_its_one_side_to_the_other():
    light = torch.linspace(0.2, 0.8, 41).expand(3, 21, 41).clone()
    defocus = torch.zeros(21, 41)
    wanted = light.clone()
    defocus[:, 19:22] = 6.0
    light[:, :, 19:22] = 0.05
    inpainted = separate_layers(light, defocus, 6.0).occluded.light
    # The one side's colour alone would be off by 0.045 in the middle.
    torch.testing.assert_close(inpainted[:, 5:16, 20], wanted[:, 5:16, 20], atol=0.01, rtol=0)
    assert (inpainted[0, 10, 19:22].diff() > 0.01).all()
