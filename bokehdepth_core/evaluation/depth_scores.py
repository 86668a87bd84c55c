"""Every usual number of one depth map against the truth: metric, after a scale, or after a fit.

Truth is given as disparity, so that sky (disparity 0) has a place at boundaries and in the error of
disparity, though no metres.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import check_shape
from ..datatypes import DepthMap
from .depth_metrics import FARTHEST, NEAREST, ause

ALIGNMENTS = ("metric", "scale", "affine")
BOUNDARIES = tuple(1 + step / 100 for step in (5, 7.5, 10, 12.5, 15, 17.5, 20, 22.5, 25))


@dataclass(frozen=True)
class DepthScores:
    """How far a depth map is from the truth; None is what cannot be measured on it.

    Attributes:
        affine_error: mean error of disparity after the best scale and offset, over the true range.
        pixels: how many were compared.
        abs_rel: mean of |z − z*| / z*.
        rmse: sqrt of the mean of (z − z*)², m.
        log10: mean of |log10 z − log10 z*|.
        silog: 100 · standard deviation of ln z − ln z*.
        delta_1: share of pixels with max(z / z*, z* / z) < 1.25.
        delta_2: the same for 1.25².
        delta_3: the same for 1.25³.
        boundary_f1: of where depth jumps between neighbours, 0…1; 1 is best.
        ause: as `DepthMetrics.ause`.
    """

    affine_error: float
    pixels: int
    abs_rel: float | None = None
    rmse: float | None = None
    log10: float | None = None
    silog: float | None = None
    delta_1: float | None = None
    delta_2: float | None = None
    delta_3: float | None = None
    boundary_f1: float | None = None
    ause: float | None = None


def score_depth(
    predicted: DepthMap,
    true_disparity: Tensor,
    *,
    known: Tensor | None = None,
    align: str = "metric",
    true_metric: bool = True,
) -> DepthScores:
    """Return all scores of one map.

    Depth is compared where the truth lies within 0.01…1000 m, cut to the same. Relative depth has
    a scale and an offset of its own: unless `align` is "affine" it has an affine error alone, and
    against relative truth any depth has.

    Args:
        predicted: one map, [1,H,W].
        true_disparity: [H,W], 1/m, >= 0; 0 is infinitely far.
        known: [H,W] bool, where it was measured; None for everywhere.
        align: "metric" compares as is; "scale" multiplies depth by the median of z* / z; "affine"
            fits scale and offset of disparity by least squares.
        true_metric: False where the true disparity is known up to scale and offset only.

    Raises:
        ValueError: an unknown alignment, sizes that do not match, or no pixel to compare.

    Reference:
        Eigen et al., NeurIPS 2014 (AbsRel, RMSE, SILog, δ); Zhou et al., CVPR 2017 (median scale);
        Ranftl et al., TPAMI 2022 (fit of disparity).

    Example:
        >>> true = torch.tensor([[1.0, 0.5], [0.25, 0.0]])
        >>> found = score_depth(DepthMap(2 / true[None]), true)
        >>> found.abs_rel, found.delta_3, round(found.silog, 3), found.pixels
        (1.0, 0.0, 0.0, 4)
        >>> score_depth(DepthMap(2 / true[None]), true, align="scale").abs_rel
        0.0
    """
    if align not in ALIGNMENTS:
        raise ValueError(f"align: expected {', '.join(ALIGNMENTS)}, found {align!r}.")
    check_shape(true_disparity, "true_disparity", "H W")
    if predicted.depth.shape != (1, *true_disparity.shape):
        raise ValueError(
            f"predicted: expected {[1, *true_disparity.shape]} like the truth, found "
            f"{list(predicted.depth.shape)}. Bring one to the size of the other."
        )
    truth = true_disparity.detach().cpu().double()
    usable = torch.isfinite(truth) & (truth >= 0)
    if known is not None:
        usable &= known.cpu()
    if not usable.any():
        raise ValueError("true_disparity: no pixel with a known depth. Give another map or mask.")
    disparity = predicted.disparity[0].detach().cpu().double()
    affine = affine_fitted(disparity, truth, usable)
    pixels = int(usable.sum())
    error = _over_range((affine - truth).abs()[usable], truth[usable])
    measured = usable & (truth >= 1 / FARTHEST) & (truth <= 1 / NEAREST)
    comparable = true_metric and (align == "affine" or predicted.metric)
    if not comparable or not measured.any():
        return DepthScores(error, pixels)
    disparity = _aligned(disparity, truth, affine, measured, align)
    confidence = None if predicted.confidence is None else predicted.confidence[0].cpu()[measured]
    found = _in_metres(1 / disparity[measured], 1 / truth[measured], confidence)
    edges = boundary_f1(disparity, truth, usable)
    return DepthScores(error, pixels, boundary_f1=edges, **found)


def _aligned(
    disparity: Tensor, truth: Tensor, affine: Tensor, measured: Tensor, align: str
) -> Tensor:
    """Return disparity [H,W], 1/m, as it is compared: aligned, then cut to 0.01…1000 m."""
    if align == "affine":
        disparity = affine
    elif align == "scale":
        # Depth is multiplied by the median of z* / z, so disparity is divided by it.
        ratio = disparity[measured] / truth[measured]
        disparity = disparity / ratio.median().clamp(min=1e-12)
    return disparity.clamp(1 / FARTHEST, 1 / NEAREST)


def _in_metres(depth: Tensor, true: Tensor, confidence: Tensor | None) -> dict[str, float | None]:
    """Return the scores that are means over pixels [P], by name."""
    relative = (depth - true).abs() / true
    log = depth.log() - true.log()
    ratio = torch.maximum(depth / true, true / depth)
    spread = (log.square().mean() - log.mean().square()).clamp(min=0).sqrt()
    found: dict[str, float | None] = {
        f"delta_{power}": float((ratio < 1.25**power).double().mean()) for power in (1, 2, 3)
    }
    return found | {
        "abs_rel": float(relative.mean()),
        "rmse": float((depth - true).square().mean().sqrt()),
        "log10": float((depth.log10() - true.log10()).abs().mean()),
        "silog": 100 * float(spread),
        "ause": None if confidence is None else ause(relative, confidence),
    }


def affine_fitted(disparity: Tensor, true: Tensor, known: Tensor) -> Tensor:
    """Return a · disparity + b nearest to the truth by least squares where it is known, [H,W].

    A constant stays one: it becomes the mean of the truth.

    Example:
        >>> line = torch.tensor([[0.0, 1.0, 2.0]], dtype=torch.float64)
        >>> affine_fitted(line, 5 - 2 * line, line >= 0).tolist()
        [[5.0, 3.0, 1.0]]
    """
    x, y = disparity[known], true[known]
    centred = x - x.mean()
    variance = centred.square().mean()
    # Below rounding of the numbers themselves nothing varies.
    flat = variance <= (1e-7 * x.abs().max()).square()
    slope = torch.where(flat, 0.0, (centred * (y - y.mean())).mean() / variance)
    return slope * (disparity - x.mean()) + y.mean()


def _over_range(error: Tensor, true: Tensor) -> float:
    """Return the mean error over the range of the truth; of a flat truth, over its value."""
    span = true.max() - true.min()
    span = torch.where(span > 0, span, true.max().clamp(min=1e-12))
    return float(error.mean() / span)


def boundary_f1(disparity: Tensor, true: Tensor, known: Tensor | None = None) -> float | None:
    """Return how well jumps of depth between neighbours are met, 0…1; None without any jump.

    Of two neighbours one occludes the other where the ratio of their depths is above t. F1 of
    these pairs, told apart by their direction, is averaged over t of 1.05 to 1.25, weighted by
    t − 1; a t that nothing in the truth exceeds does not count. No scale of the depth changes it.

    Args:
        disparity: [H,W], >= 0.
        true: [H,W], >= 0.
        known: [H,W] bool; pairs that lie outside do not count.

    Reference:
        Bochkovskii et al., "Depth Pro: sharp monocular metric depth in less than a second", ICLR
        2025, with the four directions counted together.

    Example:
        >>> step = torch.tensor([[1.0, 1.0, 2.0, 2.0]])
        >>> boundary_f1(3 * step, step), boundary_f1(torch.ones(1, 4), step)
        (1.0, 0.0)
    """
    counted = torch.ones_like(true, dtype=torch.bool) if known is None else known
    found, wanted, pairs = (_pairs(one) for one in (disparity, true, counted))
    both = pairs[0] & pairs[1]
    total, weights = 0.0, 0.0
    for limit in BOUNDARIES:
        is_true = _jumps(wanted, limit) & both
        count = int(is_true.sum())
        if not count:
            continue
        is_found = _jumps(found, limit) & both
        hits = int((is_true & is_found).sum())
        total += (limit - 1) * 2 * hits / (count + int(is_found.sum()))
        weights += limit - 1
    return total / weights if weights else None


def _pairs(plane: Tensor) -> Tensor:
    """Return each pixel with its right and its lower neighbour, [2,P]."""
    right = torch.stack([plane[:, :-1].flatten(), plane[:, 1:].flatten()])
    lower = torch.stack([plane[:-1].flatten(), plane[1:].flatten()])
    return torch.cat([right, lower], 1)


def _jumps(pairs: Tensor, limit: float) -> Tensor:
    """Return in which pairs the first occludes the second, and the second the first, [2,P]."""
    return torch.stack([pairs[0] > limit * pairs[1], pairs[1] > limit * pairs[0]])
