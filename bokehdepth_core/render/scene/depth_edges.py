"""Soft depth edges made hard again, along the edges of the photo.

Depth from a network, or resampled from a smaller size, passes from the near side of an edge to the
far side in a ramp several pixels wide. Rendered as it is, the ramp would be a surface of its own
that is blurred differently, and smear the edge. So every pixel of a ramp is classified: it gets the
depth of the near or of the far end of its ramp, by Bayes' rule from its disparity and its colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from ...callbacks import CheckCancelled, never_cancelled
from ...checks import check_depth, check_image
from ..panorama import own_columns, with_other_end
from .discontinuities import largest_within
from .symmetry import CORNERS, ORDERS, SIDES, mirrored_sum, order_of

RAMP_RADIUS = 16  # px to either side within which a ramp must end
LEVEL_OFF = 0.2  # times its steepest step; a ramp has ended where it rises by less
STRAIGHT = 10  # px; what rises evenly for longer than this is a slope, not a soft edge
EVEN = 0.75  # mean step over steepest step from which a ramp counts as straight
STEEPEST = 0.45  # of the whole rise from a pixel to one beside it: the edge is hard already
SMALLEST_RISE = 0.05  # of the near side's disparity: less is no depth edge
LARGE_RISE = 0.3  # of the near side's disparity: less is an edge only where the photo shows one
LEAST_CONTRAST = 0.16  # sRGB, between the mean colours of the two sides of such an edge
LONGEST_SMALL = 15  # steps from end to end of such an edge
AGREEMENT = 9  # px, side of the square in which most of the ramps' pixels must be an edge's
SMALLEST_VISIBLE = 0.02  # of the picture's mean disparity: less makes no visible blur
NOISE = 0.05  # smaller of a pixel's two steps over the larger: less is a plateau beside an edge

NEAREST_POSITION = 0.02  # 0…1; disparity across the ramp counts from this close to either end
# Weight of the log odds from disparity against those from colour. Tuned on the public scenes of
# `docs/render.md`, focused far, with depth 4 times coarser and blurred by 2 and by 4 px: 33.62 dB
# on average; 33.55 at 1.5, 33.62 at 4.5.
DISPARITY_WEIGHT = 3.0
COLOR_SPREAD = 0.08  # sRGB, standard deviation of the colours of one surface
COLOR_DOUBT = 0.1  # likelihood of a colour that was not seen beside the ramp
SAMPLE_RADIUS = 2  # px around the end of a ramp in which its side's colours are sampled
SUPPORT_RADIUS = RAMP_RADIUS + SAMPLE_RADIUS + 2  # px: a step looks one px beyond its pixel
SAME_SIDE = 0.25  # of the rise, by which the disparities of one side may differ


@dataclass(frozen=True, eq=False)
class _Ramps:
    """The pixels of soft edges, and where their ramps end; flat indices, [N] each.

    Attributes:
        pixel: of the ramp.
        near_end: pixel of highest disparity on its way up.
        far_end: pixel of lowest disparity on its way down.
        length: steps from the one end to the other.
    """

    pixel: Tensor
    near_end: Tensor
    far_end: Tensor
    length: Tensor


@dataclass(frozen=True, eq=False)
class _Ground:
    """Disparity or its negative as a ground to climb; of all pixels, [H·W] each.

    Attributes:
        height: of each pixel.
        higher: flat index of its highest neighbour of eight.
        rise: to its highest neighbour of the four beside, above and below it.
    """

    height: Tensor
    higher: Tensor
    rise: Tensor


@dataclass(frozen=True, eq=False)
class _Climb:
    """The ways up from some pixels, [M] each.

    Attributes:
        last: flat index of the last pixel.
        count: number of steps.
        steepest: the largest step, diagonal ones too.
        straight: the largest rise on the way between pixels that share a side.
    """

    last: Tensor
    count: Tensor
    steepest: Tensor
    straight: Tensor

    def where(self, mask: Tensor) -> "_Climb":
        """Return the ways of a mask [M]."""
        return _Climb(self.last[mask], self.count[mask], self.steepest[mask], self.straight[mask])


@dataclass(frozen=True, eq=False)
class _Colors:
    """The colours on one side of some ramps, sRGB, 0…1.

    Attributes:
        likelihood: [M], of the colour of a ramp's pixel.
        mean: [M,3].
        variance: [M], of all three channels together.
    """

    likelihood: Tensor
    mean: Tensor
    variance: Tensor


@torch.no_grad()
def refine_depth(
    image: Tensor,
    depth: Tensor,
    check_cancelled: CheckCancelled = never_cancelled,
    *,
    wraps: bool = False,
) -> Tensor:
    """Return depth whose soft edges are hard steps that follow the picture, [B,H,W], m.

    Plateaus, even slopes and edges that are sharp already keep their exact values. Pictures are
    worked on one by one.

    Args:
        image: [B,H,W,3], sRGB, 0…1.
        depth: [B,H,W] or [1,H,W], m or in any unit of 1/disparity, > 0; infinity is allowed.
        check_cancelled: raises to stop.
        wraps: whether left and right border join.

    Raises:
        TypeError: a picture or depth that is not floating point.
        ValueError: sizes that do not match, or unusable depth.

    Example:
        >>> disparity = torch.tensor([1.0, 1.0, 0.8, 0.7, 0.4, 0.2, 0.2])  # a soft edge
        >>> gray = torch.full((1, 1, 7, 3), 0.5)
        >>> 1 / refine_depth(gray, 1 / disparity.reshape(1, 1, 7)).flatten()
        tensor([1.0000, 1.0000, 1.0000, 1.0000, 0.2000, 0.2000, 0.2000])
    """
    size = check_image(image)
    found = check_depth(depth)
    if (found["H"], found["W"]) != (size["H"], size["W"]) or found["B"] not in (1, size["B"]):
        raise ValueError(
            f"depth: expected {[size['B'], size['H'], size['W']]} like the image, found "
            f"{list(depth.shape)}. Resample it to the picture first."
        )
    depth = depth.to(image.device).expand(size["B"], -1, -1)
    around = SUPPORT_RADIUS if wraps else 0
    out = []
    for picture, own in zip(image, depth, strict=True):
        visible = SMALLEST_VISIBLE * own.float().reciprocal().flatten().mean()
        wide = with_other_end(picture.movedim(-1, 0), around).movedim(0, -1)
        refined = _refine_one(wide, with_other_end(own, around), visible, check_cancelled)
        out.append(own_columns(refined, around))
    return torch.stack(out)


def _refine_one(
    picture: Tensor, depth: Tensor, visible: Tensor, check_cancelled: CheckCancelled
) -> Tensor:
    """Return the refined depth [H,W] of one picture [H,W,3]; edges rise by more than `visible`."""
    sources = edge_sources(picture, depth, visible, check_cancelled)
    return depth.flatten()[sources].view_as(depth)


def edge_sources(
    picture: Tensor,
    depth: Tensor,
    visible: Tensor,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Tensor:
    """Return from which pixel each one takes its depth, flat indices [H·W]: most from themselves.

    With t in 0…1 the position of a pixel's disparity between the far and the near end of its ramp,
    c its colour and w `DISPARITY_WEIGHT`, it is near where the log odds are positive:

        w · log(t / (1 - t)) + log p(c | near) - log p(c | far) > 0.

    Args:
        picture: [H,W,3], sRGB, 0…1.
        depth: [H,W], m or in any unit of 1/disparity, > 0; infinity is allowed.
        visible: the rise of disparity above which an edge is one.
        check_cancelled: raises to stop.

    Example:
        >>> disparity = torch.tensor([[1.0, 1.0, 0.8, 0.7, 0.4, 0.2, 0.2]])
        >>> edge_sources(torch.full((1, 7, 3), 0.5), 1 / disparity, disparity.mean() / 50)
        tensor([0, 1, 1, 1, 5, 5, 6])
    """
    disparity = depth.float().reciprocal()
    flat, color = disparity.flatten(), picture[..., :3].float().clamp(0, 1)
    ramps = _find_ramps(disparity, order_of(color.movedim(-1, 0)), visible, check_cancelled)
    sources = torch.arange(flat.numel(), device=flat.device)
    if ramps.pixel.numel() == 0:
        return sources
    near, far = flat[ramps.near_end], flat[ramps.far_end]
    position = (flat[ramps.pixel] - far) / (near - far)
    log_odds = DISPARITY_WEIGHT * position.clamp(NEAREST_POSITION, 1 - NEAREST_POSITION).logit()
    tolerance = SAME_SIDE * (near - far)
    check_cancelled()
    on_near = _look_around(color, disparity, ramps.pixel, ramps.near_end, tolerance)
    check_cancelled()
    on_far = _look_around(color, disparity, ramps.pixel, ramps.far_end, tolerance)
    log_odds += on_near.likelihood.log() - on_far.likelihood.log()
    # A small rise where the photo shows no edge, or a long one, is the shape of one surface.
    large = near - far > LARGE_RISE * near.clamp(min=float(flat.mean()))
    split = large | (_differ(on_near, on_far) & (ramps.length <= LONGEST_SMALL))
    split = _agreed(split, ramps.pixel, disparity)
    ends = torch.where(log_odds > 0, ramps.near_end, ramps.far_end)
    sources[ramps.pixel[split]] = ends[split]
    return sources


def _find_ramps(
    disparity: Tensor, order: Tensor, visible: Tensor, check_cancelled: CheckCancelled
) -> _Ramps:
    """Return the soft edges of disparity [H,W]: neither hard edges nor slopes nor noise."""
    flat = disparity.flatten()
    uphill, downhill = _grounds(disparity, order)
    rise, fall = flat[uphill.higher] - flat, flat - flat[downhill.higher]
    on_a_way = torch.minimum(rise, fall) > NOISE * torch.maximum(rise, fall)
    for step in (rise, fall):
        on_a_way &= _may_level_off(step.view_as(disparity)).flatten()
    pixel = on_a_way.nonzero()[:, 0]
    check_cancelled()
    up = _climb(uphill, downhill, pixel)
    check_cancelled()
    ended = up.count < RAMP_RADIUS
    pixel, up = pixel[ended], up.where(ended)
    down = _climb(downhill, uphill, pixel)
    total, length = flat[up.last] - flat[down.last], up.count + down.count
    ramp = down.count < RAMP_RADIUS
    ramp &= torch.maximum(up.straight, down.straight) < STEEPEST * total
    ramp &= total > SMALLEST_RISE * flat[up.last]
    ramp &= total > visible
    even = total >= EVEN * length * torch.maximum(up.steepest, down.steepest)
    ramp &= (length <= STRAIGHT) | ~even
    return _Ramps(pixel[ramp], up.last[ramp], down.last[ramp], length[ramp])


def _may_level_off(step: Tensor) -> Tensor:
    """Return where the ground may level off within `RAMP_RADIUS` steps, [H,W], bool.

    On an even slope all steps around are alike, and no way over it needs to be followed.

    Args:
        step: [H,W], from every pixel to its highest neighbour.
    """
    smallest, largest = -largest_within(-step, RAMP_RADIUS), largest_within(step, RAMP_RADIUS)
    return smallest <= LEVEL_OFF * largest


def _grounds(disparity: Tensor, order: Tensor) -> tuple[_Ground, _Ground]:
    """Return disparity [H,W] as a ground to climb, and upside down."""
    # Numbers that rise with the disparity, which is no less than 0, and where it is equal with the
    # order: its bits, and those of the order below them.
    bits, below = disparity.view(torch.int32).long() * int(ORDERS), order.long()
    return _ground(disparity, bits + below), _ground(-disparity, below - bits)


def _ground(height: Tensor, rank: Tensor) -> _Ground:
    """Return a plane [H,W] as a ground to climb.

    Of neighbours as high the way goes to one that shares a side, then to that of the highest order.

    Args:
        height: [H,W].
        rank: [H,W], int64, which rises with the height and the order.
    """
    columns = height.shape[1]
    heights = F.pad(height[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    ranks = F.pad(rank, (1, 1, 1, 1), value=torch.iinfo(torch.int64).min)

    def highest(offsets: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """Return how high the highest neighbour is, and the step to it in flat indices."""
        first, best = (
            reduce(torch.maximum, [_beside(plane, dy, dx) for dy, dx in offsets])
            for plane in (ranks, heights)
        )
        step = torch.zeros_like(height, dtype=torch.int32)
        for dy, dx in reversed(offsets):
            step.masked_fill_(_beside(ranks, dy, dx) == first, dy * columns + dx)
        return best, step

    straight, way = highest(SIDES)
    rise = straight - height
    diagonal, aslant = highest(CORNERS)
    way = torch.where(diagonal > straight, aslant, way)
    way = way.masked_fill_(torch.maximum(diagonal, straight) <= height, 0).flatten()
    itself = torch.arange(height.numel(), device=height.device)
    return _Ground(height.flatten(), itself.add_(way), rise.flatten())


def _beside(plane: Tensor, dy: int, dx: int) -> Tensor:
    """Return the neighbours (dy, dx) beside each pixel, of a plane with a border of one px."""
    rows, columns = plane.shape
    return plane[1 + dy : rows - 1 + dy, 1 + dx : columns - 1 + dx]


def _climb(ground: _Ground, inverse: _Ground, start: Tensor) -> _Climb:
    """Climb from pixel to highest neighbour until the ground levels off.

    It takes at most `RAMP_RADIUS` steps. A diagonal step crosses a slanted soft edge by two pixels
    at once. So how hard the edge is, is read from pixels that share a side: those beside the
    diagonal lie half-way on a soft edge, and all the way up or down on a hard one.

    Args:
        ground: to climb.
        inverse: the same upside down.
        start: [M], indices to start from.
    """
    last = start.clone()
    steepest = torch.zeros_like(start, dtype=ground.height.dtype)
    straight = torch.zeros_like(steepest)
    count = torch.zeros_like(start)
    moving = torch.arange(len(start), device=start.device)
    for _ in range(RAMP_RADIUS):
        here = last[moving]
        ahead = ground.higher[here]
        step = ground.height[ahead] - ground.height[here]
        on = (step > 0) & (step > LEVEL_OFF * steepest[moving])
        moving, here, ahead, step = moving[on], here[on], ahead[on], step[on]
        last[moving] = ahead
        steepest[moving] = torch.maximum(steepest[moving], step)
        beside = torch.maximum(ground.rise[here], inverse.rise[ahead]).minimum(step)
        straight[moving] = torch.maximum(straight[moving], beside)
        count[moving] += 1
    return _Climb(last, count, steepest, straight)


def _differ(one: _Colors, other: _Colors) -> Tensor:
    """Return where the colours of two sides differ by more than those of one do, [M] bool."""
    contrast = (one.mean - other.mean).square().sum(1)
    return contrast > LEAST_CONTRAST**2 + one.variance + other.variance


def _agreed(chosen: Tensor, pixel: Tensor, like: Tensor) -> Tensor:
    """Return for each of M pixels what most of them around it are, [M] bool."""
    planes = torch.zeros(2, like.numel(), device=like.device)
    planes[0, pixel], planes[1, pixel] = 1.0, chosen.float()
    square = (AGREEMENT, 1, AGREEMENT // 2)
    everyone, agreeing = F.avg_pool2d(planes.view(2, 1, *like.shape), *square).flatten(1)
    agreed: Tensor = agreeing[pixel] > everyone[pixel] / 2
    return agreed


def _look_around(
    color: Tensor, disparity: Tensor, pixel: Tensor, end: Tensor, tolerance: Tensor
) -> _Colors:
    """Return the colours of one side of ramps, and p(c | side) of the colours c of pixels.

    A kernel density estimate (Parzen 1962) from the plateau around the end of each ramp; a constant
    doubt is added for colours that were not seen there.

    Args:
        color: [H,W,3], sRGB, 0…1.
        disparity: [H,W], 1/m.
        pixel: [M], flat indices.
        end: [M], flat indices of the ends.
        tolerance: [M], 1/m, difference from the end's disparity up to which a sample counts.
    """
    height, width = disparity.shape
    flat, color = disparity.flatten(), color.reshape(-1, 3)
    row, column = end // width, end % width
    own, level = color[pixel], flat[end]

    def sampled(dy: int, dx: int) -> Tensor:
        sample = (row + dy).clamp(0, height - 1) * width + (column + dx).clamp(0, width - 1)
        same = ((flat[sample] - level).abs() <= tolerance).to(color)
        seen = color[sample]
        alike = torch.exp(-(seen - own).square().sum(1) / (2 * COLOR_SPREAD**2))
        parts = [alike, seen.square().sum(1), torch.ones_like(alike), *seen.unbind(1)]
        return torch.stack(parts).mul_(same)

    summed = sampled(0, 0) + mirrored_sum(SAMPLE_RADIUS, sampled)
    total, power, count = summed[:3]
    mean = (summed[3:] / count).T
    variance = (power / count - mean.square().sum(1)).clamp(min=0)
    return _Colors(total / count + COLOR_DOUBT, mean, variance)
