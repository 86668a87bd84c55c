"""Noise is measured, and what it makes different is not taken for blur."""

import pytest
import torch
from torch.nn import functional

from bokehdepth_core import BokehStack, disparity_offset
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.depth.sweep.matching.cost import noise_variance
from bokehdepth_core.optics.aperture import DISC
from bokehdepth_core.optics.psf import LensBlur

SIZE = (96, 128)


def smooth_picture():
    generator = torch.Generator().manual_seed(4)
    coarse = torch.rand(1, 3, SIZE[0] // 6, SIZE[1] // 6, generator=generator)
    return 0.2 + 0.6 * functional.interpolate(coarse, SIZE, mode="bilinear")[0]


@pytest.mark.parametrize("sigma", [0.01, 0.03])
def test_noise_of_a_smooth_picture_is_measured(sigma):
    noise = torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(5))
    found = noise_variance(smooth_picture() + sigma * noise)
    # The least of 40 blocks of 256 px and three channels scatters by some 10 %, and it is the
    # quietest tenth that counts.
    assert found == pytest.approx(3 * sigma**2, rel=0.25)
    assert found < 3 * sigma**2 * 1.05


def test_a_picture_of_eight_bits_has_no_noise():
    assert noise_variance((smooth_picture() * 255).round() / 255) == 0


def test_noise_does_not_change_the_offset():
    image = smooth_picture()
    blur = LensBlur(SIZE, 8, DISC, image.device)
    spectrum = blur.transform(srgb_to_linear(image))
    frames = [linear_to_srgb(blur.blur(spectrum, radius)) for radius in (2.5, 5.0)]
    generator = torch.Generator().manual_seed(6)
    noisy = [
        (one + 0.02 * torch.randn(one.shape, generator=generator)).clamp(0, 1).permute(1, 2, 0)
        for one in (image, *frames)
    ]
    stack = BokehStack(noisy[0], torch.stack(noisy[1:]), (5.0, 10.0))
    found, _ = disparity_offset(stack)
    right = (found - 0.5).abs() < 0.05
    assert right.float().mean() > 0.9
