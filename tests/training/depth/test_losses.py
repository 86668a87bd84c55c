"""Losses of depth training, against their formulas."""

import math

import pytest
import torch

from bokehdepth_core.training.depth.losses import affine_disparity_loss, defocus_loss, silog


def test_silog_is_its_formula():
    torch.manual_seed(0)
    pred, target = torch.rand(2, 3, 4, 5, dtype=torch.float64) + 0.5
    valid = torch.rand(3, 4, 5) < 0.7
    for index, found in enumerate(silog(pred, target, valid, 0.15)):
        g = (pred[index].log() - target[index].log())[valid[index]]
        wanted = math.sqrt(float((g**2).mean() - 0.15 * g.mean() ** 2) + 1e-6)  # 1e-6 in the root
        assert found == pytest.approx(wanted, rel=1e-9)


def test_pixels_that_are_not_valid_change_nothing_and_give_no_gradient():
    torch.manual_seed(0)
    pred = (torch.rand(1, 4, 5) + 0.5).requires_grad_()
    target = torch.rand(1, 4, 5) + 0.5
    valid = torch.ones(1, 4, 5, dtype=torch.bool)
    valid[0, 0] = False
    for loss in (silog, defocus_loss, affine_disparity_loss):
        before = loss(pred, target, valid)
        (slope,) = torch.autograd.grad(before.sum(), pred)
        assert slope[0, 0].eq(0).all()
        assert slope[0, 1:].abs().sum() > 0
        other = target.clone()
        other[0, 0] = torch.inf  # the sky, or nothing measured
        torch.testing.assert_close(loss(pred, other, valid), before)


def test_a_sample_without_a_valid_pixel_has_a_finite_loss_and_gradient():
    pred = torch.rand(2, 4, 5, requires_grad=True)
    valid = torch.zeros(2, 4, 5, dtype=torch.bool)
    for loss in (silog, defocus_loss, affine_disparity_loss):
        total = loss(pred, torch.full((2, 4, 5), torch.inf), valid).sum()
        (slope,) = torch.autograd.grad(total, pred)
        assert torch.isfinite(total)
        assert torch.isfinite(slope).all()


def test_scale_and_offset_of_disparity_do_not_count():
    torch.manual_seed(0)
    target, valid = torch.rand(2, 6, 6), torch.ones(2, 6, 6, dtype=torch.bool)
    assert affine_disparity_loss(-7 * target + 3, target, valid).max() < 1e-4
    noise = torch.rand(2, 6, 6)
    # Unrelated numbers: at most the mean distance from the mean, over the range.
    flat = (target - target.mean((1, 2), keepdim=True)).abs().mean((1, 2))
    flat = flat / (target.amax((1, 2)) - target.amin((1, 2)))
    torch.testing.assert_close(affine_disparity_loss(noise, target, valid), flat, atol=0.03, rtol=0)
