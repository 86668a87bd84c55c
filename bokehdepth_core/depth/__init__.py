"""Stage 2: metric depth from a photo and its bokeh stack."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..weights.published import BUILT_IN
from .sweep.estimator import SweepEstimator

if TYPE_CHECKING:
    from .estimator import NetworkEstimator


def load_depth_estimator(
    source: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    attention_scale: str | None = None,
    max_depth: float | None = None,
) -> "SweepEstimator | NetworkEstimator":
    """Return a depth estimator.

    Args:
        source: "built-in" for the sweep, which needs a stack and no weights; or the path of a
            UniDepthV2 or Depth Anything V2 checkpoint, with or without DSFA.
        device: where the estimator works.
        dtype: precision of a network's encoder; the sweep and the depth heads work in float32.
        attention_scale: of Depth Anything with DSFA, whose training and commands disagree:
            "trained", "single" or "double"; None reads it from the metadata of a converted file,
            and else takes it as trained.
        max_depth: end of a metric Depth Anything's range, m; None reads it from the file's
            metadata, its config.json or its published name, and else takes the network as
            relative.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown option.
        CheckpointError: a file that is no depth network, or a damaged one.
    """
    if source == BUILT_IN:
        return SweepEstimator(torch.device(device))
    from .estimator import NetworkEstimator
    from .loading import load_network  # the networks need transformers; the sweep does not

    network = load_network(
        source,
        device=device,
        dtype=dtype,
        attention_scale=attention_scale,
        max_depth=max_depth,
    )
    return NetworkEstimator(network)
