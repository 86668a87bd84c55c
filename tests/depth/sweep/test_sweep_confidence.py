"""What a sweep says about its own depth: whose blur a pixel shows, and what nothing tells."""

import logging

import pytest
import torch
from test_sweep import blurred, stack_at, texture

from bokehdepth_core import BokehStack, disparity_offset, sweep_depth
from bokehdepth_core.color import linear_to_srgb
from bokehdepth_core.depth.sweep.frame_faults import faults_of, frame_faults
from bokehdepth_core.depth.sweep.labelling.confidence import confidence_of, signs_of
from bokehdepth_core.depth.sweep.labelling.ownership import own_share
from bokehdepth_core.depth.sweep.labelling.resolution import resolved_disparity


def test_a_wire_owns_its_blur_and_smooth_sky_beside_it_does_not():
    picture = torch.full((3, 41, 41), 0.9)
    picture[:, :, 19:22] = 0.2
    share = own_share(picture, 0.0, torch.full((41, 41), 0.1))
    assert share[:, 19:22].min() == 1
    # 3 px of 9 are the wire: the sky is the larger part of the windows of its own pixels.
    assert share[:, :18].max() == share[:, 23:].max() == 0


def test_a_faint_wall_beside_a_dark_wire_has_less_of_a_say_than_alone():
    random = torch.Generator().manual_seed(0)
    wall = 0.6 + 0.02 * torch.rand(3, 41, 41, generator=random)
    both, worst = wall.clone(), torch.full((41, 41), 2e-3)
    both[:, :, 19:22] = 0.2
    alone, beside = own_share(wall, 0.0, worst), own_share(both, 0.0, worst)
    # Closing takes the wire away, and with it contrast that is not the wall's.
    assert (beside[:, 22:24] < 0.75 * alone[:, 22:24]).float().mean() > 0.9
    assert torch.equal(beside[:, 30:], alone[:, 30:])
    assert beside[:, 19:22].min() == 1


def test_texture_is_a_surface_s_own():
    light = 0.4 + 0.1 * torch.rand(3, 33, 33, generator=torch.Generator().manual_seed(0))
    assert own_share(light, 0.0, torch.full((33, 33), 2e-3)).min() > 0.9


def test_sky_beside_a_blurred_wire_is_not_sure_of_the_wire_s_depth():
    sky = torch.full((3, 96, 96), 0.8)
    wire = torch.zeros(1, 96, 96)
    wire[:, :, 46:49] = 1
    picture = sky * (1 - wire) + 0.1 * wire
    frames = torch.stack([blurred(picture, k * 0.8) for k in (5.0, 10.0)]).permute(0, 2, 3, 1)
    stack = BokehStack(picture.permute(1, 2, 0), frames, (5.0, 10.0))
    _, confidence = disparity_offset(stack)
    assert confidence[:, 47].median() > 0.8
    assert confidence[:, 54:60].median() < 0.5
    assert confidence[:, 54:60].max() < 0.55


def test_evidence_of_a_wire_does_not_count_for_the_sky_beside_it():
    picture = torch.full((3, 41, 41), 0.9)
    picture[:, :, 19:22] = 0.2
    own, none = (picture[0] < 0.5).float(), torch.zeros(41, 41)
    evidence = signs_of(own, none, none + 1, none, picture, 10.0)[0]
    # The colours lie 1.2 apart, 15 times COLOR_SIGMA.
    assert evidence[:, 19:22].min() > 0.999
    assert evidence[:, :19].max() < 0.001


def test_clipped_light_and_neighbours_that_differ_make_less_sure():
    full, none, grey = torch.ones(9, 9), torch.zeros(9, 9), torch.full((3, 9, 9), 0.5)

    def sure(spread, clipped):
        signs = signs_of(full, spread, full, clipped, grey, 10.0)
        return float(confidence_of(signs, full)[4, 4])

    assert sure(none, none) > sure(full, none)
    assert sure(none, none) > sure(none, full)


