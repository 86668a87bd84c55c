"""Deconvolution of depth: the sharp disparity that a Gaussian blurs to what is given.

Of all sharp maps x it is the one whose edges lie where the photo's do,

    min over x:  1/2 |G x - d|² + λ Σ w |∇x|,

with d the given disparity, G the blur, and w small where neighbouring pixels of the photo differ:
total variation (Rudin, Osher and Fatemi 1992) with weights from a photo. It is solved by the method
of multipliers (ADMM, Boyd et al. 2011) with one division in the frequencies for each step (Wang,
Yang, Yin and Zhang 2008).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...callbacks import CheckCancelled
from ...devices import exact_dtype

# Tuned on the public scenes of `docs/render.md` with depth 4 times coarser and blurred by 2 px.
SMOOTHNESS = 0.05  # λ, for disparity that goes from 0 to 1
COLOR_EDGE = 0.04  # sRGB, spread of the differences between neighbours of one surface
LEAST_WEIGHT = 0.06  # w where the photo shows an edge
STEPS = 12
PENALTY = 1.5  # of ADMM, times λ
RELAXATION = 1.8  # of ADMM, 1…2
REACH = 3  # spreads, how far the blur reaches
_TINY = 1e-8


@dataclass(frozen=True, eq=False)
class Deconvolved:
    """Sharp disparity, and how its edges agree with the photo's.

    Attributes:
        disparity: [H,W], 1/m, within what is given.
        weighted: Σ w |∇x|, of disparity from 0 to 1.
        plain: Σ |∇x|.
    """

    disparity: Tensor
    weighted: float
    plain: float


def deconvolve(
    picture: Tensor,
    disparity: Tensor,
    spread: float,
    limits: tuple[Tensor, Tensor],
    check_cancelled: CheckCancelled,
    steps: int = STEPS,
) -> Deconvolved:
    """Return the sharp disparity that a Gaussian blurs to the given one, with edges of the photo.

    Args:
        picture: [3,H,W], sRGB, 0…1.
        disparity: [H,W], 1/m.
        spread: px, of the Gaussian.
        limits: 1/m, the lowest and the highest disparity of the scene.
        check_cancelled: raises to stop.
        steps: of the solver.

    Example:
        >>> sharp = torch.where(torch.arange(48) < 24, 1.0, 0.2).expand(16, -1)
        >>> soft, limits = gaussian(sharp, 2.0), sharp.aminmax()
        >>> found = deconvolve(sharp.expand(3, -1, -1), soft, 2.0, limits, lambda: None).disparity
        >>> bool((soft - sharp).abs().max() > 0.3), bool((found - sharp).abs().max() < 0.05)
        (True, True)
    """
    height, width = disparity.shape
    top, left = (_border(side, REACH * spread + 1) for side in (height, width))
    exact = exact_dtype(disparity.device)
    low, high = (limit.to(exact) for limit in limits)
    scale = (high - low).clamp(min=_TINY)

    def widened(plane: Tensor) -> Tensor:
        border = (left, left, top, top)
        return F.pad(plane[None, None].to(exact), border, mode="replicate")[0, 0]

    weights = _weights([widened(channel) for channel in picture])
    given = widened(disparity).sub_(low).div_(scale)
    sharp = _solve(given, weights, spread, steps, check_cancelled)
    own = (slice(top, top + height), slice(left, left + width))
    weighted = plain = 0.0
    for axis in (0, 1):
        change = _forward(sharp, axis)[own].abs_()
        plain += float(change.sum())
        weighted += float(change.mul_(weights[axis][own]).sum())
    inner = sharp[own].clamp(0, 1).mul_(scale).add_(low)
    return Deconvolved(inner.to(disparity.dtype), weighted, plain)


def _solve(
    given: Tensor,
    weights: tuple[Tensor, Tensor],
    spread: float,
    steps: int,
    check_cancelled: CheckCancelled,
) -> Tensor:
    """Return x, [H,W], of `given` d and the weights of its steps down and across; all periodic."""
    size = (given.shape[0], given.shape[1])
    data, answer = _filters(given, spread)
    # Of each direction z + u: the split gradient z is what exceeds the limit, and the multiplier u
    # is the rest.
    split = [_forward(given, axis) for axis in (0, 1)]
    limits = [torch.full_like(given, 0.0), torch.full_like(given, 0.0)]
    sharp = given
    for done in range(steps):
        check_cancelled()
        wanted = torch.zeros_like(given)
        for axis in (0, 1):
            multiplier = split[axis].clamp(-limits[axis], limits[axis])
            wanted += _backward(multiplier.mul_(2).sub_(split[axis]), axis)
        change = torch.fft.rfft2(wanted).mul_(answer).add_(data)
        sharp = torch.fft.irfft2(change, s=size)
        for axis in (0, 1):
            multiplier = split[axis].clamp(-limits[axis], limits[axis])
            before = split[axis].sub_(multiplier)
            split[axis] = before.lerp_(_forward(sharp, axis), RELAXATION).add_(multiplier)
            if done == 0:
                torch.div(weights[axis], PENALTY, out=limits[axis])
    return sharp


def _filters(given: Tensor, spread: float) -> tuple[Tensor, Tensor]:
    """Return what the data gives of x in the frequencies, and what gradients are multiplied by."""
    rows = _frequencies(torch.fft.fftfreq, given.shape[0], given)[:, None]
    columns = _frequencies(torch.fft.rfftfreq, given.shape[1], given)[None]
    blur = torch.exp(rows.square() * (-(spread**2) / 2)) * torch.exp(
        columns.square() * (-(spread**2) / 2)
    )
    penalty = PENALTY * SMOOTHNESS
    answer = blur.square().add_(_TINY).add_(penalty * (4 - 2 * rows.cos() - 2 * columns.cos()))
    answer.reciprocal_()
    data = torch.fft.rfft2(given).mul_(blur.mul_(answer))
    return data, answer.mul_(penalty)


def _weights(channels: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return w, [H,W], of the steps down and across: 1 where the photo is even."""
    found = []
    for axis in (0, 1):
        apart = torch.zeros_like(channels[0])
        for channel in channels:
            apart += _forward(channel, axis).square_()
        alike = apart.mul_(-1 / (2 * COLOR_EDGE**2)).exp_()
        found.append(alike.mul_(1 - LEAST_WEIGHT).add_(LEAST_WEIGHT))
    return found[0], found[1]


