"""All scores of a depth map: values worked out by hand, and what no alignment changes."""

import math
from dataclasses import asdict

import pytest
import torch

from bokehdepth_core import DepthMap
from bokehdepth_core.evaluation.bootstrap import bootstrap
from bokehdepth_core.evaluation.depth_scores import boundary_f1, score_depth

TRUE = torch.tensor([[1.0, 2.0], [4.0, 8.0]])  # m
SURE = torch.linspace(0, 1, 63).reshape(1, 9, 7)


def scored(depth, true=TRUE, confidence=None, **options):
    return score_depth(DepthMap(depth[None], confidence), 1 / true, **options)


def test_the_truth_itself_is_without_error():
    found = asdict(scored(TRUE))
    assert (found.pop("ause"), found.pop("pixels")) == (None, 4)
    ones = {"delta_1", "delta_2", "delta_3", "boundary_f1"}
    assert found == pytest.approx({name: float(name in ones) for name in found}, abs=1e-6)


def test_scores_that_were_worked_out_by_hand():
    # Ratios 2, 1, 1 and 1/2: errors 1, 0, 0 and -4 m.
    found = scored(TRUE * torch.tensor([[2.0, 1.0], [1.0, 0.5]]))
    assert found.abs_rel == pytest.approx((1 + 0.5) / 4)
    assert found.rmse == pytest.approx(math.sqrt(17 / 4))
    assert found.log10 == pytest.approx(2 * math.log10(2) / 4)
    # The mean of the logarithms is 0, so that SILog is the root of their mean square.
    assert found.silog == pytest.approx(100 * math.log(2) / math.sqrt(2))
    assert (found.delta_1, found.delta_2, found.delta_3) == (0.5, 0.5, 0.5)


def test_each_delta_is_a_power_of_1_25():
    found = scored(TRUE * torch.tensor([[1.2, 1.5], [1.9, 2.0]]))
    assert (found.delta_1, found.delta_2, found.delta_3) == (0.25, 0.5, 0.75)


def test_the_affine_error_is_over_the_range():
    # Against 0, 1, 1, 0 the line through 0, 0, 1, 1 is best at the mean: 1/2 off everywhere.
    true = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    predicted = DepthMap(1 / torch.tensor([[[1.0, 1.0, 2.0, 2.0]]]))
    assert score_depth(predicted, 3 * true + 1).affine_error == pytest.approx(0.5)


def test_jumps_count_by_their_direction_and_threshold():
    true = torch.tensor([[1.0, 1.0, 2.0, 2.0]])
    assert boundary_f1(true.flip(1), true) == 0  # the other side occludes
    # One of two jumps met: precision 1, recall 1/2.
    assert boundary_f1(torch.tensor([[1.0, 2, 2]]), torch.tensor([[1.0, 2, 4]])) == pytest.approx(
        2 / 3
    )
    # A jump of 12 % exceeds 1.05 to 1.10, and those alone.
    found = boundary_f1(torch.tensor([[1.0, 1.12]]), torch.tensor([[1.0, 2.0]]))
    weights = [5, 7.5, 10, 12.5, 15, 17.5, 20, 22.5, 25]
    assert found == pytest.approx(sum(weights[:3]) / sum(weights))
    assert boundary_f1(true, torch.ones(1, 4)) is None


def test_a_jump_to_what_is_not_known_does_not_count():
    true = torch.tensor([[1.0, 2.0, 2.0]])
    known = torch.tensor([[False, True, True]])
    assert boundary_f1(true, true, known) is None


@pytest.mark.parametrize("scale", [1e-3, 0.3, 7.0])
def test_no_scale_changes_scores_after_the_scale(scale):
    torch.manual_seed(0)
    true, found = 1 + torch.rand(2, 9, 7).double()
    first = asdict(scored(found, true, SURE, align="scale"))
    again = asdict(scored(scale * found, true, SURE, align="scale"))
    assert again == pytest.approx(first, rel=1e-9)
    assert first["abs_rel"] > 0.01


@pytest.mark.parametrize(("scale", "offset"), [(1e-3, 0.0), (3.0, 0.7), (40.0, 5.0)])
def test_no_scale_and_offset_of_disparity_change_scores_after_the_fit(scale, offset):
    torch.manual_seed(0)
    true, found = 1 + torch.rand(2, 9, 7).double()
    first = asdict(scored(found, true, SURE, align="affine"))
    again = asdict(scored(1 / (scale / found + offset), true, SURE, align="affine"))
    assert again == pytest.approx(first, rel=1e-7)  # rounding, times offset over scale
    assert first["abs_rel"] > 0.01


def test_relative_depth_has_metres_only_after_the_fit():
    relative = DepthMap.from_normalized_disparity((1 / TRUE[None] - 0.125) / 0.875)
    for align in ("metric", "scale"):
        found = score_depth(relative, 1 / TRUE, align=align)
        assert (found.abs_rel, found.boundary_f1) == (None, None)
        assert found.affine_error < 1e-6
    assert score_depth(relative, 1 / TRUE, align="affine").abs_rel < 1e-5
    found = score_depth(DepthMap(TRUE[None]), 1 / TRUE, true_metric=False)
    assert (found.abs_rel, found.pixels) == (None, 4)


def test_ause_is_that_of_the_relative_error():
    confidence = torch.tensor([[[0.0, 1.0], [1.0, 1.0]]])
    predicted = DepthMap(TRUE[None] * torch.tensor([[2.0, 1.0], [1.0, 1.0]]), confidence)
    assert score_depth(predicted, 1 / TRUE).ause == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("depth", "options", "message"),
    [
        (torch.ones(1, 2), {}, "predicted: expected"),
        (TRUE, {"align": "median"}, "align: expected metric, scale, affine"),
        (TRUE, {"known": TRUE > 9}, "no pixel with a known depth"),
    ],
)
def test_what_cannot_be_scored_is_refused(depth, options, message):
    with pytest.raises(ValueError, match=message):
        scored(depth, **options)


def test_an_interval_is_that_of_the_normal_law_for_many_values():
    torch.manual_seed(0)
    values = torch.randn(400).tolist()
    found = bootstrap(values, seed=3)
    # 1.96 standard deviations of the mean; 2000 draws know an end to about 5 %.
    half = 1.96 * torch.tensor(values).std().item() / 20
    assert found.high - found.mean == pytest.approx(half, rel=0.15)
    assert found.mean - found.low == pytest.approx(half, rel=0.15)
    assert found == bootstrap(values, seed=3)
    assert found != bootstrap(values, seed=4)


def test_of_one_value_the_interval_is_the_value():
    assert vars(bootstrap([2.0])) == {"mean": 2, "low": 2, "high": 2, "count": 1}
    with pytest.raises(ValueError, match="values: none given"):
        bootstrap([])
