"""What a bokeh stack and a depth map refuse, and what they keep."""

import math

import pytest
import torch

from bokehdepth_core import BokehStack, DepthMap

REFERENCE = torch.rand(5, 7, 3)
FRAMES = torch.rand(2, 5, 7, 3)


def test_a_stack_keeps_its_parts_and_settings():
    stack = BokehStack(REFERENCE, FRAMES, [10, 20], {"seed": 3})
    assert stack.reference is REFERENCE
    assert stack.frames is FRAMES
    assert stack.strengths == (10.0, 20.0)
    assert stack.settings == {"seed": 3}


@pytest.mark.parametrize(
    ("reference", "frames", "strengths", "message"),
    [
        (REFERENCE, FRAMES, [10], r"strengths: 1 given for 2 frames"),
        (REFERENCE, FRAMES, [], r"strengths: is empty"),
        (REFERENCE, FRAMES, [10, -1], r"strengths: must be above 0, found -1"),
        (REFERENCE, FRAMES, [10, math.nan], r"strengths: expected a finite number, found nan"),
        (REFERENCE, FRAMES[:, :4], [1, 2], r"frames: expected 5x7 like the reference, found 4x7"),
        (REFERENCE, FRAMES[:0], [], r"frames: is empty"),
        (REFERENCE[..., :1], FRAMES, [1, 2], r"reference: expected \[H,W,3\], found \[5, 7, 1\]"),
        (REFERENCE / 0, FRAMES, [1, 2], r"reference: holds NaN or infinite values"),
    ],
)
def test_a_stack_that_cannot_be_is_refused(reference, frames, strengths, message):
    with pytest.raises(ValueError, match=message):
        BokehStack(reference, frames, strengths)


def test_integer_pictures_are_refused():
    with pytest.raises(TypeError, match=r"expected floating point, found torch\.uint8"):
        BokehStack((REFERENCE * 255).byte(), FRAMES, [1, 2])


def test_infinite_depth_is_the_sky_with_disparity_zero():
    depth = DepthMap(torch.tensor([[[2.0, math.inf]]]))
    assert depth.disparity.tolist() == [[[0.5, 0.0]]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[[0.0]]], "depth: must be positive, found 0 m"),
        ([[[-2.0]]], "depth: must be positive, found -2 m"),
        ([[[math.nan, 1.0]]], "depth: holds NaN in 1 pixels"),
        ([[1.0]], r"depth: expected \[B,H,W\], found \[1, 1\]"),
        ([[[[1.0]]]], r"depth: expected \[B,H,W\], found \[1, 1, 1, 1\]"),
        ([], r"depth: expected"),
    ],
)
def test_depth_that_cannot_be_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        DepthMap(torch.tensor(values))


def test_confidence_and_cameras_must_fit_the_depth():
    depth = torch.ones(2, 3, 4)
    with pytest.raises(ValueError, match=r"confidence: expected \[2, 3, 4\] like depth"):
        DepthMap(depth, torch.ones(2, 3, 3))
    with pytest.raises(ValueError, match="confidence: expected values within 0…1"):
        DepthMap(depth, torch.full((2, 3, 4), 1.5))
    with pytest.raises(ValueError, match="intrinsics: 1 cameras for 2 depth maps"):
        DepthMap(depth, intrinsics=torch.eye(3)[None])


def test_normalized_disparity_has_no_metres_and_comes_back_unchanged():
    disparity = torch.tensor([[[0.0, 0.25, 1.0]]])
    depth = DepthMap.from_normalized_disparity(disparity)
    assert not depth.metric
    torch.testing.assert_close(depth.disparity, disparity)
    with pytest.raises(ValueError, match="disparity: expected values within 0…1, found 0 to 2"):
        DepthMap.from_normalized_disparity(torch.tensor([[[0.0, 2.0]]]))