def _forward(plane: Tensor, axis: int) -> Tensor:
    """Return the step from each pixel to the next one along an axis."""
    return torch.roll(plane, -1, axis) - plane


def _backward(plane: Tensor, axis: int) -> Tensor:
    """Return the step to each pixel from the one before: the negative transpose of `_forward`."""
    return plane - torch.roll(plane, 1, axis)


def _frequencies(of: object, side: int, like: Tensor) -> Tensor:
    """Return angular frequencies, 1/px."""
    found: Tensor = of(side, dtype=like.dtype, device=like.device)  # type: ignore[operator]
    return found.mul_(2 * math.pi)


def _border(side: int, least: float) -> int:
    """Return a border, px, of at least so much, with which a transform is quick.

    It is the same at both ends, so that a mirrored picture is worked on alike.

    Example:
        >>> 512 + 2 * _border(512, 7.0)
        540
    """
    border = math.ceil(least)
    while not _is_quick(side + 2 * border):
        border += 1
    return border


def _is_quick(side: int) -> bool:
    for prime in (2, 3, 5, 7):
        while side % prime == 0:
            side //= prime
    return side == 1


def gaussian(plane: Tensor, spread: float) -> Tensor:
    """Return a plane [H,W] blurred by a Gaussian; beyond its border it goes on as it ends.

    Pixels that mirror each other are added first, so that a mirrored plane gives the mirrored one.

    Args:
        plane: [H,W].
        spread: px.
    """
    reach = math.ceil(REACH * spread)
    taps = [math.exp(-(place**2) / (2 * spread**2)) for place in range(reach + 1)]
    whole = taps[0] + 2 * sum(taps[1:])
    for axis in (0, 1):
        border = (reach, reach, 0, 0) if axis else (0, 0, reach, reach)
        wide, side = F.pad(plane[None, None], border, mode="replicate")[0, 0], plane.shape[axis]
        out = wide.narrow(axis, reach, side) * (taps[0] / whole)
        for place in range(1, reach + 1):
            before, after = (wide.narrow(axis, reach + way, side) for way in (-place, place))
            out += (before + after).mul_(taps[place] / whole)
        plane = out
    return plane
