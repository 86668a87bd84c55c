"""Measures of depth and of pictures: values that can be worked out by hand."""

import math

import pytest
import torch

from bokehdepth_core import DepthMap, evaluate_depth
from bokehdepth_core.evaluation.depth_metrics import ause
from bokehdepth_core.evaluation.picture_metrics import psnr, ssim

TRUE = torch.tensor([[[1.0, 2.0, 4.0, 8.0]]])


def test_the_truth_itself_is_without_error():
    found = evaluate_depth(DepthMap(TRUE), TRUE)
    assert (found.abs_rel, found.delta_105, found.ause, found.pixels) == (0, 1, None, 4)


def test_ten_percent_too_far_everywhere():
    found = evaluate_depth(DepthMap(1.1 * TRUE), TRUE)
    assert found.abs_rel == pytest.approx(0.1, abs=1e-6)
    assert (found.delta_105, found.delta_115, found.delta_125) == (0, 1, 1)


def test_deltas_count_too_near_as_too_far():
    # 1.25 / 1 and 1 / 0.8 are the same ratio.
    low = evaluate_depth(DepthMap(TRUE * 0.79), TRUE)
    assert (low.delta_115, low.delta_125) == (0, 0)


def test_what_was_not_measured_does_not_count():
    true = torch.tensor([[[1.0, torch.inf, 4.0, 5000.0]]])
    assert evaluate_depth(DepthMap(TRUE), true).pixels == 2


def test_infinite_predictions_are_wrong_but_finite():
    found = evaluate_depth(DepthMap(torch.tensor([[[torch.inf]]])), torch.tensor([[[2.0]]]))
    assert found.abs_rel == pytest.approx((1000 - 2) / 2)


def test_relative_depth_is_compared_after_a_fit():
    relative = DepthMap.from_normalized_disparity((1 / TRUE - 0.125) / 0.875)
    assert evaluate_depth(relative, TRUE, fit="disparity").abs_rel < 1e-5
    with pytest.raises(ValueError, match="relative depth"):
        evaluate_depth(relative, TRUE)


def test_confidence_in_the_order_of_the_error_has_no_area():
    error = torch.tensor([0.4, 0.1, 0.3, 0.2])
    assert ause(error, -error) == pytest.approx(0)
    # Worst kept to the last: means 0.4, 0.35, 0.3, 0.25 against 0.1, 0.15, 0.2, 0.25.
    assert ause(error, error) == pytest.approx((0.3 + 0.2 + 0.1) / 4)


def test_equal_confidence_everywhere_is_not_rewarded_for_its_order():
    error = torch.linspace(0, 1, 2001)
    # At random the mean stays 0.5; the oracle's is half of the share that is left.
    assert ause(error, torch.ones(2001)) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(
    ("predicted", "message"),
    [(torch.ones(1, 2, 2), "like the truth"), (torch.ones(1, 1, 4), "no pixel")],
)
def test_what_cannot_be_compared_is_refused(predicted, message):
    true = TRUE if message == "like the truth" else torch.full((1, 1, 4), torch.inf)
    with pytest.raises(ValueError, match=message):
        evaluate_depth(DepthMap(predicted), true)


def test_psnr_of_a_constant_difference():
    assert psnr(torch.full((8, 8, 3), 0.5), torch.full((8, 8, 3), 0.6)) == pytest.approx(20)
    assert psnr(torch.ones(8, 8, 3), torch.ones(8, 8, 3)) == math.inf


def test_psnr_leaves_out_what_is_masked():
    picture, valid = torch.zeros(8, 8, 3), torch.ones(8, 8, dtype=torch.bool)
    picture[0, 0] = 1
    valid[0, 0] = False
    assert psnr(picture, torch.zeros(8, 8, 3), valid) == math.inf


def test_ssim_falls_with_blur_and_is_one_for_the_same():
    torch.manual_seed(0)
    photo = torch.rand(24, 24, 3)
    grey = torch.full_like(photo, 0.5)
    assert ssim(photo, photo) == pytest.approx(1)
    assert ssim(0.5 * photo + 0.5 * grey, photo) < 0.9
    assert ssim(grey, photo) < 0.1
