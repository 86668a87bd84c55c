"""What the strengths of a stack can resolve: no far depth that their blur does not tell.

Below 0.3 px of radius in the strongest frame a disparity is not told from another: depths beyond
K / 0.3 px are infinite where the sweep is sure of them, and without confidence elsewhere.
"""

import logging

import torch
from torch import Tensor

from .measurement import SAME, SAME_RADIUS

LEAST_RADIUS = 0.3  # px in the strongest frame that blur tells
SURE = 0.5
BLURRED = 0.01  # of the sure pixels that a stack must blur …
MISFIT = 0.02  # … and share beyond infinity that a wrong focus distance takes
_LOG = logging.getLogger(__name__)


def resolved_disparity(
    disparity: Tensor, confidence: Tensor, strength: float
) -> tuple[Tensor, Tensor]:
    """Return disparity, 1/m, and confidence, without depths that the blur cannot tell.

    Args:
        disparity: [H,W], 1/m; below 0 is beyond infinity.
        confidence: [H,W], 0…1.
        strength: the largest, px·m.

    Example:
        >>> disparity, sure = torch.tensor([[0.5, 0.001]]), torch.tensor([[0.9, 0.9]])
        >>> resolved_disparity(disparity, sure, strength=30.0)[0]
        tensor([[0.5000, 0.0000]])
        >>> resolved_disparity(disparity, 0.3 * sure, strength=30.0)[0]
        tensor([[0.5000, 0.0100]])
    """
    least = LEAST_RADIUS / strength
    too_far = disparity < least
    sky = too_far & (confidence >= SURE)
    unknown = too_far & ~sky
    found = torch.where(sky, 0.0, torch.where(unknown, least, disparity))
    return found, torch.where(unknown, 0.0, confidence)


def checked_confidence(
    offset: Tensor, confidence: Tensor, strength: float, plane: float | None
) -> Tensor:
    """Return the confidence, 0 everywhere where no pixel at all is blurred, with a warning.

    Warns too where offsets behind the focus plane reach clearly beyond infinity.

    Args:
        offset: [H,W], 1/m.
        confidence: [H,W], 0…1.
        strength: the largest, px·m.
        plane: disparity of the focus plane, 1/m, with the scene behind it; None for any other.
    """
    limit = float("inf") if plane is None else plane * (1 + SAME) + SAME_RADIUS / strength
    sure = confidence >= SURE
    blurred, beyond = sure & (offset * strength > 2 * LEAST_RADIUS), sure & (offset > limit)
    # One wait for the device.
    count, moved, far = torch.stack([sure.sum(), blurred.sum(), beyond.sum()]).tolist()
    if count and moved < BLURRED * count:
        _LOG.warning(
            "stack: no frame is blurred, so nothing tells depth. Give frames of wider apertures."
        )
        return torch.zeros_like(confidence)
    if far > MISFIT * count:
        _LOG.warning(
            "focus_depth: %.0f %% of the sure pixels are blurred more than infinity would be: "
            "focus distance and strengths do not fit. Give a smaller distance or larger strengths.",
            100 * far / count,
        )
    return confidence
