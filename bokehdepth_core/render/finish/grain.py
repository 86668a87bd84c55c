"""Grain for what was blurred, like that of what stayed sharp.

A blur takes the noise of a photo away with its detail, so a blurred background looks smoother than
the subject before it. The noise is measured in the photo's even places, for each channel and
brightness, with the size of its grain and how far channels share it. New noise of that kind is then
added, as much of it as the blur took.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..panorama import with_other_end

BLOCK = 8  # px, side of the blocks in which noise is measured
STRIP = 64  # rows worked on at once, for memory's sake; whole blocks
BINS = 8  # of brightness
FEWEST = 12  # blocks that a bin needs
QUIETEST = 0.1  # share of a bin's blocks that are taken for even
QUIET = 0.3  # share of all blocks in which the size of grain is measured
CLIPPED = 0.01  # of the range at either end, where a photo holds no noise
LARGEST_GRAIN = 2.0  # px, standard deviation of the Gaussian; blocks of 8 px tell no larger one
SMALLEST_CORRELATION = 0.05  # of neighbours; below it the noise is white


@dataclass(frozen=True, eq=False)
class Grain:
    """Noise of a photo, in sRGB.

    Attributes:
        spread: [BINS,3], standard deviation at brightness (i + ½)/BINS of each channel.
        size: px, standard deviation of the Gaussian that makes such grain of white noise.
        shared: 0…1, correlation of the channels; 1 is grey grain.
    """

    spread: Tensor
    size: float
    shared: float

    @property
    def area(self) -> float:
        """How many pixels one grain takes."""
        return max(1.0, 4 * math.pi * self.size**2)


def measure_grain(picture: Tensor) -> Grain:
    """Return the noise of a picture [H,W,3], sRGB.

    In blocks without their mean and slope, the quietest tenth of each brightness counts as even;
    that a tenth of equal blocks is quieter by chance is taken into account. A picture smaller than
    one block has none.

    Reference:
        Variance of the quietest blocks, as in Liu et al., "Noise Estimation from a Single Image",
        CVPR 2006. Quantiles of χ²: Wilson and Hilferty 1931.

    Example:
        >>> noise = torch.randn(200, 200, 3, generator=torch.Generator().manual_seed(0))
        >>> grain = measure_grain(0.5 + 0.02 * noise)
        >>> round(float(grain.spread[4, 1]), 3), grain.size
        (0.02, 0.0)
    """
    found = [_detrended_blocks(rows) for rows in torch.split(picture.float(), STRIP)]
    level, noise = (torch.cat(one) for one in zip(*found, strict=True))
    del found
    if not len(level):
        return Grain(picture.new_zeros(BINS, 3, dtype=torch.float32), 0.0, 0.0)
    variance = torch.cat([one.square().mean((-1, -2)) for one in torch.split(noise, STRIP * BLOCK)])
    chosen = noise[variance.mean(1) <= variance.mean(1).quantile(QUIET)]
    del noise
    size = _grain_size(chosen)
    return Grain(_spread_by_brightness(level, variance, size), size, _shared(chosen))


def _detrended_blocks(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean [N,3] of each block that is not clipped, and its noise [N,3,BLOCK,BLOCK]."""
    rows, columns = picture.shape[0] // BLOCK, picture.shape[1] // BLOCK
    whole = picture[: rows * BLOCK, : columns * BLOCK]
    blocks = whole.reshape(rows, BLOCK, columns, BLOCK, 3).permute(0, 2, 4, 1, 3).flatten(0, 1)
    inner = ((blocks > CLIPPED) & (blocks < 1 - CLIPPED)).flatten(1).all(1)
    blocks = blocks[inner]
    level = blocks.mean((-1, -2))
    noise = blocks - level[..., None, None]
    ramp = torch.linspace(-1, 1, BLOCK, device=picture.device)
    for slope in (ramp[:, None].expand(BLOCK, BLOCK), ramp.expand(BLOCK, BLOCK)):
        share = (noise * slope).sum((-1, -2), keepdim=True) / slope.square().sum()
        noise = noise - share * slope
    return level, noise


def _grain_size(noise: Tensor) -> float:
    """Return σ of the Gaussian that makes such noise [N,3,BLOCK,BLOCK] of white one.

    Taking mean and slope from a small block lowers the correlation of neighbours, so σ is sought
    whose expected correlation, with both taken, is the measured one.
    """
    power = float(noise.square().mean())
    if power == 0:
        return 0.0
    across = float((noise[..., 1:] * noise[..., :-1]).mean())
    down = float((noise[..., 1:, :] * noise[..., :-1, :]).mean())
    measured = (across + down) / 2 / power
    if measured < _expected(0.0)[0] + SMALLEST_CORRELATION:
        return 0.0
    low, high = 0.0, LARGEST_GRAIN
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if _expected(middle)[0] < measured else (low, middle)
    return (low + high) / 2


