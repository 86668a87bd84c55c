"""Frames that were moved or toned are brought back; frames in place are left alone."""

import math

import pytest
import torch
from torch.nn import functional

from bokehdepth_core import BokehStack, align_stack, disparity_offset
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.depth.alignment.warp import Similarity, warped
from bokehdepth_core.optics.aperture import DISC
from bokehdepth_core.optics.psf import LensBlur

SIZE = (120, 150)


def scene():
    """Return a stack: blur of 1 px per K on the left half, none on the right."""
    generator = torch.Generator().manual_seed(1)
    planes = 0
    for grain, weight in ((3, 0.4), (8, 0.3), (20, 0.2)):
        coarse = torch.rand(1, 3, SIZE[0] // grain + 2, SIZE[1] // grain + 2, generator=generator)
        planes += weight * functional.interpolate(coarse, SIZE, mode="bicubic")[0]
    image = (0.05 + planes).clamp(0, 1)
    blur = LensBlur(SIZE, 8, DISC, image.device)
    spectrum = blur.transform(srgb_to_linear(image))
    left = (torch.arange(SIZE[1]) < SIZE[1] // 2).float()
    frames = [
        linear_to_srgb(blur.blur(spectrum, radius).clamp(0, 1)) * left + image * (1 - left)
        for radius in (2.0, 4.0)
    ]
    return BokehStack(image.permute(1, 2, 0), torch.stack(frames).permute(0, 2, 3, 1), (2.0, 4.0))


def with_frames(stack, change):
    frames = torch.stack([change(one) for one in stack.frames])
    return BokehStack(stack.reference, frames.clamp(0, 1), stack.strengths)


def move(frame, similarity):
    field = similarity.field(SIZE, frame.device)
    return warped(frame.permute(2, 0, 1), field).permute(1, 2, 0)


def inner_error(stack, wanted):
    error = (stack.frames - wanted.frames)[:, 12:-12, 12:-12]
    return float(error.abs().mean())


def test_frames_in_place_stay_to_the_bit():
    stack = scene()
    aligned, report = align_stack(stack)
    assert torch.equal(aligned.frames, stack.frames)
    assert report.summary == "frame 1: in place.\nframe 2: in place."
    assert aligned.settings["alignment"] == report.summary


@pytest.mark.parametrize(
    "back",
    [
        Similarity((0.4, -0.3)),
        Similarity((-2.6, 1.5)),
        Similarity(scale=0.01),
        Similarity(rotation=math.radians(0.5)),
        Similarity((1.2, 0.7), -0.008, math.radians(-0.4)),
    ],
)
def test_a_displacement_is_measured_and_taken_back(back):
    stack = scene()
    aligned, report = align_stack(with_frames(stack, lambda frame: move(frame, back)))
    # Moved by `back`, the frame's content lies where the inverse of `back` says.
    for one in report.frames:
        assert one.similarity.scale == pytest.approx(-back.scale, abs=5e-4)
        assert one.similarity.rotation == pytest.approx(-back.rotation, abs=5e-4)
        assert one.similarity.shift == pytest.approx([-x for x in back.shift], abs=0.05)
    assert inner_error(aligned, stack) < 0.006  # 1.5 of 255: resampled twice


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: linear_to_srgb(srgb_to_linear(frame) * 0.8),
        lambda frame: linear_to_srgb(srgb_to_linear(frame) * torch.tensor([0.95, 1.0, 1.04])),
        lambda frame: frame - 0.2 * torch.sin(2 * math.pi * frame) / (2 * math.pi),
    ],
    ids=["exposure", "white balance", "tone curve"],
)
def test_light_is_brought_to_that_of_the_reference(change):
    stack = scene()
    changed = with_frames(stack, change)
    aligned, report = align_stack(changed)
    assert inner_error(aligned, stack) < 0.3 * inner_error(changed, stack)
    assert all(one.moved == 0 for one in report.frames)


