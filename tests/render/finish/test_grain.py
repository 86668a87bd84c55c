"""Grain is measured in the photo, and blurred parts get it back."""

import pytest
import torch
from torch.nn import functional

from bokehdepth_core import render_bokeh
from bokehdepth_core.render.finish.grain import measure_grain


def noisy(size, spread, blur, shared=False, height=160, width=240):
    """Return an even picture [1,H,W,3] with noise of a standard deviation and a grain size."""
    noise = torch.randn(3, 1, height + 20, width + 20, generator=torch.Generator().manual_seed(5))
    noise = noise[:1].expand(3, -1, -1, -1) if shared else noise
    if blur:
        at = torch.arange(-10.0, 11.0)
        kernel = torch.exp(-0.5 * (at / blur) ** 2)
        kernel = kernel / kernel.square().sum().sqrt()
        noise = functional.conv2d(noise, kernel.view(1, 1, -1, 1), padding=(10, 0))
        noise = functional.conv2d(noise, kernel.view(1, 1, 1, -1), padding=(0, 10))
    noise = noise[:, 0, 10:-10, 10:-10].movedim(0, -1)
    return (size + spread * noise)[None]


def beside(noise):
    noise = noise - noise.mean((0, 1))
    return float((noise[:, 1:] * noise[:, :-1]).mean() / noise.square().mean())


@pytest.mark.parametrize("blur", [0.0, 0.8])
@pytest.mark.parametrize("shared", [False, True])
def test_blurred_parts_get_the_noise_of_the_sharp_ones(blur, shared):
    image = noisy(0.5, 0.02, blur, shared)
    depth = torch.full((1, 160, 240), 1.0)
    depth[:, :, 120:] = 4.0
    out = render_bokeh(image, depth, 16.0, 1.0, grain=1.0, refine_depth=False)[0]
    bare = render_bokeh(image, depth, 16.0, 1.0, refine_depth=False)[0]
    sharp, blurred = out[:, :100], out[:, 150:]
    assert bare[:, 150:].std() < 0.4 * sharp.std()
    # Some 600 blocks of 8 px, of which the quietest tenth counts: about a tenth of error.
    assert float(blurred.std((0, 1)).mean()) == pytest.approx(0.02, rel=0.15)
    assert beside(blurred) == pytest.approx(beside(sharp), abs=0.12)
    pairs = [torch.corrcoef(part.reshape(-1, 3).T)[0, 1] for part in (blurred, sharp)]
    assert float(pairs[0]) == pytest.approx(float(pairs[1]), abs=0.12)
    torch.testing.assert_close(out[:, :100], bare[:, :100])  # what is sharp has its own


def test_noise_follows_brightness():
    dark, bright = noisy(0.2, 0.03, 0.0), noisy(0.8, 0.01, 0.0)
    grain = measure_grain(torch.cat([dark, bright], 2)[0])
    assert float(grain.spread[1].mean()) == pytest.approx(0.03, rel=0.15)
    assert float(grain.spread[6].mean()) == pytest.approx(0.01, rel=0.15)


def test_no_grain_changes_no_bit_and_a_clean_photo_gets_none():
    image, depth = noisy(0.5, 0.02, 0.0), torch.full((1, 160, 240), 4.0)
    assert torch.equal(
        render_bokeh(image, depth, 8.0, 1.0, grain=0.0), render_bokeh(image, depth, 8.0, 1.0)
    )
    clean = torch.linspace(0.2, 0.7, 240).expand(1, 160, 240)[..., None].expand(-1, -1, -1, 3)
    plain = render_bokeh(clean, depth, 8.0, 1.0)
    grained = render_bokeh(clean, depth, 8.0, 1.0, grain=1.0)
    torch.testing.assert_close(grained, plain, atol=1e-5, rtol=0)


def test_a_seed_gives_the_same_grain_and_every_frame_its_own():
    image, depth = noisy(0.5, 0.02, 0.0).expand(2, -1, -1, -1), torch.full((1, 160, 240), 4.0)
    first = render_bokeh(image, depth, 8.0, 1.0, grain=1.0)
    assert torch.equal(first, render_bokeh(image, depth, 8.0, 1.0, grain=1.0))
    assert not torch.equal(first[0], first[1])
    other = render_bokeh(image[:1], depth, 8.0, 1.0, grain=1.0, grain_seed=1)
    assert torch.equal(other[0], first[1])


@pytest.mark.parametrize("size", [(1, 1), (5, 90), (9, 8)])
def test_small_pictures_are_taken(size):
    image = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(0))
    assert render_bokeh(image, torch.full((1, *size), 4.0), 8.0, 1.0, grain=1.0).isfinite().all()


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "much"])
def test_bad_grain_is_told(value):
    with pytest.raises(ValueError, match=r"^grain: [^\n]+$"):
        render_bokeh(torch.rand(1, 9, 9, 3), torch.ones(1, 9, 9), 1.0, 2.0, grain=value)