def _expected(size: float) -> tuple[float, float, float]:
    """Return what is expected of a block of such grain once its mean and slope are taken.

    Returns:
        The correlation of neighbours, the share of the variance that is left, and the degrees of
        freedom of a block's variance.
    """
    at = torch.arange(BLOCK, dtype=torch.float64)
    apart = (at[:, None] - at).square()
    line = torch.exp(-apart / (4 * size**2)) if size > 0 else torch.eye(BLOCK, dtype=torch.float64)
    ramp = torch.linspace(-1, 1, BLOCK, dtype=torch.float64)
    one = torch.ones(BLOCK, dtype=torch.float64)
    taken = torch.stack(
        [torch.outer(u, v).flatten() for u, v in ((one, one), (ramp, one), (one, ramp))]
    )
    taken = taken / taken.norm(dim=1, keepdim=True)
    kept = torch.eye(BLOCK**2, dtype=torch.float64) - taken.T @ taken
    covariance = kept @ torch.kron(line, line) @ kept
    blocks = covariance.view(BLOCK, BLOCK, BLOCK, BLOCK)
    power = covariance.trace() / BLOCK**2
    beside = torch.stack([blocks[:, i, :, i + 1].diagonal() for i in range(BLOCK - 1)]).mean()
    freedom = covariance.trace() ** 2 / covariance.square().sum()
    return float(beside / power), float(power), float(freedom)


def _shared(noise: Tensor) -> float:
    flat = noise.transpose(0, 1).reshape(3, -1)
    power = flat.square().mean(1).clamp(min=1e-20).sqrt()
    pairs = ((0, 1), (1, 2), (0, 2))
    found = [float((flat[i] * flat[j]).mean() / (power[i] * power[j])) for i, j in pairs]
    return min(1.0, max(0.0, sum(found) / 3))


def _spread_by_brightness(level: Tensor, variance: Tensor, size: float) -> Tensor:
    """Return [BINS,3] standard deviations; bins with few blocks take those of the nearest one."""
    _, left, freedom = _expected(size)
    chance = (1 - 2 / (9 * freedom) - 1.2816 * math.sqrt(2 / (9 * freedom))) ** 3  # its 10 %
    out = torch.full((BINS, 3), torch.nan, device=level.device)
    for channel in range(3):
        place = (level[:, channel] * BINS).long().clamp(0, BINS - 1)
        for index in range(BINS):
            there = variance[place == index, channel]
            if len(there) >= FEWEST:
                out[index, channel] = (there.quantile(QUIETEST) / (left * chance)).sqrt()
        known = (~out[:, channel].isnan()).nonzero()[:, 0]
        if not len(known):
            out[:, channel] = 0.0
            continue
        at = torch.arange(BINS, device=level.device)
        nearest = known[(at[:, None] - known).abs().argmin(1)]
        out[:, channel] = out[nearest, channel]
    return out


def add_grain(
    seen: Tensor, radius: Tensor, grain: Grain, amount: float, seed: int, *, wraps: bool = False
) -> Tensor:
    """Return a rendered picture [H,W,3], sRGB, with the grain that its blur took.

    A disc of radius r leaves about a/(a + π r²) of the variance of noise whose grains have the area
    a; the rest is added.

    Args:
        seen: [H,W,3], sRGB.
        radius: [H,W], px, blur radius; the sign does not count.
        grain: of the photo.
        amount: 0…1, of what is missing.
        seed: of the noise; the same on every device.
        wraps: whether left and right border join; so does then the noise.

    Example:
        >>> quiet = Grain(torch.zeros(BINS, 3), 0.0, 0.0)
        >>> flat = torch.full((4, 4, 3), 0.5)
        >>> torch.equal(add_grain(flat, torch.ones(4, 4), quiet, 1.0, seed=0), flat)
        True
    """
    white, line = _white_noise(radius.shape, grain, seed, wraps)
    out = torch.empty_like(seen)
    for top in range(0, len(seen), STRIP):
        rows = slice(top, top + STRIP)
        noise = _grains(white[..., top : top + STRIP + len(line) - 1, :], line, grain).to(seen)
        disc = math.pi * radius[rows].square()
        missing = (disc / (grain.area + disc)).sqrt()[..., None] * amount
        out[rows] = seen[rows] + missing * _spread_at(seen[rows], grain) * noise
    return out


def _spread_at(seen: Tensor, grain: Grain) -> Tensor:
    """Return the noise's standard deviation at each value of a picture [H,W,3], sRGB."""
    place = (seen.clamp(0, 1) * BINS - 0.5).clamp(0, BINS - 1)
    low = place.floor().long().clamp(max=BINS - 2)
    channel = torch.arange(3, device=seen.device)
    spread = grain.spread.to(seen)
    return torch.lerp(spread[low, channel], spread[low + 1, channel], place - low)


def _white_noise(
    size: Sequence[int], grain: Grain, seed: int, wraps: bool
) -> tuple[Tensor, Tensor]:
    """Return white noise [4,1,H+n-1,W+n-1] around a picture, and the line [n] that grains it."""
    reach = math.ceil(3 * grain.size)
    at = torch.arange(-reach, reach + 1, dtype=torch.float32)
    line = torch.exp(-0.5 * (at / grain.size) ** 2) if reach else torch.ones(1)
    generator = torch.Generator().manual_seed(seed)
    columns = size[1] if wraps else size[1] + 2 * reach
    white = torch.randn(4, 1, size[0] + 2 * reach, columns, generator=generator)
    # Such a line keeps the variance of white noise.
    return with_other_end(white, reach) if wraps else white, line / line.square().sum().sqrt()


def _grains(white: Tensor, line: Tensor, grain: Grain) -> Tensor:
    """Return noise [H,W,3] of variance 1, with the grain's size, shared by channels as it is."""
    if len(line) > 1:
        white = functional.conv2d(white, line.view(1, 1, -1, 1))
        white = functional.conv2d(white, line.view(1, 1, 1, -1))
    common, own = white[:1, 0], white[1:, 0]
    mixed = math.sqrt(grain.shared) * common + math.sqrt(1 - grain.shared) * own
    return mixed.movedim(0, -1)
