"""Laws of the sweep: what is blurred by a known amount is found to be blurred by that amount."""

import pytest
import torch
from torch.nn import functional

from bokehdepth_core import Aperture, BokehStack, disparity_offset, sweep_depth
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.depth.sweep.labelling.propagation import (
    cross_bilateral_votes,
    propagate_with_spread,
)
from bokehdepth_core.depth.sweep.matching.argmin import WinnerTakeAll
from bokehdepth_core.optics.psf import LensBlur

SIZE = (61, 85)


def texture(size=SIZE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, size[0] // 2 + 1, size[1] // 2 + 1, generator=generator)
    image = functional.interpolate(coarse, size, mode="bilinear", align_corners=True)
    return 0.1 + 0.8 * image[0]


def blurred(image, radius, aperture=Aperture()):  # noqa: B008 a frozen value
    size = tuple(image.shape[1:])
    blur = LensBlur(size, int(abs(radius)) + 2, aperture, image.device)
    light = blur.blur(blur.transform(srgb_to_linear(image)), radius)
    return linear_to_srgb(light.clamp(0, 1))


def stack_at(offset, strengths=(4.0, 8.0), size=SIZE, aperture=Aperture(), side=1):  # noqa: B008
    image = texture(size)
    frames = torch.stack([blurred(image, side * k * offset, aperture) for k in strengths])
    return BokehStack(image.permute(1, 2, 0), frames.permute(0, 2, 3, 1), strengths)


def test_constant_depth_is_found_everywhere():
    for offset in (0.2, 0.45, 0.9):
        found, confidence = disparity_offset(stack_at(offset))
        error = (found - offset).abs()
        # Of a pixel whose three views disagree, votes decide: a sixth of a pixel of radius here.
        assert (error < max(0.1 * offset, 0.02)).float().mean() > 0.999
        assert error.max() < max(0.1 * offset, 0.16 / 4)
        assert confidence.median() > 0.5


def test_a_sharp_stack_lies_in_the_focus_plane():
    found, _ = disparity_offset(stack_at(0.0))
    assert found.abs().max() < 0.01


def test_doubling_the_strengths_halves_the_offset():
    stack = stack_at(0.6)
    doubled = BokehStack(stack.reference, stack.frames, [2 * k for k in stack.strengths])
    once, _ = disparity_offset(stack)
    twice, _ = disparity_offset(doubled)
    torch.testing.assert_close(once, 2 * twice, rtol=1e-4, atol=1e-5)


def test_the_order_of_frames_does_not_matter():
    stack = stack_at(0.6)
    turned = BokehStack(stack.reference, stack.frames.flip(0), stack.strengths[::-1])
    torch.testing.assert_close(disparity_offset(stack)[0], disparity_offset(turned)[0])


def test_frames_of_another_brightness_give_the_same_depth():
    stack = stack_at(0.6)
    gains = torch.tensor([[0.94, 1.0, 0.97], [1.0, 0.93, 0.96]])[:, None, None]
    found, _ = disparity_offset(BokehStack(stack.reference, stack.frames * gains, stack.strengths))
    assert (found - 0.6).abs().median() < 0.06


def test_a_polygon_is_matched_by_its_own_shape_and_side():
    triangle = Aperture(blades=3, rotation=20)
    stack = stack_at(0.9, aperture=triangle, side=-1)
    found, behind = disparity_offset(stack, aperture=triangle, behind=True)
    _, before = disparity_offset(stack, aperture=triangle, behind=False)
    assert (found - 0.9).abs().median() < 0.02
    assert behind.mean() > before.mean()


def test_two_surfaces_keep_their_own_depths():
    image = texture((64, 96))
    red, blue = image.clone(), image.clone()
    red[2] *= 0.2
    blue[0] *= 0.2
    left = (torch.arange(96) < 48).float()
    frames = [
        blurred(red, 4 * 0.25 * k) * left + blurred(blue, 4 * 1.0 * k) * (1 - left) for k in (1, 2)
    ]
    reference = red * left + blue * (1 - left)
    stack = BokehStack(
        reference.permute(1, 2, 0), torch.stack(frames).permute(0, 2, 3, 1), (4.0, 8.0)
    )
    found, _ = disparity_offset(stack)
    # Up to 4 px (two sigmas of the window) from the edge, windows see both surfaces.
    assert (found[:, :44] - 0.25).abs().lt(0.04).float().mean() > 0.98
    assert (found[:, 52:] - 1.0).abs().lt(0.1).float().mean() > 0.98


def test_an_untextured_patch_takes_the_depth_around_it():
    image = texture((97, 121))
    image[:, 30:67, 40:81] = image.mean()
    frames = torch.stack([blurred(image, k * 0.6) for k in (4.0, 8.0)])
    stack = BokehStack(image.permute(1, 2, 0), frames.permute(0, 2, 3, 1), (4.0, 8.0))
    found, confidence = disparity_offset(stack)
    assert (found[30:67, 40:81] - 0.6).abs().max() < 0.06
    # Filled from all around: likely enough, but nothing that was measured.
    assert confidence[46:51, 58:63].max() < 0.5
    assert confidence[:20].median() > 0.7


@pytest.mark.parametrize(("focus", "sign"), [("nearest", -1), ("farthest", 1)])
def test_the_focus_side_gives_the_sign(focus, sign):
    depth = sweep_depth(stack_at(0.3), focus, focus_depth=2.0)
    assert depth.metric
    assert depth.depth.shape == (1, *SIZE)
    torch.testing.assert_close(
        depth.disparity.median(), torch.tensor(0.5 + sign * 0.3), rtol=0, atol=0.02
    )


def test_what_would_lie_beyond_infinity_is_sky():
    depth = sweep_depth(stack_at(0.6), "nearest", focus_depth=2.5)
    assert depth.depth.isinf().float().mean() > 0.9


def test_focus_at_infinity_leaves_the_offset_itself():
    depth = sweep_depth(stack_at(0.6), "farthest", focus_depth=float("inf"))
    assert float(depth.depth.median()) == pytest.approx(1 / 0.6, rel=0.1)


@pytest.mark.parametrize(("focus", "value"), [("nearest", 0.0), ("farthest", 1.0)])
def test_without_a_focus_depth_disparity_is_normalised(focus, value):
    depth = sweep_depth(stack_at(0.6), focus)
    assert not depth.metric
    assert float(depth.disparity.min()) >= 0
    assert float(depth.disparity.max()) <= 1
    assert float(depth.disparity.median()) == pytest.approx(value, abs=0.1)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (33, 17)])
