"""Stage 2: metric depth from a photo and its bokeh stack."""

import torch

from ..weights import BUILT_IN
from .builtin import SweepEstimator


def load_depth_estimator(
    source: str,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> SweepEstimator:
    """Return a depth estimator.

    Args:
        source: "built-in" for the sweep, which needs a stack and no weights.
        device: where the estimator works.
        dtype: precision of a network; the sweep always works in float32.

    Raises:
        ValueError: an unknown source.
    """
    if source == BUILT_IN:
        return SweepEstimator(torch.device(device))
    raise ValueError(f'source: unknown depth estimator {source!r}. Use "{BUILT_IN}".')
