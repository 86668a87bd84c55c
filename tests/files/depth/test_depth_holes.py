"""Holes are told from the sky, counted, and filled along the photo."""

import math

import numpy as np
import pytest
import torch

from bokehdepth_core import DepthMap, read_depth, read_depth_file
from bokehdepth_core.files.depth.holes import fill_holes, hole_mask


@pytest.mark.parametrize("hole", [0.0, np.nan, -1.0, -np.inf])
def test_holes_are_counted_and_told_from_the_sky(tmp_path, hole):
    depth = np.full((8, 10), 3.0, np.float32)
    depth[0] = np.inf
    depth[4:6, 2:5] = hole
    np.save(tmp_path / "a.npy", depth)
    found = read_depth_file(tmp_path / "a.npy")
    assert int(hole_mask(found.depth).sum()) == 6
    assert (found.depth.confidence[0, 0] == 1).all()
    assert any("holes: 6 of 80 pixels not measured (8 %)" in line for line in found.report)
    far = read_depth(tmp_path / "a.npy", holes="far")
    assert far.confidence is None
    assert int(torch.isinf(far.depth).sum()) == 16


def test_filling_follows_the_photo_and_leaves_the_sky(tmp_path):
    """A card at 1 m before a wall at 5 m; the sensor lost a band along the card's edge."""
    depth = np.full((40, 60), 5.0, np.float32)
    depth[:, :30] = 1.0
    depth[:4] = np.inf
    truth = depth.copy()
    depth[8:36, 24:36] = 0
    np.save(tmp_path / "a.npy", depth)
    photo = torch.zeros(80, 120, 3)
    photo[:, 60:] = 0.8
    found = read_depth(tmp_path / "a.npy", photo=photo)
    assert torch.isinf(found.depth[0, :4]).all()
    assert (found.confidence[0, 8:36, 24:36] == 0).all()
    inside = found.depth[0, 8:36, 24:36].numpy()
    # Colours differ by 0.8, ten spreads: the other side weighs 1e-4 of a cell of the own colour.
    np.testing.assert_allclose(inside, truth[8:36, 24:36], rtol=0.05)


def test_a_frame_around_the_picture_is_filled_from_its_inside():
    depth = torch.full((1, 48, 64), 2.0)
    frame = torch.ones(1, 48, 64, dtype=torch.bool)
    frame[:, 9:40, 8:55] = False
    depth[frame] = math.inf
    filled = fill_holes(DepthMap(depth, (~frame).float()))
    torch.testing.assert_close(filled.depth, torch.full_like(depth, 2.0))


def test_a_map_without_holes_is_returned_as_it_is():
    whole = DepthMap(torch.tensor([[[1.0, math.inf]]]), torch.tensor([[[0.0, 1.0]]]))
    assert fill_holes(whole) is whole
    with pytest.raises(ValueError, match=r"depth: nothing is measured at all\."):
        fill_holes(DepthMap(torch.full((1, 2, 2), math.inf), torch.zeros(1, 2, 2)))