def test_small_and_odd_pictures_work(size):
    torch.manual_seed(0)
    stack = BokehStack(torch.rand(*size, 3), torch.rand(1, *size, 3), (10.0,))
    depth = sweep_depth(stack, focus_depth=1.0)
    assert depth.depth.shape == depth.confidence.shape == (1, *size)


def test_inputs_are_not_written_into():
    stack = stack_at(0.3)
    before = stack.reference.clone(), stack.frames.clone()
    sweep_depth(stack)
    assert torch.equal(stack.reference, before[0])
    assert torch.equal(stack.frames, before[1])


def test_progress_rises_to_its_end():
    calls = []
    sweep_depth(stack_at(0.3), on_progress=lambda done, total: calls.append((done, total)))
    done, totals = zip(*calls, strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(done)
    assert done[0] == 0
    assert done[-1] == totals[-1]


def test_cancelling_stops_the_work():
    calls = []

    def cancel():
        calls.append(1)
        if len(calls) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        sweep_depth(stack_at(0.3), check_cancelled=cancel)
    assert len(calls) == 3


def test_an_unknown_focus_is_named():
    with pytest.raises(
        ValueError, match=r'^focus: expected "nearest" or "farthest", found "?\'mid'
    ):
        sweep_depth(stack_at(0.3), "mid")


@pytest.mark.parametrize("bad", [0.0, -2.0, float("nan")])
def test_a_focus_depth_that_cannot_be_is_named(bad):
    with pytest.raises(ValueError, match=r"^focus_depth: "):
        sweep_depth(stack_at(0.3), focus_depth=bad)


@pytest.mark.parametrize("radius", [0.0, 0.3, 1.7, 12.0])
@pytest.mark.parametrize("aperture", [Aperture(), Aperture(5, 10.0), Aperture(6, 0.0, 2.0)])
def test_a_spot_keeps_light_and_has_the_spread_of_its_shape(radius, aperture):
    blur = LensBlur((65, 65), 20, aperture, torch.device("cpu"))
    point = torch.zeros(1, 65, 65)
    point[0, 32, 32] = 1
    image = blur.blur(blur.transform(point), radius)[0]
    # The wrapped tail of the spot's ringing leaves the cut-out by under a percent of the light.
    assert float(image.sum()) == pytest.approx(1, abs=0.01)
    assert float(blur.transfer_function(radius)[0, 0].real) == pytest.approx(1, abs=1e-6)


def test_the_spread_of_a_disc_is_that_of_its_area():
    # Variance along an axis of a disc is r²/4: minus the curvature of its spectrum at 0.
    blur = LensBlur((200, 200), 0, Aperture(), torch.device("cpu"))
    frequency = 2 * torch.pi / 200
    for radius in (0.5, 2.0, 6.0):
        value = float(blur.transfer_function(radius)[0, 1])
        assert 2 * (1 - value) / frequency**2 == pytest.approx(radius**2 / 4, rel=0.01)


def test_a_spot_behind_focus_is_turned_by_half_a_circle():
    blur = LensBlur((41, 41), 12, Aperture(3, 15.0), torch.device("cpu"))
    point = torch.zeros(1, 41, 41)
    point[0, 20, 20] = 1
    front, behind = (blur.blur(blur.transform(point), r)[0] for r in (6.0, -6.0))
    torch.testing.assert_close(front, behind.flip(0, 1), rtol=0, atol=1e-6)
    assert (front - behind).abs().max() > 1e-3


def test_running_minimum_finds_the_vertex_of_parabolas_on_uneven_steps():
    truth = torch.tensor([[0.0, 0.7, 2.2, 3.9]])
    best = WinnerTakeAll()
    for position in (0.0, 1.0, 2.0, 3.5, 5.5):
        best.update(position, (truth - position).square())
    torch.testing.assert_close(best.vertex()[:, 1:], truth[:, 1:], rtol=0, atol=1e-5)
    assert float(best.vertex()[0, 0]) == 0


def test_propagation_keeps_confident_pixels_and_fills_the_others_within_their_colour():
    guide = torch.zeros(3, 20, 30)
    guide[:, :, 15:] = 1
    values = torch.where(guide[0] > 0, 2.0, 1.0)
    confidence = torch.zeros(20, 30)
    confidence[5:9, [3, 20]] = 1
    noisy = torch.where(confidence > 0, values, 7.0)
    filled, spread = propagate_with_spread(noisy, confidence, guide)
    assert torch.equal(filled[confidence == 1], values[confidence == 1])
    torch.testing.assert_close(filled, values, rtol=0, atol=0.05)
    assert float(spread.max()) < 0.5  # neighbours of one colour agree, though the sides differ by 1


def test_votes_come_from_confident_neighbours_of_like_colour_only():
    guide = torch.zeros(3, 24, 24)
    guide[:, :, 12:] = 1
    labels = torch.where(guide[0] > 0, 3.0, 1.5)
    votes = cross_bilateral_votes(labels, torch.ones(24, 24), guide, 5, (0, 24))
    assert (votes[3, :, 12:] > 100 * votes[1, :, 12:]).all()
    torch.testing.assert_close(votes[1, :, :12], votes[2, :, :12])
    assert cross_bilateral_votes(labels, torch.zeros(24, 24), guide, 5, (0, 24)).eq(0).all()
    torch.testing.assert_close(
        votes[:, 6:10], cross_bilateral_votes(labels, torch.ones(24, 24), guide, 5, (6, 10))
    )


def test_nothing_lies_behind_a_focus_at_infinity():
    stack = BokehStack(torch.rand(9, 9, 3), torch.rand(1, 9, 9, 3), (10.0,))
    with pytest.raises(ValueError, match="focus_depth: nothing lies behind infinity"):
        sweep_depth(stack, "nearest", focus_depth=float("inf"))