def test_vignetting_is_taken_out():
    stack = scene()
    y = torch.linspace(-1, 1, SIZE[0])[:, None]
    x = torch.linspace(-1, 1, SIZE[1])
    falloff = (1 - 0.4 * (x * x + y * y) / 2)[..., None]
    changed = with_frames(stack, lambda one: linear_to_srgb(srgb_to_linear(one) * falloff))
    aligned, report = align_stack(changed)
    assert inner_error(aligned, stack) < 0.3 * inner_error(changed, stack)
    assert report.frames[0].light.corner == pytest.approx(1 / 0.6, rel=0.1)


def test_a_smooth_wobble_is_taken_out():
    stack = scene()
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    wave = torch.stack([torch.sin(y / 16), torch.cos(x / 18)])
    changed = with_frames(stack, lambda one: warped(one.permute(2, 0, 1), wave).permute(1, 2, 0))
    aligned, report = align_stack(changed)
    # A field of a tenth of a pixel left, of 1.4 px, would leave 0.07.
    assert inner_error(aligned, stack) < 0.1 * inner_error(changed, stack)
    assert report.frames[0].wobble > 0.5
    assert "wobble" in report.summary


def test_the_sweep_aligns_unless_told_not_to():
    stack = scene()
    changed = with_frames(stack, lambda frame: move(frame, Similarity((1.5, 1.0))))
    inner = (slice(12, -12), slice(12, -12))
    wanted, _ = disparity_offset(stack)
    with_it, _ = disparity_offset(changed)
    without, _ = disparity_offset(changed, align=False)
    right = [((one - wanted)[inner].abs() < 0.1).float().mean() for one in (with_it, without)]
    assert right[0] > 0.97
    assert right[1] < 0.8


def test_another_picture_is_refused_by_the_name_of_its_frame():
    stack = scene()
    frames = stack.frames.clone()
    frames[1] = torch.rand(frames[1].shape, generator=torch.Generator().manual_seed(2))
    broken = BokehStack(stack.reference, frames, stack.strengths)
    with pytest.raises(ValueError, match=r"^frames: cannot align frame 2 of 2: too little"):
        align_stack(broken)
    aligned, report = align_stack(broken, strict=False)
    assert torch.equal(aligned.frames, frames)
    assert [bool(one.problem) for one in report.frames] == [False, True]
    assert report.summary.endswith(
        "frame 2: not aligned: too little of it looks like the blurred reference."
    )
    assert report.problems == (report.summary.splitlines()[1],)


def test_the_sweep_warns_of_a_frame_that_it_cannot_align(caplog):
    stack = scene()
    frames = stack.frames.clone()
    frames[1] = torch.rand(frames[1].shape, generator=torch.Generator().manual_seed(2))
    disparity_offset(BokehStack(stack.reference, frames, stack.strengths))
    warned = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert any("frame 2: not aligned" in one for one in warned)


def test_a_tiny_picture_tells_too_little():
    picture = torch.rand(20, 40, 3)
    with pytest.raises(ValueError, match="frame 1 of 1: pictures under 32 px"):
        align_stack(BokehStack(picture, picture[None], (1.0,)))


def test_inputs_are_not_written_into():
    stack = with_frames(scene(), lambda frame: move(frame, Similarity((1.5, 1.0))))
    before = stack.frames.clone()
    align_stack(stack)
    assert torch.equal(stack.frames, before)


def test_cancelling_stops_the_work():
    def cancel():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        align_stack(scene(), check_cancelled=cancel)


def test_a_warp_reads_a_smooth_picture_where_the_field_points():
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(70.0), indexing="ij")
    field = Similarity((0.7, -1.3), 0.012, math.radians(0.6)).field((60, 70), y.device)
    picture = torch.sin(x / 5) + torch.cos(y / 4)
    wanted = torch.sin((x + field[0]) / 5) + torch.cos((y + field[1]) / 4)
    inner = (slice(8, -8), slice(8, -8))
    # The passband of eight taps ripples by 0.3 %, and the amplitude is 2.
    torch.testing.assert_close(
        warped(picture[None], field)[0][inner], wanted[inner], rtol=0, atol=6e-3
    )
