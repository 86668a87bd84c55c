"""A contrast curve that is in every picture of a stack is found from the blur and taken out."""

import math

import pytest
import torch
from torch.nn import functional

from bokehdepth_core import BokehStack, disparity_offset
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.depth.sweep.matching.tone import toned, without_tone_curve
from bokehdepth_core.optics.aperture import DISC
from bokehdepth_core.optics.psf import LensBlur

SIZE = (132, 150)


def stack_of(change):
    """Return a stack of blur 0.5 px per K on high contrast, every picture changed after it."""
    generator = torch.Generator().manual_seed(8)
    planes = 0
    for grain, weight in ((4, 0.5), (11, 0.5)):
        coarse = torch.rand(1, 1, SIZE[0] // grain + 2, SIZE[1] // grain + 2, generator=generator)
        planes += weight * (functional.interpolate(coarse, SIZE)[0] > 0.5)
    image = (0.08 + 0.8 * planes).expand(3, -1, -1)
    blur = LensBlur(SIZE, 8, DISC, image.device)
    spectrum = blur.transform(srgb_to_linear(image))
    frames = [linear_to_srgb(blur.blur(spectrum, radius).clamp(0, 1)) for radius in (2.0, 4.0)]
    pictures = [change(one).permute(1, 2, 0) for one in (image, *frames)]
    return BokehStack(pictures[0], torch.stack(pictures[1:]), (4.0, 8.0))


@pytest.mark.parametrize("amount", [-0.06, 0.04])
def test_a_curve_is_found_and_undone(amount):
    plain, changed = stack_of(lambda one: one), stack_of(lambda one: toned(one, amount))
    found, undone = without_tone_curve(changed)
    # The inverse of a sine bump is one of the other sign to first order; the second is amount²·π.
    assert undone == pytest.approx(-amount, abs=0.015)
    error, before = (float((one.frames - plain.frames).abs().mean()) for one in (found, changed))
    assert error < 0.4 * before


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one,
        lambda one: linear_to_srgb(0.7 * srgb_to_linear(one)),  # another exposure is no curve
        lambda one: (one + 0.02 * torch.sin(50 * one)).clamp(0, 1),  # nor is what has no trend
    ],
    ids=["plain", "exposure", "ripple"],
)
def test_other_stacks_stay_as_they_are(change):
    stack = stack_of(change)
    found, amount = without_tone_curve(stack)
    assert found is stack
    assert amount == 0


def test_the_sweep_sees_through_a_curve():
    found, _ = disparity_offset(stack_of(lambda one: toned(one, -0.08)), align=False)
    inner = found[12:-12, 12:-12]
    assert float(((inner - 0.5).abs() < 0.05).float().mean()) > 0.9


def test_a_curve_keeps_black_white_and_the_middle():
    kept = torch.tensor([0.0, 0.5, 1.0])
    torch.testing.assert_close(toned(kept, 0.1), kept)
    assert math.isclose(float(toned(torch.tensor(0.25), 0.1)), 0.35, rel_tol=1e-6)


def test_cancelling_stops_the_search():
    def cancel():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        without_tone_curve(stack_of(lambda one: toned(one, -0.06)), cancel)
