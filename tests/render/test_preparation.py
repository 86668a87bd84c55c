"""A kept preparation gives the same bits, is found by content, and takes bounded memory."""

import threading

import pytest
import torch

from bokehdepth_core import Aperture, render_bokeh
from bokehdepth_core.render import picture, renderer
from bokehdepth_core.render.preparation import PreparationCache

SIDE = 40


@pytest.fixture
def scene():
    image = torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(5))
    depth = torch.full((1, SIDE, SIDE), 4.0)
    depth[:, 10:25, 8:22] = 1.0
    return image, depth


@pytest.fixture
def steps(monkeypatch):
    """Return the names of the steps that were worked out, not found."""
    done = []

    def counted(name, step):
        def run(*args, **options):
            done.append(name)
            return step(*args, **options)

        return run

    for module, name in (
        (renderer, "sharpened_depth"),
        (picture, "part_surfaces"),
        (picture, "separate_layers"),
    ):
        monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    return done


@pytest.mark.parametrize("quality", ["default", "draft"])
def test_a_hit_gives_the_bits_of_a_render_without_a_cache(scene, steps, quality):
    cache = PreparationCache(2**24)
    recipes = [(6.0, Aperture()), (9.0, Aperture()), (9.0, Aperture(6, 10.0))]
    for strength, aperture in recipes * 2:
        options = {"aperture": aperture, "quality": quality}
        wanted = render_bokeh(*scene, strength, 2.0, **options)
        assert torch.equal(render_bokeh(*scene, strength, 2.0, cache=cache, **options), wanted)
    steps.clear()
    render_bokeh(*scene, 9.0, 2.0, quality=quality, cache=cache)
    assert steps == []


@pytest.mark.parametrize("change", [{"strength": 10.5}, {"focus": 1.3}, {"focus": 4.0}])
def test_layers_are_kept_for_like_strengths_and_any_focus(scene, steps, change):
    cache = PreparationCache(2**24)
    recipe = {"strength": 9.0, "focus": 2.0}
    changed = recipe | change
    render_bokeh(*scene, *recipe.values(), cache=cache)
    wanted = render_bokeh(*scene, *changed.values())
    steps.clear()
    assert torch.equal(render_bokeh(*scene, *changed.values(), cache=cache), wanted)
    assert steps == []
    render_bokeh(*scene, 18.0, 2.0, cache=cache)
    assert steps == ["part_surfaces"]


@pytest.mark.parametrize("which", [0, 1])
def test_one_other_pixel_is_another_photo(scene, steps, which):
    cache = PreparationCache(2**24)
    render_bokeh(*scene, 6.0, 2.0, cache=cache)
    scene[which][0, 3, 3] *= 1.0001
    steps.clear()
    render_bokeh(*scene, 6.0, 2.0, cache=cache)
    assert steps == ["sharpened_depth", "part_surfaces"]


def test_what_was_used_longest_ago_goes_first():
    cache = PreparationCache(100)
    made = []

    def step(value):
        return cache.made("step", [value], lambda: made.append(value) or torch.zeros(10))

    for value in (1.0, 2.0, 1.0, 3.0, 1.0, 2.0):
        step(value)
        assert cache.used_bytes <= 100
    assert made == [1.0, 2.0, 3.0, 2.0]
    assert cache.free(1) == 40
    assert cache.free() == 40
    assert cache.used_bytes == 0


def test_what_is_larger_than_the_bound_is_not_kept():
    cache = PreparationCache(39)
    cache.made("step", [], lambda: torch.zeros(10))
    assert cache.used_bytes == 0


def test_threads_leave_the_count_right():
    cache = PreparationCache(400)

    def work(first):
        for index in range(50):
            cache.made("step", [float((first + index) % 7)], lambda: torch.zeros(25))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used = cache.used_bytes
    assert used in range(100, 401, 100)
    assert cache.free() == used
