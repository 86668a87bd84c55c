"""A subject in a clip, followed by its mask: where it is, and its disparity, smooth over time."""

import math

import torch
from torch import Tensor

from ...checks import check_number, check_shape
from .clip_focus import clip_focus

REACH = 4  # deviations, beyond which a weight is below 4e-4


def follow_subject(
    depth: Tensor, subject: Tensor, smoothing: float = 0.0
) -> tuple[Tensor, Tensor, list[int]]:
    """Return disparity [N], 1/m, and middle [N,2] of a subject, and the frames that lack it.

    Those take the disparity of the frames around them. Disparity is the median within the mask;
    blur radii are linear in it, so smooth disparity is a smooth pull.

    Args:
        depth: [N,H,W] or [1,H,W], m, > 0; infinity is allowed.
        subject: [N,H,W] or [1,H,W], 0…1; pixels of at least 0.5 are the subject.
        smoothing: frames, standard deviation of the smoothing over time; 0 is none.

    Raises:
        ValueError: masks without a subject in any frame, or of another size than the depth.

    Example:
        >>> depth = torch.tensor([2.0, 9.0, 4.0])[:, None, None].expand(3, 2, 2)
        >>> mask = torch.tensor([1.0, 0.0, 1.0])[:, None, None].expand(3, 2, 2)
        >>> disparity, middles, lost = follow_subject(depth, mask)
        >>> disparity.round(decimals=4).tolist(), middles[0].tolist(), lost
        ([0.5, 0.375, 0.25], [0.5, 0.5], [1])
    """
    check_number(smoothing, "smoothing", 0.0, 10_000.0, hint="It is a number of frames.")
    check_shape(subject, "subject", "B H W", "Connect a MASK.")
    count = max(len(depth), len(subject))
    if subject.shape[1:] != depth.shape[1:] or {len(depth), len(subject)} - {1, count}:
        raise ValueError(
            "subject: draw it on the same picture, one mask for each frame or one for all: "
            f"expected {list(depth.shape)} like depth, found {list(subject.shape)}."
        )
    if not (subject >= 0.5).any():
        raise ValueError(
            "subject: no pixel is chosen in any frame. Connect a mask of what is to be sharp."
        )
    planes, lost = clip_focus(depth.expand(count, -1, -1), subject)
    disparity = torch.reciprocal(planes.double().cpu())
    middles = _between_found(_middles(subject), lost).expand(count, -1)
    return smoothed(disparity, smoothing), smoothed(middles, smoothing), lost


def _middles(mask: Tensor) -> Tensor:
    """Return the middle of what masks [B,H,W] choose, [B,2] float64, (x, y) in shares."""
    found = []
    for one in mask.cpu():
        rows, columns = torch.where(one >= 0.5)
        places = [
            (columns.double().mean() + 0.5) / one.shape[1],
            (rows.double().mean() + 0.5) / one.shape[0],
        ]
        found.append(torch.stack(places))
    return torch.stack(found)


def _between_found(middles: Tensor, lost: list[int]) -> Tensor:
    """Return middles [B,2] with those of lost frames from the nearest frames that have one."""
    there = [index for index in range(len(middles)) if index not in set(lost)]
    for index in lost if len(middles) > 1 else ():
        before = max((one for one in there if one < index), default=there[0])
        after = min((one for one in there if one > index), default=there[-1])
        share = 0.0 if before >= after else (index - before) / (after - before)
        middles[index] = torch.lerp(middles[before], middles[after], share)
    return middles


def smoothed(values: Tensor, deviation: float) -> Tensor:
    """Return values over time, [N] or [N,C] float64, smoothed; what is linear stays as it is.

    Each value becomes that of the straight line fitted to its neighbours with Gaussian weights, so
    a steady pull neither lags nor slows at its ends. No value leaves the range of those given.

    Args:
        values: one for each frame.
        deviation: frames, standard deviation of the weights; 0 changes nothing.

    Reference:
        Local linear regression: W. S. Cleveland, J. American Statistical Association 74 (1979).

    Example:
        >>> smoothed(torch.tensor([0.0, 1.0, 3.0, 3.0]).double(), 1.0).round(decimals=2).tolist()
        [0.0, 1.22, 2.43, 3.0]
    """
    if not deviation or len(values) < 3:
        return values
    columns = values.reshape(len(values), -1)
    at = torch.arange(len(values), dtype=values.dtype)
    rows, window = [], math.ceil(REACH * deviation)
    for index in range(len(values)):
        near = slice(max(0, index - window), index + window + 1)
        away = at[near] - index
        weight = torch.exp(-0.5 * (away / deviation) ** 2)
        total, mean = weight.sum(), (weight * away).sum() / weight.sum()
        spread = (weight * (away - mean) ** 2).sum() / total
        level = (weight[:, None] * columns[near]).sum(0) / total
        slope = ((weight * (away - mean))[:, None] * columns[near]).sum(0) / total
        rows.append(level - mean * slope / spread.clamp(min=1e-12))
    fitted = torch.stack(rows).clamp(columns.amin(0), columns.amax(0))
    return fitted.reshape(values.shape)
