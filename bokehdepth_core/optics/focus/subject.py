"""The subject of a photo: what a photographer would most likely have in focus.

Every depth of the picture is scored by what lies there: things that stand out before their
surroundings, near the middle, near the camera and sharp in the photo. How large a thing is counts
up to a face's share of the picture, and no further: a wall is not a subject for its size. Nothing
is random, so the same picture gives the same subject.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ...checks import check_depth, check_image
from ...devices import kth_smallest

WORKING_SIDE = 192  # px, to which the longer side is reduced
LEVELS = 48  # depths that are scored, evenly over the root of the disparity's range
# The values below were set by hand on the bundled scene and the drawn ones of its test: a face
# before a wall, somebody beside the middle on a floor, a branch at the border.
TOLERANCE = 0.03  # of the range that counts as one depth
FACE = 0.02  # of the weighted picture: the size that counts half of what a huge thing does
CENTRE_SPREAD = 0.22  # of each side, standard deviation of the weight of the middle
SURROUNDINGS = 0.35  # of the width, to the left and right of a pixel
FAR_WEIGHT = 0.25  # of what is farthest, against 1 for what is nearest
SOFT_WEIGHT = 0.3  # of what has no detail, against 1 for what has most
FLUSH_WEIGHT = 0.05  # of what does not stand out, against 1 for what is in front of infinity


@dataclass(frozen=True, eq=False)
class Subject:
    """What is to be sharp.

    Attributes:
        focus_depth: [B], its depth, m.
        point: [B,2], its middle, (x, y) in shares of the picture.

    Reference:
        `find_subject`, which says how it is found.

    Example:
        >>> depth = torch.full((1, 40, 60), 5.0)
        >>> depth[:, 12:40, 22:40] = 1.5  # somebody before a wall
        >>> subject = find_subject(torch.full((1, 40, 60, 3), 0.5), depth)
        >>> [round(share, 1) for share in subject.point[0].tolist()]  # from the left, from the top
        [0.5, 0.6]
    """

    focus_depth: Tensor
    point: Tensor


@torch.no_grad()
def find_subject(image: Tensor, depth: Tensor) -> Subject:
    """Return the depth and the place of each photo's subject.

    Args:
        image: [B,H,W,3] or [1,H,W,3], sRGB.
        depth: [B,H,W], m or in any unit of 1/disparity, > 0; infinity is allowed.

    Raises:
        ValueError: sizes that do not match, or unusable values.

    Reference:
        No paper: a score of this project, set by hand; its terms and constants are at the top of
        `subject.py`.

    Example:
        >>> depth = torch.full((1, 40, 60), 5.0)
        >>> depth[:, 12:40, 22:40] = 1.5  # somebody before a wall
        >>> subject = find_subject(torch.full((1, 40, 60, 3), 0.5), depth)
        >>> subject.focus_depth
        tensor([1.5000])
    """
    size, found = check_image(image), check_depth(depth)
    if (found["H"], found["W"]) != (size["H"], size["W"]) or size["B"] not in (1, found["B"]):
        raise ValueError(
            f"image: resample it or depth first: expected {list(depth.shape)} pixels like depth, "
            f"found {list(image.shape)}."
        )
    pictures = image.expand(found["B"], -1, -1, -1)
    both = [_find_one(*pair) for pair in zip(pictures, depth, strict=True)]
    return Subject(torch.stack([one[0] for one in both]), torch.stack([one[1] for one in both]))


def _find_one(picture: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the depth and the point (x, y) of the subject of a picture [H,W,3]."""
    stride = max(1, -(-max(depth.shape) // WORKING_SIDE))
    # Every so many-th pixel, not a mean of them, which would lie on no surface at depth edges.
    disparity = depth[stride // 2 :: stride, stride // 2 :: stride].float().reciprocal()
    if disparity.numel() == 0:
        disparity, stride = depth.float().reciprocal(), 1
    far, near = _ends(disparity)
    if not near > far:
        return torch.reciprocal(far), far.new_tensor([0.5, 0.5])
    position = ((disparity - far) / (near - far)).clamp(0, 1).sqrt()
    weight = _centre_weight(position) * _standing_out(disparity)
    detail = _detail(picture, stride, position)
    levels = torch.linspace(0, 1, LEVELS, device=weight.device)
    there = (position[None] - levels[:, None, None]).abs() <= TOLERANCE
    share = (there * weight).mean((1, 2))
    sharpness = (there * weight * detail).mean((1, 2)) / share.clamp(min=1e-12)
    size = share / (share + FACE * _centre_weight(position).mean())
    score = size * _between(FAR_WEIGHT, levels) * _between(SOFT_WEIGHT, sharpness)
    chosen = there[int(score.argmax())] * weight
    return _weighted_median(disparity, chosen).reciprocal(), _middle(chosen)


def _ends(disparity: Tensor) -> tuple[Tensor, Tensor]:
    """Return the disparity of the far and the near end, without stray pixels."""
    flat = disparity.flatten()
    stray = flat.numel() // 200
    return kth_smallest(flat, 1 + stray), kth_smallest(flat, flat.numel() - stray)


def _between(least: float, share: Tensor) -> Tensor:
    """Return values from `least` to 1 for shares 0…1."""
    return least + (1 - least) * share


def _standing_out(disparity: Tensor) -> Tensor:
    """Return [h,w], 0…1, how far each pixel stands before what is left and right of it.

    Along rows alone: a floor comes nearer from row to row, and is no subject for that.
    """
    around = _row_mean(disparity, int(SURROUNDINGS * disparity.shape[1]))
    share = (disparity - around) / disparity.clamp(min=1e-30)
    return _between(FLUSH_WEIGHT, share.clamp(0, 1))


def _centre_weight(position: Tensor) -> Tensor:
    """Return [h,w], 1 in the middle and less towards the borders."""
    falls = [
        torch.exp(
            -0.5 * (torch.linspace(-0.5, 0.5, side, device=position.device) / CENTRE_SPREAD) ** 2
        )
        for side in position.shape
    ]
    return falls[0][:, None] * falls[1]


def _detail(picture: Tensor, stride: int, position: Tensor) -> Tensor:
    """Return [h,w], 0…1, fine contrast of a picture [H,W,3] around each place."""
    grey = picture.float().clamp(0, 1).mean(-1)
    fine = (grey - _box_mean(grey, 1)).abs()
    around = _box_mean(fine, 2 * stride)[stride // 2 :: stride, stride // 2 :: stride]
    around = around if around.shape == position.shape else fine
    return (around / around.amax().clamp(min=1e-6)).sqrt()


def _box_mean(plane: Tensor, reach: int) -> Tensor:
    """Return the mean [H,W] within ± reach px, of what lies in the picture."""
    return _row_mean(_row_mean(plane, reach).T, reach).T


def _row_mean(plane: Tensor, reach: int) -> Tensor:
    """Return the mean [H,W] within ± reach px along rows, of what lies in the picture."""
    half = min(reach, plane.shape[1] - 1)
    sums = functional.pad(plane.double().cpu().cumsum(1), (half + 1, half))
    sums[:, half + 1 + plane.shape[1] :] = sums[:, half + plane.shape[1], None]
    total = sums[:, 2 * half + 1 :] - sums[:, : plane.shape[1]]
    at = torch.arange(plane.shape[1])
    count = (at + half).clamp(max=plane.shape[1] - 1) - (at - half).clamp(min=0) + 1
    return (total / count).to(plane)


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    order = values.flatten().argsort(stable=True)
    total = weights.flatten()[order].double().cpu().cumsum(0)
    index = int((total >= total[-1] / 2).nonzero()[0])
    return values.flatten()[order[index]]


def _middle(weights: Tensor) -> Tensor:
    """Return (x, y) of the middle of weights [h,w], in shares of the picture."""
    total = weights.sum()
    y, x = (
        ((torch.arange(side, device=weights.device) + 0.5) / side * weights.sum(1 - axis)).sum()
        / total
        for axis, side in enumerate(weights.shape)
    )
    return torch.stack([x, y])
