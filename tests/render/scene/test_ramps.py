"""Ramps of soft edges: however the picture is gone over, they are the same."""

import pytest
import torch
from torch.nn import functional

from bokehdepth_core.render.scene import ramps
from bokehdepth_core.render.scene.discontinuities import pixels_at_once
from bokehdepth_core.render.scene.symmetry import Order


@pytest.fixture
def soft():
    """Return disparity [61,150] with soft edges in places, equal heights and a slope, and order."""
    random = torch.Generator().manual_seed(0)
    sharp = torch.full((1, 1, 61, 150), 0.2)
    sharp[..., 10:30, 20:60] = 1.0
    sharp[..., 40:43, :] = 0.7
    edges = functional.avg_pool2d(functional.pad(sharp, (2, 2, 2, 2), mode="replicate"), 5, 1)[0, 0]
    edges[:, 90:] = torch.linspace(0.2, 0.4, 61)[:, None]
    return (edges * 64).round() / 64, Order(torch.rand(3, 61, 150, generator=random))


def found(disparity, order):
    return vars(ramps.find_ramps(disparity, order, disparity.mean() / 50, lambda: None)).values()


@pytest.mark.parametrize("name", ["_boxes_around", "pixels_at_once", "_worth_following"])
def test_ramps_are_the_same_in_strips_and_as_a_whole(monkeypatch, soft, name):
    """On a GPU one box is the whole picture; squares may only leave out what is no ramp."""
    disparity, order = soft
    given = list(found(disparity, order))
    assert len(given[0]) > 500

    def whole(plane, *_):
        return [(slice(0, plane.shape[0]), slice(0, plane.shape[1]))]

    def all_squares(plane, steps, visible):
        squares = -(-plane.shape[0] // ramps.CELL), -(-plane.shape[1] // ramps.CELL)
        return torch.ones(squares, dtype=torch.bool), torch.full(squares, torch.inf)

    def few_pixels(count, *_):
        return [slice(start, start + 37) for start in range(0, count, 37)]

    others = {
        "_boxes_around": whole,
        "pixels_at_once": few_pixels,
        "_worth_following": all_squares,
    }
    monkeypatch.setattr(ramps, name, others[name])
    for one, other in zip(found(disparity, order), given, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("side", [32, 64, 512])
def test_pixels_of_small_pictures_are_gone_over_in_few_parts(side):
    parts = list(pixels_at_once(side * side, 48, torch.zeros(side, side)))
    assert [part.stop for part in parts[:-1]] == [part.start for part in parts[1:]]
    assert parts[-1].stop == side * side
    # As many numbers as an eighth of the picture has at once, but at least 2¹³.
    assert len(parts) <= 48 * side * side / min(2**13, 48 * side * side) + 1