def test_a_wire_that_a_clipped_sky_swallows_is_not_sure():
    # The sky is four times white: where a blurred wire takes a third of it, white is left.
    picture = linear_to_srgb(torch.tensor(4.0)).expand(3, 96, 96).clone()
    picture[:, :, 14:90:12] = 0.2
    picture[:, 60:] = texture((36, 96))
    frames = torch.stack([blurred(picture, radius) for radius in (4.0, 8.0)])
    assert float(frames[..., :40, 20:80].min()) > 1 - 1e-6
    seen = picture.clamp(max=1).permute(1, 2, 0)
    _, confidence = disparity_offset(BokehStack(seen, frames.permute(0, 2, 3, 1), (8.0, 16.0)))
    assert confidence[68:].median() > 0.5
    wires = (picture[0] == 0.2)[:40, 20:80]
    assert confidence[:40, 20:80][wires].max() < 0.2


def test_confidence_tells_texture_from_a_flat_half():
    image = texture((64, 96))
    image[:, :, 48:] = 0.5
    frames = torch.stack([blurred(image, k * 0.6) for k in (4.0, 8.0)]).permute(0, 2, 3, 1)
    _, confidence = disparity_offset(BokehStack(image.permute(1, 2, 0), frames, (4.0, 8.0)))
    assert confidence[:, :40].median() > 0.7
    assert confidence[:, 70:].max() < 0.5


def test_a_stack_without_blur_is_no_measurement(caplog):
    with caplog.at_level(logging.WARNING):
        depth = sweep_depth(stack_at(0.0), focus_depth=2.0)
    assert float(depth.confidence.max()) == 0
    assert "no frame is blurred" in caplog.text


def test_blur_beyond_infinity_is_reported(caplog):
    with caplog.at_level(logging.WARNING):
        sweep_depth(stack_at(0.9), "nearest", focus_depth=2.5)
    assert "focus distance and strengths do not fit" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        sweep_depth(stack_at(0.3), "nearest", focus_depth=2.5)
    assert not caplog.text


def test_depth_beyond_what_blur_tells_is_sky_where_sure_and_unknown_elsewhere():
    disparity = torch.tensor([[0.02, 0.009, 0.009, -0.1, -0.1]])
    confidence = torch.tensor([[0.1, 0.9, 0.4, 0.9, 0.4]])
    # 0.3 px at 30 px·m is 0.01/m, 100 m.
    found, sure = resolved_disparity(disparity, confidence, 30.0)
    assert found[0].tolist() == pytest.approx([0.02, 0, 0.01, 0, 0.01])
    assert sure[0].tolist() == pytest.approx([0.1, 0.9, 0, 0.9, 0])


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ((10, 20, 30), ()),
        ((9, 24, 26), ("frames 2 and 3 are equally blurred: their strengths look like 24 and 26",)),
        ((0.2, 21, 29), ("frame 1 is not blurred",)),
    ],
)
def test_faults_are_named(measured, said):
    assert faults_of((10, 20, 30), measured) == said


@pytest.mark.parametrize("noise", [0.0, 10 / 255])
def test_copies_of_the_reference_are_said_to_be_unblurred(noise):
    stack = stack_at(0.9, strengths=(4.0, 8.0), size=(96, 128))
    generator = torch.Generator().manual_seed(0)

    def taken(picture):
        return (picture + noise * torch.randn(picture.shape, generator=generator)).clamp(0, 1)

    sharp = stack.reference
    for count in (1, 2):
        copies = torch.stack([taken(sharp) for _ in range(count)])
        (said,) = frame_faults(BokehStack(taken(sharp), copies, stack.strengths[:count]))
        assert said.startswith("no frame is blurred")
        frames = torch.stack([taken(one) for one in stack.frames[:count]])
        assert frame_faults(BokehStack(taken(sharp), frames, stack.strengths[:count])) == ()


def test_a_repeated_frame_is_found_by_its_blur():
    stack = stack_at(0.9, strengths=(4.0, 8.0), size=(96, 128))
    assert frame_faults(stack) == ()
    twice = BokehStack(stack.reference, stack.frames[[1, 1]], stack.strengths)
    (said,) = frame_faults(twice)
    assert said.startswith("frames 1 and 2 are equally blurred")
    swapped = BokehStack(stack.reference, stack.frames.flip(0), stack.strengths)
    (said,) = frame_faults(swapped)
    assert said.startswith("frames 1 and 2 are out of order")
