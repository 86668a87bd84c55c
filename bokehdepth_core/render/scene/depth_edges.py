"""Soft depth edges made hard again, along the edges of the photo.

Depth from a network, or resampled from a smaller size, passes from the near side of an edge to the
far side in a ramp several pixels wide. Rendered as it is, the ramp would be a surface of its own
that is blurred differently, and smear the edge. So every pixel of a ramp is classified: it gets the
depth of the near or of the far end of its ramp, by Bayes' rule from its disparity and its colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...callbacks import CheckCancelled, never_cancelled
from ...checks import check_depth, check_image
from ..panorama import own_columns, with_other_end
from .deblurring import deblurred
from .discontinuities import pixels_at_once
from .ramps import RAMP_RADIUS, Ramps, find_ramps
from .symmetry import Order, mirrored_sum

LARGE_RISE = 0.3  # of the near side's disparity: less is an edge only where the photo shows one
LEAST_CONTRAST = 0.16  # sRGB, between the mean colours of the two sides of such an edge
LONGEST_SMALL = 15  # steps from end to end of such an edge
AGREEMENT = 9  # px, side of the square in which most of the ramps' pixels must be an edge's
SMALLEST_VISIBLE = 0.02  # of the picture's mean disparity: less makes no visible blur

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

    Plateaus, even slopes and edges that are sharp already keep their exact values. Thin things that
    soft depth shows as faint dents are made sharp as well (`deblurring.py`), but not in panoramas.
    Pictures are worked on one by one.

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
        refined = _refine_one(
            wide, with_other_end(own, around), visible, check_cancelled, thin_things=not wraps
        )
        out.append(own_columns(refined, around))
    return torch.stack(out)


def _refine_one(
    picture: Tensor,
    depth: Tensor,
    visible: Tensor,
    check_cancelled: CheckCancelled,
    *,
    thin_things: bool,
) -> Tensor:
    """Return the refined depth [H,W] of one picture [H,W,3]; edges rise by more than `visible`.

    Where `thin_things` is set, those that soft depth shows as faint dents are made sharp first.
    """
    scene = _Scene(picture, depth.float().reciprocal(), visible, check_cancelled)
    ramps = scene.ramps()
    if thin_things:
        planes = scene.color.movedim(-1, 0)
        thin = deblurred(planes, scene.disparity, ramps, visible, check_cancelled)
        if thin is not None:
            depth = torch.where(thin.changed, thin.sharp.reciprocal().to(depth), depth)
            scene.disparity = thin.ramped
            del ramps, thin  # several planes less while they are found again
            ramps = scene.ramps()
    if not len(ramps.pixel):
        return depth
    return depth.flatten()[scene.sources(ramps)].view_as(depth)


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
    scene = _Scene(picture, depth.float().reciprocal(), visible, check_cancelled)
    return scene.sources(scene.ramps())


class _Scene:
    """A picture and its disparity, in which every pixel of a ramp is given a side.

    Args:
        picture: [H,W,3], sRGB, 0…1.
        disparity: [H,W], 1/m.
        visible: the rise of disparity above which an edge is one.
        check_cancelled: raises to stop.
    """

    def __init__(
        self, picture: Tensor, disparity: Tensor, visible: Tensor, check_cancelled: CheckCancelled
    ) -> None:
        self.color = picture[..., :3].float().clamp(0, 1)
        self.disparity = disparity
        self._visible, self._check_cancelled = visible, check_cancelled

    def ramps(self) -> Ramps:
        """Return the ramps of its soft edges."""
        order = Order(self.color.movedim(-1, 0))  # not kept: it holds a plane
        return find_ramps(self.disparity, order, self._visible, self._check_cancelled)

    def sources(self, ramps: Ramps) -> Tensor:
        """Return from which pixel each one takes its depth, flat indices [H·W]."""
        flat = self.disparity.flatten()
        sources = torch.arange(flat.numel(), device=flat.device)
        if ramps.pixel.numel() == 0:
            return sources
        is_near, split = self._all_sides(ramps)
        split = _agreed(split, ramps.pixel, self.disparity)
        for side, end in ((is_near, ramps.near_end), (~is_near, ramps.far_end)):
            there = split & side
            sources[ramps.pixel[there]] = end[there]
        return sources

    def _all_sides(self, ramps: Ramps) -> tuple[Tensor, Tensor]:
        """Return what `_sides` does of all ramps, part by part."""
        surroundings = _Surroundings(self.color, self.disparity)
        mean, found = self.disparity.flatten().mean(), []
        for part in pixels_at_once(len(ramps.pixel), 2, self.disparity):
            self._check_cancelled()
            some = Ramps(*(one[part] for one in vars(ramps).values()))
            found.append(self._sides(some, surroundings, mean))
        is_near, split = (torch.cat(parts) for parts in zip(*found, strict=True))
        return is_near, split

    def _sides(
        self, ramps: Ramps, surroundings: "_Surroundings", mean: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return which pixels of ramps are near, and which ramps may be edges, [M] bool each.

        Args:
            ramps: M of them.
            surroundings: of all pixels.
            mean: 1/m, disparity of the picture.
        """
        flat = self.disparity.flatten()
        near, far = flat[ramps.near_end], flat[ramps.far_end]
        position = (flat[ramps.pixel] - far) / (near - far)
        position = position.clamp(NEAREST_POSITION, 1 - NEAREST_POSITION)
        tolerance = SAME_SIDE * (near - far)
        on_near = surroundings.colors(ramps.pixel, ramps.near_end, tolerance)
        on_far = surroundings.colors(ramps.pixel, ramps.far_end, tolerance)
        log_odds = DISPARITY_WEIGHT * position.logit()
        log_odds += on_near.likelihood.log() - on_far.likelihood.log()
        # A small rise where the photo shows no edge, or a long one, is the shape of one surface.
        large = near - far > LARGE_RISE * torch.maximum(near, mean)
        split = large | (_differ(on_near, on_far) & (ramps.length <= LONGEST_SMALL))
        return log_odds > 0, split


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


