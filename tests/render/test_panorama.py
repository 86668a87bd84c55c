"""360° panoramas: their joint is a place like any other."""

import pytest
import torch

from bokehdepth_core import Aperture, DepthMap, FocusControls, render_bokeh
from bokehdepth_core.optics.focus.track import focus_track
from bokehdepth_core.render import picture as rendering
from bokehdepth_core.render.finish.focus_view import focus_view
from bokehdepth_core.render.finish.grain import Grain, add_grain
from bokehdepth_core.render.focus_pull import render_focus_pull
from bokehdepth_core.render.highlights import HighlightBoost
from bokehdepth_core.render.panorama import panorama_doubts
from bokehdepth_core.render.tiles import cut_tiles
from bokehdepth_core.resample import fit_depth

# Single precision: a transform of 2^13 values errs by up to 13 · 6e-8, about 1e-6 of white. Up to
# 20 slices add up, divided by what they cover, a quarter at least. A step of 8 bits is 40 times it.
ROUNDING = 1e-4


def scene(height=40, width=64):
    """Return a photo and soft-edged depth [1,H,W]: a near post and lamps across the joint."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, height + 4, width + 4, generator=generator)
    photo = torch.nn.functional.avg_pool2d(noise, 5, 1).movedim(1, -1)
    disparity = torch.full((1, height, width), 0.1)
    disparity[:, height // 2 :] = torch.linspace(0.1, 0.5, height - height // 2)[:, None]
    disparity[:, 5:30, :5] = disparity[:, 5:30, -4:] = 1.0
    disparity[:, 12:, 30:42] = 0.6
    photo[:, 10, 3:5] = photo[:, 34, -1:] = 1.0
    around = torch.cat([disparity[..., -2:], disparity, disparity[..., :2]], -1)
    around = torch.nn.functional.pad(around, (0, 0, 2, 2), mode="replicate")
    return photo, 1 / torch.nn.functional.avg_pool2d(around, 5, 1)


def difference_when_rolled(photo, depth, columns, **options):
    """Return by how much a picture that is rolled, rendered and rolled back differs."""
    whole = render_bokeh(photo, depth, 7.0, 4.0, wrap=True, **options)
    rolled = {
        name: one.roll(columns, 2) if isinstance(one, torch.Tensor) else one
        for name, one in options.items()
    }
    out = render_bokeh(
        photo.roll(columns, 2), depth.roll(columns, 2), 7.0, 4.0, wrap=True, **rolled
    )
    return float((out.roll(-columns, 2) - whole).abs().max())


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((40, 64), {}),
        ((39, 63), {"quality": "final"}),
        ((40, 64), {"quality": "draft"}),
        ((40, 64), {"highlight_boost": 4.0}),
        ((39, 63), {"color_space": "linear Rec.709", "aperture": Aperture(5, 20.0, 0.7)}),
        ((40, 64), {"controls": FocusControls(front_strength=6.0)}),  # 32 px: half the width
    ],
    ids=["", "final, odd", "draft", "lamps", "linear, blades, odd", "wide"],
)
def test_a_rolled_panorama_is_the_rolled_picture(size, options):
    photo, depth = scene(*size)
    assert difference_when_rolled(photo, depth, 24, **options) < ROUNDING


def test_layers_given_beside_the_photo_roll_with_it():
    photo, depth = scene()
    light = {"color_space": "linear Rec.709"}
    near = (depth < 3).float()
    known = {"background": photo.flip(2), "background_depth": torch.full_like(depth, 12.0)}
    assert difference_when_rolled(photo, depth, 19, **known) < ROUNDING
    assert difference_when_rolled(photo, depth, 19, hold_out=near, **light) < ROUNDING
    cut_out = {"alpha": near, "premultiplied": True, **light}
    assert difference_when_rolled(photo * near[..., None], depth, 19, **cut_out) < ROUNDING


def test_a_draft_of_an_odd_width_joins_as_well_as_it_draws():
    photo, depth = scene(40, 63)
    draft = render_bokeh(photo, depth, 7.0, 4.0, wrap=True, quality="draft")
    error = (draft - render_bokeh(photo, depth, 7.0, 4.0, wrap=True)).abs().mean((0, 1, 3))
    assert error[[-2, -1, 0, 1]].mean() < 2 * error.mean()


def test_without_wrap_the_joint_shows_and_with_it_the_middle_stays():
    photo, depth = scene()
    plain, joined = (render_bokeh(photo, depth, 7.0, 4.0, wrap=one) for one in (False, True))
    assert (plain - joined).abs().max() > 10 / 255
    # Beyond what the blur of 6 px spreads there is the ripple of its cut-off spectrum, and one
    # pixel whose background is another of two that are about as near.
    difference = (plain - joined)[:, :, 20:44].abs().amax((0, 3))
    assert difference.max() < 1 / 255
    assert (difference > 0.2 / 255).sum() <= 1


def test_tiles_go_on_at_the_other_end(monkeypatch):
    photo, depth = scene(96, 150)
    whole = render_bokeh(photo, depth, 4.0, 4.0, wrap=True)
    monkeypatch.setattr(
        rendering, "cut_tiles", lambda *sizes, wraps: cut_tiles(*sizes, 100, wraps=wraps)
    )
    tiled = render_bokeh(photo, depth, 4.0, 4.0, wrap=True)
    torch.testing.assert_close(tiled, whole, atol=0.5 / 255, rtol=0)  # as `test_tiles.py` has it


def test_a_focus_pull_wraps_and_its_frames_are_the_plain_ones():
    photo, depth = scene()
    track = focus_track(depth, "0: 4 m")
    (frame,) = render_focus_pull(photo, depth, 7.0, track, wrap=True)
    assert torch.equal(frame, render_bokeh(photo, depth, 7.0, 4.0, wrap=True))


def test_lamps_outline_and_grain_look_across_the_joint():
    photo, depth = scene()
    light = photo[0].movedim(-1, 0)
    share = HighlightBoost(1.0).share(light, wraps=True)
    assert torch.equal(HighlightBoost(1.0).share(light.roll(9, 2), wraps=True).roll(-9, 1), share)
    radius = 9 * (depth.reciprocal() - 0.3)
    view = focus_view(photo, radius, wraps=True)
    assert torch.equal(
        focus_view(photo.roll(9, 2), radius.roll(9, 2), wraps=True).roll(-9, 2), view
    )
    grain = Grain(torch.full((8, 3), 0.05), 1.5, 0.0)
    flat = torch.full((64, 64, 3), 0.5)
    noisy = add_grain(flat, torch.full((64, 64), 9.0), grain, 1.0, seed=0, wraps=True)
    steps = (noisy.roll(-1, 1) - noisy).square().mean((0, 2)).sqrt()
    assert steps[-1] < 1.5 * steps[:-1].mean()  # unjoined noise would step 1/0.33 times as much


def test_coarse_depth_is_made_finer_across_the_joint():
    depth = 1 / torch.linspace(0.1, 1.0, 16).expand(1, 8, 16)
    fine = fit_depth(DepthMap(depth), (16, 32), soft_edges=True, wraps=True).depth
    rolled = fit_depth(DepthMap(depth.roll(3, 2)), (16, 32), soft_edges=True, wraps=True).depth
    torch.testing.assert_close(rolled.roll(-6, 2), fine)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"controls": FocusControls(tilt=5.0)},
            "tilt: use 0, or turn wrap off: a 360° panorama l",
        ),
        ({"controls": FocusControls(swing=5.0)}, "swing: use 0, or turn wrap off"),
        (
            {"aperture": Aperture(cat_eye=0.5)},
            "cat_eye: use 0, or turn wrap off: a 360° panorama h",
        ),
        ({"aperture": Aperture(swirl=0.5)}, "swirl: use 0, or turn wrap off"),
    ],
)
def test_what_a_panorama_cannot_have_is_refused(options, message):
    photo, depth = scene()
    with pytest.raises(ValueError, match=message):
        render_bokeh(photo, depth, 7.0, 4.0, wrap=True, **options)


def test_pictures_that_do_not_join_are_doubted():
    ramp = torch.linspace(0, 1, 64).expand(32, 64)[None, ..., None].expand(1, 32, 64, 3)
    assert panorama_doubts(ramp).startswith("wrap: turn it off if this is no 360° panorama")
    assert panorama_doubts(torch.cat([ramp, ramp.flip(2)], 2)[:, :, ::2]) == ""
