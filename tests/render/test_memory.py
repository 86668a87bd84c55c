"""The memory that rendering asks for, against the most that torch holds during the run."""

import pytest
import torch
from torch.nn import functional

from benchmarks.memory import peak_bytes
from benchmarks.node_memory import RENDERS, render_figures, scene, softened
from bokehdepth_core import Aperture, render_bokeh
from bokehdepth_core.render import picture
from bokehdepth_core.render.memory import RenderWork, render_memory, support_radius
from bokehdepth_core.render.tiles import cut_tiles

MOST = 1.25  # times the peak


MASKED = ("mirror donut", "nine blades", "hexagon", "hexagon in a draft", "swirl")


DRAFTS = ("draft", "lamps in a draft", "background in a draft")


@pytest.mark.parametrize("setting", [one for one in RENDERS if one not in MASKED + DRAFTS])
def test_the_memory_asked_for_is_within_a_quarter_above_the_peak(setting):
    taken, asked = render_figures(setting, 120, 160, 6.0)
    assert 1.0 <= asked / taken <= MOST


@pytest.mark.parametrize("setting", DRAFTS)
def test_it_is_for_drafts(setting):
    """Large ones: what is deconvolved of soft depth has one size, and is most of a small draft."""
    taken, asked = render_figures(setting, 640, 800, 20.0)
    assert 1.0 <= asked / taken <= MOST


@pytest.mark.parametrize("setting", ["mirror donut", "hexagon"])
def test_it_is_for_openings_that_are_drawn(setting):
    """Masks of some MB are kept whatever the size, so the picture is larger."""
    taken, asked = render_figures(setting, 300, 400, 12.0)
    assert 1.0 <= asked / taken <= MOST


@pytest.mark.parametrize(
    ("size", "radius"), [((256, 320), 250.0), ((97, 1200), 3.0), ((320, 320), 60.0)]
)
def test_it_is_for_wide_blurs_and_long_pictures(size, radius):
    taken, asked = render_figures("default", *size, radius)
    assert 1.0 <= asked / taken <= MOST


@pytest.mark.parametrize("quality", ["default", "draft"])
def test_it_is_for_pictures_in_tiles(monkeypatch, quality):
    """With tiles of 110 px; 4096 px and more are cut into ones of 2048."""
    image, depth = scene(120, 260)
    depth = softened(depth, 2.0)
    strength = 2.0 / float((1 / depth - 1 / depth.min()).abs().max())

    def small_tiles(*size, **options):
        return cut_tiles(*size, largest=110, **options)

    monkeypatch.setattr(picture, "cut_tiles", small_tiles)
    monkeypatch.setattr("bokehdepth_core.render.memory.cut_tiles", small_tiles)
    assert len(small_tiles(120, 260, support_radius(2.0))) > 4
    options = {"quality": quality}
    taken = peak_bytes(lambda: render_bokeh(image, depth, strength, float(depth.min()), **options))
    asked = render_memory(120, 260, 2.0, work=RenderWork(draft=quality == "draft"))
    assert 1.0 <= asked / taken <= MOST


def test_it_is_for_depth_that_is_soft_everywhere(monkeypatch):
    """In pictures of many tiles it is the most, were every pixel one of a ramp."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 1, 75, 100, generator=random) + 0.5
    depth = functional.interpolate(coarse, size=(600, 800), mode="bilinear")[0]
    image = torch.rand(1, 600, 800, 3, generator=random)

    def small_tiles(*size, **options):
        return cut_tiles(*size, largest=220, **options)

    monkeypatch.setattr(picture, "cut_tiles", small_tiles)
    monkeypatch.setattr("bokehdepth_core.render.memory.cut_tiles", small_tiles)
    taken = peak_bytes(lambda: render_bokeh(image, depth, 1.0, 1.0, quality="draft"))
    asked = render_memory(600, 800, 1.0, work=RenderWork(draft=True))
    assert 1.0 <= asked / taken <= MOST


def test_a_picture_that_goes_to_another_device_takes_its_copies_there():
    here = render_memory(500, 600, 9.0, work=RenderWork(alpha=True))
    there = render_memory(500, 600, 9.0, work=RenderWork(alpha=True, moved=True))
    assert there - here == pytest.approx(1.05 * 4 * 5 * 500 * 600)


def test_a_photo_of_48_megapixels_takes_less_than_8_gb():
    """Beside it lie the photo twice, as given and in sRGB, and its depth."""
    given = 4 * 7 * 8064 * 6048
    for share in (0.02, 0.04, 0.06):  # of the width, the radius of the widest blur
        asked = render_memory(6048, 8064, share * 8064)
        assert given + asked < 8e9, share


def test_masks_of_openings_are_counted():
    donut = RenderWork(aperture=Aperture(obstruction=0.5))
    assert render_memory(100, 100, 250.0, work=donut) > render_memory(100, 100, 250.0) + 3 * 2**22
    assert torch.tensor(render_memory(100, 100, 0.0)) > 0
