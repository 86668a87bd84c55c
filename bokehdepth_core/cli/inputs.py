"""Depth and focus as the commands take them."""

import argparse
import math
import sys
from pathlib import Path

import torch
from torch import Tensor

from ..checks import check_number
from ..datatypes import DepthMap
from ..optics.thin_lens import focus_depth_at
from ..resample import fit_depth


def fitted(path: Path, depth: DepthMap, image: Tensor, refined: bool = True) -> DepthMap:
    """Return depth at the size of the image [1,H,W,3]; tell where it had another."""
    size = (image.shape[1], image.shape[2])
    found = (depth.depth.shape[1], depth.depth.shape[2])
    if found != size:
        note = (
            f"{path.name}: depth of {found[0]}x{found[1]} made {size[0]}x{size[1]} like the image"
        )
        print(note, file=sys.stderr)
    return fit_depth(depth, size, soft_edges=refined)


def need_metres(depth: DepthMap) -> None:
    """Refuse depth without metres where a distance in metres is asked for.

    Raises:
        ValueError: relative depth.
    """
    if not depth.metric:
        raise ValueError(
            "focus_distance: the depth holds no metres, only normalised disparity. "
            "Give --focus-point instead."
        )


def focus_plane(options: argparse.Namespace, depth: DepthMap) -> Tensor:
    """Return the depth of the focus plane [B]: as given in metres, or at the focus point.

    Raises:
        ValueError: a distance for relative depth, or one that is not above zero.
    """
    if options.focus_distance is not None:
        need_metres(depth)
        if options.focus_distance == math.inf:  # a lens can be focused there
            return torch.tensor([math.inf])
        return torch.tensor([check_number(options.focus_distance, "focus_distance", above=0)])
    return focus_depth_at(depth.depth, *(options.focus_point or (0.5, 0.5)))
