"""Stage 2: metric depth from a photo and its bokeh stack."""

from collections.abc import Sequence
from pathlib import Path

import torch

from ..weights.published import BUILT_IN
from .networks.options import NetworkOptions
from .protocol import DepthEstimator
from .sweep.estimator import SweepEstimator

__all__ = ["BUILT_IN", "DepthEstimator", "load_depth_estimator"]


def load_depth_estimator(
    source: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    attention_scale: str | None = None,
    max_depth: float | None = None,
    alibi: float | None = None,
    heads: int | None = None,
    stages: Sequence[int] | None = None,
) -> DepthEstimator:
    """Return a depth estimator.

    Args:
        source: "built-in" for the sweep, which needs a stack and no weights; or the path of a
            UniDepthV2 or Depth Anything V2 checkpoint, with or without DSFA, or of a small network
            of `bokehdepth train depth`.
        device: where the estimator works.
        dtype: precision of a network's encoder; the sweep and the depth heads work in float32.
        attention_scale: of Depth Anything with DSFA, whose training and commands disagree:
            "trained", "single" or "double"; None reads it from the metadata of a converted file,
            and else takes it as trained.
        max_depth: end of a metric Depth Anything's range, m; None reads it from the file's
            metadata, its config.json or its published name, and else takes the network as
            relative.
        alibi: of a retrained DSFA: by how much focus logits fall for each px·m between strengths.
        heads: of a retrained DSFA: its attention heads; must divide the channels of a token.
        stages: the four encoder blocks whose tokens are used and fused, counted from 1. These
            three are read from the metadata of a converted file where they are None, and else
            taken as published.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown option.
        CheckpointError: a file that is no depth network, or a damaged one.

    Reference:
        arXiv 2512.12425, stage 2: DSFA. Press et al., "Train short, test long", ICLR 2022: ALiBi.
        Piccinelli et al., "UniDepthV2", arXiv 2502.20110; Yang et al., "Depth Anything V2", NeurIPS
        2024: the networks.

    Example:
        >>> from bokehdepth_core import BokehStack
        >>> photo = torch.rand(1, 24, 32, 3)
        >>> stack = BokehStack(photo[0], photo, (10.0,))  # one frame, without any blur
        >>> found = load_depth_estimator("built-in").estimate(photo, stack)
        >>> found.depth.shape, found.metric
        (torch.Size([1, 24, 32]), False)
    """
    if str(source) == BUILT_IN:
        return SweepEstimator(torch.device(device))
    from .estimator import NetworkEstimator
    from .loading import load_network  # the networks need transformers; the sweep does not
    from .networks.small import SmallDepth
    from .small_estimator import SmallEstimator

    blocks = None if stages is None else tuple(stages)
    options = NetworkOptions(attention_scale, max_depth, alibi, heads, blocks)
    network = load_network(source, device=device, dtype=dtype, options=options)
    if isinstance(network, SmallDepth):
        return SmallEstimator(network)
    return NetworkEstimator(network)
