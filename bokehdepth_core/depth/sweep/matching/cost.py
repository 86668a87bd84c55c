"""The cost volume: how badly the reference, blurred by each candidate, matches every frame.

Two costs stand side by side, both sums of squared differences (SSD) in a small window: the plain
one, and a zero-mean one that forgives a gain and an offset of the window, as a blurred foreground
adds them where it lies over a surface.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ....callbacks import CheckCancelled, never_cancelled
from ....color import srgb_to_linear
from ....datatypes import BokehStack
from ....optics.aperture import Aperture
from ....optics.psf import LensBlur

WINDOW_SIGMA = 2.0  # px, of the Gaussian window in which pictures are compared
COST_CAP = 0.04  # squared difference beyond which a pixel is an outlier, sqrt-encoded light
GAIN_PRIOR = 2e-3  # contrast (variance) at which a window's gain is believed half; tuned on pub1-4
GAIN_RANGE = (0.3, 3.0)
LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709
COLOR_KEPT = 0.4  # of each channel's difference from luma; tuned on pub2 and pub4
NOISE_BLOCK = 16  # px, side of the blocks in which noise is measured
NOISE_SHARE = 0.1  # of the blocks, that show little but noise
ROUNDING = 1e-5  # variance of three channels, in square-root-encoded light, that is not noise
SMALLEST_SHIFT = 0.01  # brightness change of a whole frame that is not the scene's own


@dataclass(frozen=True, eq=False)
class Costs:
    """Mismatch of one candidate, on blocks of 2 x 2 pixels and of every pixel.

    Attributes:
        plain: [N,h,w], mean squared difference of each frame.
        zero_mean: [N,h,w], the same after the best gain and offset of the window: what is left
            where a blurred foreground covers part of the surface, or a sharp one was blurred in.
        pixels: [N,H,W], squared differences, less what noise alone makes; may be below 0.
    """

    plain: Tensor
    zero_mean: Tensor
    pixels: Tensor


class CostVolume:
    """Gives the slices of the cost volume: the blurred reference against every frame of a stack.

    Attributes:
        change: [H,W], root mean square difference of the frames from the reference, in
            square-root-encoded light: 0 in focus, whatever the texture.

    Args:
        stack: reference and frames.
        largest_radius: px, of the PSFs that will be asked for.
        aperture: shape of the lens's aperture.
        side: +1 for a scene in front of the focus plane, −1 behind it; of no effect for a stack
            with focus depths, whose candidates are disparities instead of offsets.
    """

    def __init__(
        self, stack: BokehStack, largest_radius: float, aperture: Aperture, side: float
    ) -> None:
        reference = _planes(stack.reference[None])[0]
        frames = _planes(stack.frames)
        frames = frames / _brightness(reference, frames)[..., None, None]
        self.strengths = stack.strengths
        self.device = reference.device
        # A candidate c blurs frame k by K_k (c − plane_k); offsets count from the plane itself.
        count = len(stack.strengths)
        self.planes = stack.focus_disparities or (0.0,) * count
        self._side = side if stack.focus_depths is None else 1.0
        size = (reference.shape[1], reference.shape[2])
        self._blur = LensBlur(
            size, int(largest_radius * aperture.support_radius) + 2, aperture, reference.device
        )
        self._spectrum = self._blur.transform(reference)
        # Square roots spread noise and rounding evenly over dark and bright.
        self._frames = frames.sqrt()
        self.change = (self._frames - reference.sqrt()).square().sum(1).mean(0).sqrt()
        squares = self._frames.square().sum(1, keepdim=True)
        self._windows = [half_window(both) for both in torch.cat([self._frames, squares], 1)]
        self._frame_noise = [noise_variance(frame) for frame in self._frames]
        # Fine texture of the sharp reference reads as noise; one camera took them all.
        self.reference_noise = min(noise_variance(reference.sqrt()), max(self._frame_noise))

    @property
    def noise(self) -> list[float]:
        """Squared difference that noise alone makes in each frame."""
        return [noise + self.reference_noise for noise in self._frame_noise]

    def slice_at(self, offset: float, check_cancelled: CheckCancelled = never_cancelled) -> Costs:
        """Return the mismatch if |d − d_f| were `offset`, 1/m, at every pixel.

        For a stack with focus depths the candidate is the disparity d itself.
        """
        costs = zip(*self._each_frame(offset, check_cancelled), strict=True)
        return Costs(*(torch.stack(each) for each in costs))

    def radii(self, offset: float) -> list[float]:
        """Return each frame's signed blur radius at a candidate, px; positive in front."""
        return [
            self._side * strength * (offset - plane)
            for strength, plane in zip(self.strengths, self.planes, strict=True)
        ]

    def _each_frame(
        self, offset: float, check_cancelled: CheckCancelled
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        radii = self.radii(offset)
        for frame, window, radius, noise in zip(
            self._frames, self._windows, radii, self._frame_noise, strict=True
        ):
            check_cancelled()
            moments = _moments(self._blur.blur(self._spectrum, radius), frame)
            capped = moments[5]
            moments = half_window(moments)
            # Noise alone differs by this much; blur averages that of the reference.
            expected = noise + self.reference_noise / (1 + math.pi * radius**2)
            yield (
                (moments[5] - expected).clamp(min=0),
                (_zero_mean_cost(moments, window) - expected).clamp(min=0),
                capped - expected,
            )


def _moments(light: Tensor, frame: Tensor) -> Tensor:
    """Return what the costs of one frame are averages of, [6,H,W].

    Args:
        light: [3,H,W], the blurred reference, which is overwritten.
        frame: [3,H,W], square-root-encoded light.

    Returns:
        The blurred reference S in square-root-encoded light, S·S, S·F, and |S − F|², capped.
    """
    moments = light.new_empty((6, *light.shape[1:]))
    blurred = torch.sqrt(light.clamp_(min=0), out=moments[:3])
    torch.sum(torch.mul(blurred, blurred, out=light), 0, out=moments[3])
    torch.sum(torch.mul(blurred, frame, out=light), 0, out=moments[4])
    torch.sum(torch.sub(blurred, frame, out=light).square_(), 0, out=moments[5])
    moments[5].clamp_(max=COST_CAP)
    return moments


def _zero_mean_cost(moments: Tensor, window: Tensor) -> Tensor:
    """Return min over gain a and offsets b of E|F − aS − b|² + GAIN_PRIOR (a − 1)², [h,w].

    A zero-mean SSD with a gain: the best offset b is the difference of the window means.

    Args:
        moments: [≥5,h,w], window means of S (3 channels), S·S and S·F.
        window: [4,h,w], window means of F (3 channels) and F·F.
    """
    mean, frame_mean = moments[:3], window[:3]
    frame_variance = (window[3] - frame_mean.square().sum(0)).clamp(min=0)
    variance = (moments[3] - mean.square().sum(0)).clamp(min=0)
    covariance = moments[4] - (mean * frame_mean).sum(0)
    gain = ((covariance + GAIN_PRIOR) / (variance + GAIN_PRIOR)).clamp(*GAIN_RANGE)
    cost = frame_variance - 2 * gain * covariance + gain.square() * variance
    return (cost + GAIN_PRIOR * (gain - 1).square()).clamp(0, COST_CAP)


def _planes(images: Tensor) -> Tensor:
    """Return [N,H,W,3] sRGB pictures as [N,3,H,W] linear light, colour fainter, float32, >= 0.

    JPEG keeps colour at half the size and coarsely, and it is noisier: luma tells blur better.
    """
    light = srgb_to_linear(images.to(torch.float32)).clamp(min=0).permute(0, 3, 1, 2)
    luma = (light * light.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    return torch.lerp(luma, light, COLOR_KEPT).contiguous()


def noise_variance(planes: Tensor) -> float:
    """Return the variance of a picture's noise, summed over its channels; 0 below 8-bit rounding.

    Measured in blocks where there is least of anything else, neither black nor clipped.

    Args:
        planes: [3,H,W], square-root-encoded light.

    Reference:
        Immerkær, "Fast noise variance estimation", CVIU 1996: the difference of two Laplacians.
    """
    if min(planes.shape[1:]) < 3 * NOISE_BLOCK:
        return 0.0
    crossed = planes.diff(n=2, dim=1).diff(n=2, dim=2) / 6
    power = functional.avg_pool2d(crossed.square()[None], NOISE_BLOCK)[0].sum(0)
    light = functional.avg_pool2d(planes[None, :, 1:-1, 1:-1], NOISE_BLOCK)[0].mean(0)
    usable = power[(light > 0.1) & (light < 0.95)]
    if usable.numel() < 4:
        return 0.0
    found = float(torch.quantile(usable.flatten()[:1_000_000], NOISE_SHARE))
    return max(0.0, found - ROUNDING)


def _brightness(reference: Tensor, frames: Tensor) -> Tensor:
    """Return each frame's brightness over the reference's, [N,3]; 1 where they agree.

    Blur moves light but keeps its amount, so the median ratio of large windows is 1 in a true
    stack. Generated frames drift in colour.
    """
    side = max(1, min(reference.shape[1:]) // 12)
    base = functional.avg_pool2d(reference[None], side).flatten(2)
    ratio = functional.avg_pool2d(frames, side).flatten(2).add(1e-4) / (base + 1e-4)
    median = ratio.median(dim=2).values
    return torch.where((median - 1).abs() > SMALLEST_SHIFT, median, 1.0)


def half_window(planes: Tensor) -> Tensor:
    """Return Gaussian window means of [C,H,W] around each 2 x 2 block, [C,ceil(H/2),ceil(W/2)]."""
    blocks = _blocks(planes)
    # Averaging a block has variance 1/4 px²; the rest is the Gaussian's, on blocks 2 px apart.
    sigma = math.sqrt((WINDOW_SIGMA**2 - 0.25) / 4)
    reach = int(3 * sigma + 0.5)
    weights = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(reach + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    taps = [weight / total for weight in weights]
    padded = functional.pad(blocks[None], (reach,) * 4, mode="replicate")[0]
    return torch.stack([_symmetric(_symmetric(plane, taps, 0), taps, 1) for plane in padded])


def _blocks(planes: Tensor) -> Tensor:
    """Return the means of 2 x 2 pixels, [C,ceil(H/2),ceil(W/2)]; fewer at an odd end."""
    height, width = planes.shape[1:]
    if height % 2 or width % 2:
        even = (0, width % 2, 0, height % 2)
        planes = functional.pad(planes[None], even, mode="replicate")[0]
    rows = planes[:, ::2] + planes[:, 1::2]
    return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)


def _symmetric(plane: Tensor, taps: list[float], axis: int) -> Tensor:
    """Return a padded plane [h,w] filtered along one axis; the first tap is the middle one."""
    reach = len(taps) - 1
    length = plane.shape[axis] - 2 * reach
    filtered = plane.narrow(axis, reach, length) * taps[0]
    for step in range(1, reach + 1):
        ends = plane.narrow(axis, reach - step, length) + plane.narrow(axis, reach + step, length)
        filtered.add_(ends, alpha=taps[step])
    return filtered


def to_full(planes: Tensor, width: int, rows: tuple[int, int]) -> Tensor:
    """Return [C,h,w] planes of blocks interpolated to pixels, [C,rows,width].

    Args:
        planes: [C,h,w], from `half_window`.
        width: of the picture, px.
        rows: first, even, and one past the last row wanted.
    """
    first, last = rows
    # A row of blocks more on either side, to interpolate with.
    low, high = max(0, first // 2 - 1), (last + 1) // 2 + 1
    grown = functional.interpolate(planes[None, :, low:high], scale_factor=2, mode="bilinear")[0]
    return grown[:, first - 2 * low : last - 2 * low, :width]
