"""The focus of a clip by its subject's mask, also where the mask lost it."""

import math

import pytest
import torch

from bokehdepth_core.optics.focus.clip_focus import clip_focus


def clip(depths, there):
    depth = torch.tensor(depths)[:, None, None].expand(-1, 4, 5)
    return depth, torch.tensor(there, dtype=torch.float32)[:, None, None].expand(-1, 4, 5)


def test_a_lost_subject_is_between_its_neighbours_in_disparity():
    planes, lost = clip_focus(*clip([1.0, 50.0, 50.0, 4.0], [1, 0, 0, 1]))
    torch.testing.assert_close(1 / planes, torch.tensor([1.0, 0.75, 0.5, 0.25]))
    assert lost == [1, 2]


def test_before_and_after_it_was_seen_the_focus_stays():
    planes, lost = clip_focus(*clip([9.0, 2.0, 9.0, 9.0], [0, 1, 0, 0]))
    assert planes.tolist() == [2.0] * 4
    assert lost == [0, 2, 3]


def test_a_subject_at_infinity_is_one():
    planes, _ = clip_focus(*clip([2.0, 9.0, math.inf], [1, 0, 1]))
    assert planes.tolist() == [2.0, 4.0, math.inf]


def test_a_mask_without_a_subject_anywhere_is_refused():
    with pytest.raises(ValueError, match="focus_mask: no pixel is chosen"):
        clip_focus(*clip([1.0, 2.0], [0, 0]))
