"""The focus of every frame of a clip whose subject is masked, also where a mask lost it."""

import torch
from torch import Tensor

from ..thin_lens import focus_depth_at


def clip_focus(depth: Tensor, mask: Tensor) -> tuple[Tensor, list[int]]:
    """Return the depth of the focus plane of each frame, [B], m, and the frames without a subject.

    Those take the focus of the frames around them: in between disparity goes on evenly, before the
    first and after the last one it stays.

    Args:
        depth: [B,H,W], m, > 0; infinity is allowed.
        mask: [B,H,W] or [1,H,W], 0…1; pixels of at least 0.5 are the subject.

    Raises:
        ValueError: no frame has a subject, or sizes that do not match.

    Example:
        >>> depth = torch.tensor([2.0, 9.0, 4.0])[:, None, None].expand(3, 2, 2)
        >>> mask = torch.tensor([1.0, 0.0, 1.0])[:, None, None].expand(3, 2, 2)
        >>> planes, lost = clip_focus(depth, mask)
        >>> (1 / planes).tolist(), lost
        ([0.5, 0.375, 0.25], [1])
    """
    chosen = (mask >= 0.5).flatten(1).any(dim=1).expand(len(depth)).tolist()
    lost = [index for index, there in enumerate(chosen) if not there]
    if not lost or len(lost) == len(chosen):
        return focus_depth_at(depth, 0.5, 0.5, mask), []
    masks = mask.expand(len(depth), -1, -1)
    found = {
        index: float(
            1 / focus_depth_at(depth[index : index + 1], 0.5, 0.5, masks[index : index + 1])
        )
        for index, there in enumerate(chosen)
        if there
    }
    disparity = [_between(found, index) for index in range(len(depth))]
    return torch.reciprocal(depth.new_tensor(disparity)), lost


def _between(found: dict[int, float], index: int) -> float:
    before = max((one for one in found if one <= index), default=None)
    after = min((one for one in found if one >= index), default=None)
    if before is None or after is None or before == after:
        return found[next(one for one in (before, after) if one is not None)]
    share = (index - before) / (after - before)
    return found[before] * (1 - share) + found[after] * share
