"""The nearest background in view, against a search of every pair of pixels."""

import torch

from bokehdepth_core.render.scene.discontinuities import EDGE_STEP, find_depth_edges
from bokehdepth_core.render.scene.nearest import find_nearest_background
from bokehdepth_core.render.scene.symmetry import Order

RADIUS = 9.0  # px


def test_the_nearest_background_is_that_of_a_search_of_all_pixels():
    # A card before a card before a wall: the far side of the first one's edge lies on the second
    # card, which itself occludes the wall.
    defocus = torch.zeros(40, 44)
    defocus[6:34, 5:38] = 5.0
    defocus[12:24, 11:30] = 9.0
    order = Order(torch.rand(3, 40, 44, generator=torch.Generator().manual_seed(0)))
    far_side = find_depth_edges(defocus, order).far_side

    found = find_nearest_background(defocus, far_side, order, RADIUS)

    seed_row, seed_column = far_side.nonzero(as_tuple=True)
    row, column = torch.meshgrid(torch.arange(40), torch.arange(44), indexing="ij")
    square = (row[..., None] - seed_row) ** 2 + (column[..., None] - seed_column) ** 2
    behind = defocus[seed_row, seed_column] < defocus[..., None] - EDGE_STEP
    nearest = square.masked_fill(~behind, 10**6).amin(-1)
    expected = nearest.float().sqrt().masked_fill(nearest > RADIUS**2, torch.inf)
    assert torch.equal(found.distance, expected)
    there = torch.isfinite(expected)
    assert 0 < there.sum() < there.numel()
    at = found.row[there].long(), found.column[there].long()
    assert far_side[at].all()
    assert (defocus[at] < defocus[there] - EDGE_STEP).all()
    of_card = defocus[at] == 5.0  # seeds that occlude something themselves
    assert of_card.any()
    assert not of_card.all()
