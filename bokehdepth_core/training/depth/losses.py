"""Losses of depth training: one number for each sample, so that a batch is a plain mean."""

import torch
from torch import Tensor

SILOG_LAMBDA = 0.5  # of the Depth Anything variant; UniDepth: 0.15
_RIDGE = 1e-6
_EPS = 1e-6


def silog(pred: Tensor, target: Tensor, valid: Tensor, lam: float = SILOG_LAMBDA) -> Tensor:
    """Return the scale-invariant log loss of each sample, [B].

    Args:
        pred: [B,h,w], m, > 0.
        target: [B,h,w], m, > 0 where valid.
        valid: [B,h,w] bool. A sample without any counts 0.
        lam: 0 punishes a wrong scale in full, 1 not at all.

    Reference:
        Eigen et al., NeurIPS 2014: sqrt(mean(g²) − λ mean(g)²), g = log pred − log target.

    Example:
        >>> depth = torch.full((1, 2, 2), 2.0)
        >>> float(silog(3 * depth, depth, depth > 0, lam=1.0)) < 1e-2
        True
        >>> round(float(silog(3 * depth, depth, depth > 0, lam=0.0)), 4)  # log 3
        1.0986
    """
    ones = torch.ones_like(target)
    # Outside of the valid pixels both are 1, so that no infinity reaches the gradient.
    g = torch.log(torch.where(valid, pred, ones).clamp(min=_EPS)) - torch.log(
        torch.where(valid, target, ones)
    )
    mean, square = _mean(g, valid), _mean(g**2, valid)
    return torch.sqrt((square - lam * mean**2).clamp(min=0) + _EPS)


def defocus_loss(pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return the mean error of signed blur of each sample, px, [B]: the ρ loss.

    Args:
        pred: [B,h,w], px.
        target: [B,h,w], px: ρ = K_max (d − d_f).
        valid: [B,h,w] bool.

    Example:
        >>> blur = torch.tensor([[[1.0, -3.0]]])
        >>> defocus_loss(blur + 2, blur, blur != 0)
        tensor([2.])
    """
    error = (pred - torch.where(valid, target, torch.zeros_like(target))).abs()
    return _mean(error, valid)


def affine_disparity_loss(pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return the mean error of disparity after the best scale and offset, over its range, [B].

    Args:
        pred: [B,h,w], disparity in any unit and from any zero.
        target: [B,h,w], 1/m.
        valid: [B,h,w] bool.

    Reference:
        Ranftl et al., "Towards robust monocular depth estimation", TPAMI 2022: scale and offset by
        least squares before the error; here the error is absolute and divided by the range.

    Example:
        >>> disparity = torch.rand(2, 4, 4)
        >>> bool((affine_disparity_loss(3 * disparity + 1, disparity, disparity > -1) < 1e-4).all())
        True
    """
    fitted = affine_fit(pred, target, valid)
    known = torch.where(valid, target, torch.zeros_like(target))
    return _mean((fitted - known).abs(), valid) / _range(target, valid)


def affine_fit(pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return a · pred + b nearest to the target by least squares in each sample, [B,h,w].

    Example:
        >>> line = torch.tensor([[[0.0, 1.0, 2.0]]])
        >>> affine_fit(line, 1 - line, line >= 0).round(decimals=3)[0, 0].tolist()
        [1.0, 0.0, -1.0]
    """
    x = torch.where(valid, pred, torch.zeros_like(pred)).float()
    y = torch.where(valid, target, torch.zeros_like(target)).float()
    mean_x, mean_y = _mean(x, valid)[:, None, None], _mean(y, valid)[:, None, None]
    covariance = _mean((x - mean_x) * (y - mean_y), valid)
    variance = _mean((x - mean_x) ** 2, valid)
    slope = covariance / (variance + _RIDGE * (1 + variance.detach()))
    return slope[:, None, None] * (pred - mean_x) + mean_y


def _range(target: Tensor, valid: Tensor) -> Tensor:
    """Return the span of the valid values of each sample, [B]."""
    high = torch.where(valid, target, torch.full_like(target, -torch.inf)).flatten(1).amax(1)
    low = torch.where(valid, target, torch.full_like(target, torch.inf)).flatten(1).amin(1)
    return (high - low).nan_to_num(1.0, 1.0, 1.0).clamp(min=_EPS)


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    """Return the mean over the valid pixels of each sample, [B]; 0 where there is none."""
    kept = torch.where(valid, values, torch.zeros_like(values))
    return kept.flatten(1).sum(1) / valid.flatten(1).sum(1).clamp(min=1)
