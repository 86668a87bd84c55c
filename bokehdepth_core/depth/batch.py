"""What estimators share about a batch: cameras checked on the way in, results made usable."""

import torch
from torch import Tensor

from ..checks import check_shape

FLAT = 1e-4  # share of the largest disparity; networks in half precision are off by more


def cameras_for(intrinsics: Tensor | None, count: int) -> Tensor | None:
    """Return intrinsics [count,3,3], px, of every picture; None where none are given.

    Args:
        intrinsics: [B,3,3] or [1,3,3], px.
        count: of the pictures.

    Raises:
        ValueError: another number of cameras, or numbers that are no camera's.
    """
    if intrinsics is None:
        return None
    given = check_shape(intrinsics, "intrinsics", "B 3 3")["B"]
    if given not in (1, count):
        raise ValueError(
            f"intrinsics: {given} cameras for {count} pictures. Give one for each, or one."
        )
    focal = intrinsics.diagonal(dim1=-2, dim2=-1)[:, :2]
    if not torch.isfinite(intrinsics).all() or (focal <= 0).any():
        raise ValueError(
            f"intrinsics: focal lengths must be above 0 px and all numbers finite, found "
            f"{focal.flatten().tolist()}. Give [[fx,0,cx],[0,fy,cy],[0,0,1]]."
        )
    return intrinsics.float().expand(count, -1, -1)


def check_found(found: Tensor) -> Tensor:
    """Return what a network gave, after checking that it is numbers.

    Raises:
        ValueError: some are not.
    """
    broken = int(torch.isnan(found).sum())
    if broken:
        raise ValueError(
            f"depth_model: the network gave no number in {broken} of {found.numel()} pixels. Its "
            "file is damaged, or the precision too low for it: try fp32, or get the file again."
        )
    return found


def normalized_over_batch(disparity: Tensor) -> Tensor:
    """Return disparity [B,H,W] as 0…1 over the whole batch, whose pictures stay comparable.

    What differs by rounding alone is one plane, not near and far: then the scale keeps its zero.
    """
    low, high = disparity.amin(), disparity.amax()
    low = torch.where(high - low <= FLAT * high, 0.0, low)
    return ((disparity - low) / (high - low).clip(min=1e-12)).clip(0, 1)


def usable(found: Tensor) -> Tensor:
    """Return a tensor that may be used outside of inference mode."""
    with torch.inference_mode(False):
        return found.clone()
