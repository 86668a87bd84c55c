"""Tiles: every pixel once, and no seam in what is rendered through them."""

import pytest
import torch

from bokehdepth_core import render_bokeh
from bokehdepth_core.render import picture as render
from bokehdepth_core.render.tiles import cut_tiles


@pytest.mark.parametrize(
    ("size", "support", "largest"), [((50, 70), 5, 100), ((97, 131), 9, 40), ((1, 300), 40, 64)]
)
def test_tiles_keep_every_pixel_once_and_see_their_support_radius(size, support, largest):
    kept = torch.zeros(size, dtype=torch.int64)
    picture = torch.arange(size[0] * size[1]).reshape(size)
    for tile in cut_tiles(*size, support, largest):
        kept[tile.kept] += 1
        assert torch.equal(picture[tile.seen][tile.inner], picture[tile.kept])
        for side, seen, inside in zip(size, tile.seen, tile.kept, strict=True):
            assert seen.start % 2 == 0
            assert seen.start <= max(0, inside.start - support)
            assert seen.stop >= min(side, inside.stop + support)
    assert (kept == 1).all()


def test_a_picture_that_fits_is_one_tile_and_a_large_one_is_seen_in_bounded_parts():
    (only,) = cut_tiles(100, 100, 30, 100)
    assert only.seen == only.kept == (slice(0, 100), slice(0, 100))
    for tile in cut_tiles(1000, 1000, 30, 200):
        assert all(part.stop - part.start <= 200 for part in tile.seen)


@pytest.mark.parametrize("known", [False, True], ids=["", "background"])
@pytest.mark.parametrize("quality", list(render.QUALITIES))
def test_tiles_leave_no_seam(quality, known, monkeypatch):
    generator = torch.Generator().manual_seed(3)
    noise = torch.rand(1, 3, 154, 214, generator=generator)
    image = torch.nn.functional.avg_pool2d(noise, 5, 1).movedim(1, -1)
    depth = torch.full((1, 150, 210), 8.0)
    depth[:, 90:] = torch.linspace(8, 2, 60)[:, None]
    depth[:, 20:100, 60:75] = 1.0
    depth[:, 40:130, 130:170] = 1.5
    options = {"quality": quality}
    if known:
        options |= {"background": image.flip(2), "background_depth": torch.full_like(depth, 9.0)}
    whole = render_bokeh(image, depth, 7.0, 4.0, **options)
    monkeypatch.setattr(
        render, "cut_tiles", lambda *sizes, wraps: cut_tiles(*sizes, 96, wraps=wraps)
    )
    tiled = render_bokeh(image, depth, 7.0, 4.0, **options)
    # A PSF that is cut at the grid's highest frequency ripples far, by less than one can see.
    torch.testing.assert_close(tiled, whole, atol=0.5 / 255, rtol=0)
