"""The usual measures of a depth map against the truth: AbsRel, δ and AUSE."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import check_depth, check_shape
from ..datatypes import DepthMap

DELTAS = (1.05, 1.15, 1.25)
NEAREST, FARTHEST = 0.01, 1000.0  # m; truth beyond is no measurement, and predictions are cut there


@dataclass(frozen=True)
class DepthMetrics:
    """How far a depth map is from the truth.

    Attributes:
        abs_rel: mean of |z − z*| / z*.
        delta_105: share of pixels with max(z / z*, z* / z) < 1.05.
        delta_115: the same for 1.15.
        delta_125: the same for 1.25.
        ause: area between AbsRel of what is left as the least confident pixels are taken away, and
            as the worst are; 0 is best. None where there is no confidence.
        pixels: how many were compared.

    Reference:
        `evaluate_depth`, which names the papers.

    Example:
        >>> depth = torch.full((1, 4, 6), 2.0)
        >>> found = evaluate_depth(DepthMap(1.1 * depth), depth)
        >>> round(found.abs_rel, 3), found.delta_105, found.delta_115
        (0.1, 0.0, 1.0)
    """

    abs_rel: float
    delta_105: float
    delta_115: float
    delta_125: float
    ause: float | None
    pixels: int


def evaluate_depth(
    predicted: DepthMap, true: Tensor, *, valid: Tensor | None = None, fit: str = "none"
) -> DepthMetrics:
    """Return the measures of predicted depth over all pixels whose truth is known.

    Args:
        predicted: depth, with confidence where AUSE is wanted.
        true: [B,H,W], m; infinite where nothing was measured.
        valid: [B,H,W], bool; further pixels to leave out where False.
        fit: "none" compares metres; "disparity" first fits scale and offset of the disparity by
            least squares, as relative depth needs.

    Raises:
        TypeError: not floating-point depth.
        ValueError: sizes that do not match, no pixel to compare, relative depth without a fit.

    Reference:
        Eigen et al., "Depth map prediction from a single image using a multi-scale deep network",
        NeurIPS 2014 (AbsRel, δ); Ilg et al., "Uncertainty estimates and multi-hypotheses networks
        for optical flow", ECCV 2018 (AUSE, here of AbsRel and not divided by its mean).

    Example:
        >>> true = torch.tensor([[[1.0, 2.0, torch.inf]]])
        >>> found = evaluate_depth(DepthMap(torch.tensor([[[1.1, 2.0, 5.0]]])), true)
        >>> round(found.abs_rel, 3), found.delta_105, found.pixels
        (0.05, 0.5, 2)
    """
    check_depth(true, "true")
    check_depth(predicted.depth, "predicted")
    if predicted.depth.shape != true.shape:
        raise ValueError(
            f"predicted: expected {list(true.shape)} like the truth, found "
            f"{list(predicted.depth.shape)}. Bring one to the size of the other."
        )
    if fit not in ("none", "disparity"):
        raise ValueError(f'fit: expected "none" or "disparity", found {fit!r}.')
    if fit == "none" and not predicted.metric:
        raise ValueError(
            'predicted: relative depth, which has no metres to compare. Use fit="disparity".'
        )
    known = (true >= NEAREST) & (true <= FARTHEST)
    if valid is not None:
        check_shape(valid, "valid", "B H W")
        known &= valid
    if not known.any():
        raise ValueError("true: no pixel with a known depth. Give another map or mask.")
    truth = true[known].double()
    disparity = predicted.disparity[known].double()
    depth = 1 / (_fitted(disparity, 1 / truth) if fit == "disparity" else disparity)
    depth = torch.where(depth > 0, depth, torch.inf).clamp(NEAREST, FARTHEST)
    error = (depth - truth).abs() / truth
    ratio = torch.maximum(depth / truth, truth / depth)
    shares = [float((ratio < limit).double().mean()) for limit in DELTAS]
    confidence = predicted.confidence
    area = None if confidence is None else ause(error, confidence[known])
    return DepthMetrics(
        float(error.mean()), shares[0], shares[1], shares[2], area, int(known.sum())
    )


def ause(error: Tensor, confidence: Tensor) -> float:
    """Return the area under the sparsification error, in the unit of the error.

    Args:
        error: [P], >= 0.
        confidence: [P].

    Reference:
        Ilg et al., ECCV 2018, without the division by the mean error.

    Example:
        >>> errors = torch.tensor([0.0, 1.0])
        >>> ause(errors, torch.tensor([1.0, 0.0])), ause(errors, torch.tensor([0.0, 1.0]))
        (0.0, 0.5)
    """
    error = error.double()
    return float(_left(error, confidence).mean() - _left(error, -error).mean())


def _left(error: Tensor, key: Tensor) -> Tensor:
    """Return the mean error of what is left as the lowest keys are taken away, [P]."""
    # Equal keys go in an order that has nothing to do with where they lie.
    mixed = torch.randperm(len(key), generator=torch.Generator().manual_seed(0)).to(key.device)
    order = mixed[key[mixed].argsort(descending=True, stable=True)]
    return error[order].cumsum(0) / torch.arange(1, len(key) + 1, device=key.device)


def _fitted(disparity: Tensor, truth: Tensor) -> Tensor:
    """Return a · disparity + b nearest to the true disparity, [P]."""
    columns = torch.stack([disparity, torch.ones_like(disparity)], 1)
    fit: Tensor = torch.linalg.lstsq(columns, truth[:, None]).solution
    return (columns @ fit)[:, 0]
