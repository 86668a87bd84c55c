"""Views: numbers to light and back, parts of panoramas, and regions that are held out."""

import pytest
import torch

from bokehdepth_core.color import linear_to_srgb
from bokehdepth_core.render.highlights import HighlightBoost
from bokehdepth_core.render.views import PixelMeaning, View

SRGB = PixelMeaning("sRGB", premultiplied=False)
NO_BOOST = HighlightBoost(0.0)


def view(height=6, width=9, meaning=SRGB, **more):
    picture = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(0))
    return View(picture, torch.linspace(-4, 4, width).expand(height, width), meaning, **more)


@pytest.mark.parametrize("premultiplied", [False, True])
@pytest.mark.parametrize("space", ["sRGB", "linear Rec.709"])
def test_light_and_back_is_the_picture(space, premultiplied):
    alpha = torch.linspace(0.1, 1, 9).expand(6, 9)
    one = view(meaning=PixelMeaning(space, premultiplied), alpha=alpha)
    light = one.light(NO_BOOST)
    assert light.shape == (4, 6, 9)
    back = one.meaning.with_alpha(light)
    # Light over an alpha of 0.1 has ten times the rounding; sRGB is at most 12.92 times as steep.
    torch.testing.assert_close(back[..., :3], one.picture, rtol=0, atol=13 * 10 * 6e-8)
    torch.testing.assert_close(back[..., 3], alpha)


def test_edges_of_a_cut_out_are_looked_for_over_grey():
    seen = SRGB.as_seen(torch.ones(1, 2, 3), torch.tensor([[0.0, 1.0]]))
    assert seen[0, :, 0].tolist() == [0.5, 1.0]


def test_a_part_of_a_panorama_goes_on_at_the_other_end():
    whole = view(wraps=True, alpha=torch.rand(6, 9))
    part = whole.part((slice(1, 4), slice(-2, 11)))
    for name in ("picture", "defocus", "alpha"):
        expected = getattr(whole, name)[1:4]
        assert torch.equal(getattr(part, name), torch.cat([expected] * 3, 1)[:, 7:20])


def test_what_is_held_out_is_replaced_by_its_nearest_surroundings_and_put_back():
    one = view()
    held = torch.zeros(6, 9)
    held[:, 3:6] = 1
    rest = one.without(held)
    assert torch.equal(rest.present, 1 - held)
    assert torch.equal(rest.picture[:, 3], one.picture[:, 2])
    assert torch.equal(rest.defocus[:, 5], one.defocus[:, 6])
    rendered = torch.zeros(6, 9, 3)
    kept = one.keep(rendered, held)
    assert torch.equal(kept[:, 3:6], one.picture[:, 3:6])
    assert kept[:, :3].max() == kept[:, 6:].max() == 0


def test_half_held_out_is_half_the_light():
    one = view()
    kept = one.keep(torch.zeros(6, 9, 3), torch.full((6, 9), 0.5))
    torch.testing.assert_close(kept, linear_to_srgb(SRGB.light(one.picture) / 2))


def test_a_boost_multiplies_the_light_of_lamps_alone():
    one = view(20, 20)
    one.picture[:] = 0.2
    one.picture[9:11, 1:3] = 1.0
    lamps = one.with_lamps(HighlightBoost(3.0))
    gain = lamps.light(HighlightBoost(3.0)) / one.light(NO_BOOST)
    torch.testing.assert_close(gain[:, 9, 1], torch.full((3,), 4.0))
    assert gain[:, :, 10:].max() == 1
