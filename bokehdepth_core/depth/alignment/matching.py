"""Which blur of the reference a frame shows at each pixel, whatever its brightness there.

Both pictures are compared after this match, so that what remains is displacement, not blur. A
symmetric PSF does not move what it blurs.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ...optics.aperture import DISC
from ...optics.psf import LensBlur

RADII = (0.0, 0.7, 1.5, 2.5, 4.0, 6.0, 9.0, 13.0, 19.0)  # px, of the blurs that are tried
LARGEST = 1 / 8  # of the shorter side: wider blurs are not tried
WINDOW = 9  # px, side of the box in which pictures are compared
CONTRAST = 1e-5  # variance, of square-root-encoded light, that rounding to 8 bits makes
GAIN_RANGE = (0.3, 3.0)


@dataclass(frozen=True, eq=False)
class Match:
    """A frame beside the reference, blurred as the frame is.

    Attributes:
        residual: [h,w], frame minus blurred reference, both without their window's mean and the
            reference with the window's gain; square-root-encoded light.
        trust: [h,w], 0…1: how much of the frame's contrast the blurred reference explains.
        cost: [h,w], mean squared residual in the window.
        radius: [h,w], px, of the best blur.
    """

    residual: Tensor
    trust: Tensor
    cost: Tensor
    radius: Tensor

    def mean_cost(self, place: Tensor) -> float:
        """Return the mean cost, capped at ten times its median, away from the border.

        Args:
            place: [2,h,w], px: the displacement, beyond whose largest the border reaches.
        """
        margin = 4 + int(place.abs().max())
        inner = self.cost[margin:-margin, margin:-margin]
        if inner.numel() == 0:
            return math.inf
        return float(inner.clamp(max=10 * float(inner.median()) + 1e-9).mean())


class BlurLadder:
    """The reference at several blurs, to match frames with.

    Args:
        light: [h,w], linear light of the reference.
    """

    def __init__(self, light: Tensor) -> None:
        side = min(light.shape)
        self.radii = [radius for radius in RADII if radius <= LARGEST * side or radius == 0]
        blur = LensBlur(
            (light.shape[0], light.shape[1]), int(self.radii[-1]) + 2, DISC, light.device
        )
        spectrum = blur.transform(light[None])
        self._blurred = torch.cat([blur.blur(spectrum, radius) for radius in self.radii])
        self._blurred = self._blurred.clamp(min=0).sqrt()
        self._means = box(self._blurred)
        self._variances = (box(self._blurred.square()) - self._means.square()).clamp(min=0)

    def match(self, frame: Tensor) -> Match:
        """Return the match of a frame, [h,w], square-root-encoded light."""
        mean = box(frame[None])[0]
        variance = (box(frame.square()[None])[0] - mean.square()).clamp(min=0)
        cost = torch.full_like(frame, math.inf)
        radius, residual = torch.zeros_like(frame), torch.zeros_like(frame)
        products = box(self._blurred * frame)
        for index, candidate in enumerate(self.radii):
            blurred, own_mean = self._blurred[index], self._means[index]
            covariance = products[index] - own_mean * mean
            gain = (covariance + CONTRAST) / (self._variances[index] + CONTRAST)
            gain = gain.clamp(*GAIN_RANGE)
            found = variance - 2 * gain * covariance + gain.square() * self._variances[index]
            better = found < cost
            cost = torch.where(better, found, cost)
            radius = torch.where(better, candidate, radius)
            residual = torch.where(better, (frame - mean) - gain * (blurred - own_mean), residual)
        cost = cost.clamp(min=0)
        trust = (1 - 4 * cost / (variance + 4 * CONTRAST)).clamp(min=0)
        return Match(residual, trust, cost, radius)


def box(planes: Tensor) -> Tensor:
    """Return means of [C,h,w] in square windows around each pixel."""
    means = torch.empty_like(planes)
    for plane, mean in zip(planes, means, strict=True):
        mean.copy_(_box_along(_box_along(plane, 0), 1))
    return means


def _box_along(plane: Tensor, axis: int) -> Tensor:
    """Return means of [h,w] along one axis; at an end, of what there is."""
    half, length = WINDOW // 2, plane.shape[axis]
    ends = (0, 0, half, half) if axis == 0 else (half, half)
    total = padded = functional.pad(plane, ends)
    width = 1
    while 2 * width < WINDOW:  # sums of 2, 4 and 8, and of the rest
        count = total.shape[axis] - width
        total = total.narrow(axis, 0, count) + total.narrow(axis, width, count)
        width *= 2
    total = total.narrow(axis, 0, length).clone()
    for rest in range(width, WINDOW):
        total += padded.narrow(axis, rest, length)
    place = torch.arange(length, device=plane.device)
    counts = (place + half).clamp(max=length - 1) - (place - half).clamp(min=0) + 1
    return total.div_(counts[:, None] if axis == 0 else counts)