class _Surroundings:
    """What is around every pixel, in which the colours of one side of ramps are looked for.

    Args:
        color: [H,W,3], sRGB, 0…1.
        disparity: [H,W], 1/m.
    """

    def __init__(self, color: Tensor, disparity: Tensor) -> None:
        wide = F.pad(
            torch.cat([color.movedim(-1, 0), disparity[None]])[None],
            (SAMPLE_RADIUS,) * 4,
            mode="replicate",
        )[0].flatten(1)
        power = wide[0].square() + wide[1].square() + wide[2].square()
        self._planes = (*wide, power)
        self._columns = disparity.shape[1]
        self._across = self._columns + 2 * SAMPLE_RADIUS

    def colors(self, pixel: Tensor, end: Tensor, tolerance: Tensor) -> _Colors:
        """Return the colours of one side of ramps, and p(c | side) of the colours c of pixels.

        A kernel density estimate (Parzen 1962) from the plateau around the end of each ramp; a
        constant doubt is added for colours that were not seen there.

        Args:
            pixel: [M], flat indices.
            end: [M], flat indices of the ends.
            tolerance: [M], 1/m, difference from the end's disparity up to which a sample counts.
        """
        place, own = self._place(end), self._place(pixel)
        color = torch.stack([plane[own] for plane in self._planes[:3]])
        level = self._planes[3][place]
        summed = _sampled(self._planes, self._across, place, level, color, tolerance)
        total, sum_of_squares, count = summed[:3]
        mean = (summed[3:] / count).T
        variance = (sum_of_squares / count - mean.square().sum(1)).clamp(min=0)
        return _Colors(total / count + COLOR_DOUBT, mean, variance)

    def _place(self, pixel: Tensor) -> Tensor:
        """Return flat indices within the border."""
        beside = SAMPLE_RADIUS * (self._across + 1)
        return pixel + 2 * SAMPLE_RADIUS * (pixel // self._columns) + beside


def _sampled(
    planes: Sequence[Tensor],
    across: int,
    place: Tensor,
    level: Tensor,
    own: Tensor,
    tolerance: Tensor,
) -> Tensor:
    """Return sums over the samples around the ends of ramps, [6,M].

    They are those of the likelihoods of the ramps' colours, of the samples' squared colours, of 1,
    and of the colours.

    Args:
        planes: red, green, blue, disparity and squared colour of every place.
        across: places in a row.
        place: [M], of the ends.
        level: [M], 1/m, their disparity.
        own: [3,M], sRGB, the colours of the ramps' pixels.
        tolerance: [M], 1/m, difference from the end's disparity up to which a sample counts.
    """

    def sampled(dy: int, dx: int) -> Tensor:
        there = place + (dy * across + dx)
        red, green, blue, disparity, power = (plane[there] for plane in planes)
        same = ((disparity - level).abs_() <= tolerance).to(power)
        apart = (red - own[0]).square_()
        apart.add_((green - own[1]).square_()).add_((blue - own[2]).square_())
        alike = apart.neg_().div_(2 * COLOR_SPREAD**2).exp_()
        return torch.stack([alike, power, torch.ones_like(power), red, green, blue]).mul_(same)

    return sampled(0, 0) + mirrored_sum(SAMPLE_RADIUS, sampled)
