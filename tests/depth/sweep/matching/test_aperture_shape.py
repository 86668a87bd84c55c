"""The shape of the lens opening, found from a stack that was blurred by it."""

import math

import pytest
import torch

from bokehdepth_core import Aperture, BokehStack, disparity_offset
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.depth.sweep.matching.shape import found_aperture
from bokehdepth_core.optics.psf import LensBlur

SIDE = 128
STRENGTHS = (10.0, 20.0)
OFFSET = 0.4  # 1/m: radii of 4 and 8 px


def stack_of(aperture: Aperture, behind: bool = True, noise: float = 0.0) -> BokehStack:
    """Return a plane of grain, blurred by the opening, in 8 bits."""
    random = torch.Generator().manual_seed(3)
    grain = torch.rand(SIDE // 2, SIDE // 2, generator=random)
    photo = 0.1 + 0.8 * grain.repeat_interleave(2, 0).repeat_interleave(2, 1)[..., None]
    light = srgb_to_linear(photo.expand(-1, -1, 3)).permute(2, 0, 1)
    blur = LensBlur((SIDE, SIDE), 10, aperture, light.device)
    spectrum = blur.transform(light)
    side = -1.0 if behind else 1.0
    frames = torch.stack([blur.blur(spectrum, side * k * OFFSET) for k in STRENGTHS])
    frames = linear_to_srgb(frames.clamp(0, 1)).permute(0, 2, 3, 1)
    frames = frames + noise * torch.randn(frames.shape, generator=random)
    return BokehStack(
        photo.expand(-1, -1, 3), (255 * frames).round().clamp(0, 255) / 255, STRENGTHS
    )


@pytest.mark.parametrize(
    ("blades", "rotation", "behind"),
    [(5, 10.0, True), (5, 10.0, False), (6, 25.0, True), (7, 20.0, True)],
)
def test_finds_blades_and_rotation(blades, rotation, behind):
    found = found_aperture(stack_of(Aperture(blades, rotation), behind), behind=behind)
    assert found.blades == blades
    period = 360 / blades
    off = (found.rotation - rotation + period / 2) % period - period / 2
    assert abs(off) <= 4  # a corner of the largest PSF, 8 px, moves by 8 px · 4° = 0.6 px


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_disc_stays(noise):
    assert found_aperture(stack_of(Aperture(), noise=noise)) == Aperture()


def test_disc_stack_gives_the_same_bits():
    stack = stack_of(Aperture())
    for told, found in zip(
        disparity_offset(stack, aperture=Aperture()), disparity_offset(stack), strict=True
    ):
        assert torch.equal(told, found)


def test_found_shape_measures_as_the_told_one_does():
    told = Aperture(5, 10.0)
    stack = stack_of(told)
    wrong = {}
    for name, aperture in {"told": told, "found": None, "disc": Aperture()}.items():
        offset, _ = disparity_offset(stack, aperture=aperture)
        wrong[name] = float((offset - OFFSET).abs().mean())
    assert wrong["found"] <= 1.2 * wrong["told"] + 1e-3
    # A pentagon taken for the disc of its area: √(π / 2.378) too small a radius.
    assert wrong["disc"] > 0.5 * OFFSET * (1 - math.sqrt(2.378 / math.pi))


def test_too_small_or_plain_a_picture_tells_nothing():
    plain = torch.full((SIDE, SIDE, 3), 0.5)
    small = torch.rand(40, 40, 3)
    assert found_aperture(BokehStack(plain, plain[None], (10.0,))) == Aperture()
    assert found_aperture(BokehStack(small, small[None], (10.0,))) == Aperture()
