"""The tone curve that a camera put on every picture of a stack, found from the blur itself.

Blur adds light up, and a photo holds light after the camera's contrast curve. Undone with the wrong
curve, a blurred edge between bright and dark comes out too bright or too dark in its middle. That
error is the same along every edge, so one number for the whole stack takes it away.
"""

import logging
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from ....callbacks import CheckCancelled, never_cancelled
from ....color import srgb_to_linear
from ....datatypes import BokehStack
from ....optics.aperture import DISC
from ....optics.psf import LensBlur
from ...alignment.matching import BlurLadder

SMALLEST_SIDE = 32  # px, of a picture that shows enough
WORKING_SIDE = 256  # px, at least, of the shorter side of the pictures compared
STEPS = 2
OVERSTEP = 1.2  # a step finds less than is there: blur matched to a wrong curve hides some
LARGEST = 0.15  # of the amount, not believed either; below 1 / 2π the curve rises everywhere
PROMISING = 0.08  # share of the error a step must explain; pub1-4: up to 0.04, with a curve 0.15
BELIEVED = 0.6  # share of the error left, at most; pub1-4 with a curve: 0.43
NO_WORSE = 1.03  # mismatch after over before: noise must not pass for a curve
FAINTEST = 1e-5  # variance of a picture that shows anything
BLOCK = 3  # px of the small pictures, side of the blocks whose means are compared
BORDER = 2  # blocks that do not count
OUTLIER = 2.0  # spreads of the error at which a pixel counts half
DARK = 0.01  # light added before the square root
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Fit:
    """What the pictures say about an amount.

    Attributes:
        step: to a better amount.
        error: mean squared error where the pictures are trusted.
        explained: share of the error that the step takes away, to first order.
        mismatch: zero-mean matching cost over the frames' variance, whatever the contrast.
    """

    step: float
    error: float
    explained: float
    mismatch: float


def toned(image: Tensor, amount: float) -> Tensor:
    """Return sRGB values v as v + amount · sin(2πv), 0…1: more contrast below 0, less above.

    Example:
        >>> toned(torch.tensor([0.0, 0.25, 0.5]), 0.04).tolist()[:1]
        [0.0]
    """
    value = image.float()
    return (value + amount * torch.sin(2 * math.pi * value)).clamp(0, 1)


def without_tone_curve(
    stack: BokehStack, check_cancelled: CheckCancelled = never_cancelled
) -> tuple[BokehStack, float]:
    """Return a stack in whose pictures blur is linear in light, and the amount of `toned` it took.

    Args:
        stack: its frames lie on the reference.
        check_cancelled: raises to stop.

    Returns:
        The stack itself and 0 where the curve explains too little of what differs.

    Reference:
        Gauss-Newton on Σ w (lin(F) − blur(lin(S)))², after the observation that blur is linear in
        light only: Lin et al., "Radiometric calibration from a single image", CVPR 2004.

    Example:
        >>> flat = torch.full((40, 40, 3), 0.5)
        >>> without_tone_curve(BokehStack(flat, flat[None], (10.0,)))[1]
        0.0
    """
    if min(stack.reference.shape[:2]) < SMALLEST_SIDE:
        return stack, 0.0
    shrink = max(1, min(stack.reference.shape[:2]) // WORKING_SIDE)
    first = last = _gauss_newton(stack, 0.0, shrink)
    if first.explained < PROMISING:
        return stack, 0.0
    amount = 0.0
    for _ in range(STEPS):
        check_cancelled()
        amount = max(-LARGEST, min(LARGEST, amount + OVERSTEP * last.step))
        last = _gauss_newton(stack, amount, shrink)
    closer = last.error <= BELIEVED * first.error and last.mismatch <= NO_WORSE * first.mismatch
    if not closer or abs(amount) == LARGEST:
        return stack, 0.0
    _LOG.info("stack: tone curve of all pictures taken out, %+.3f sin(2πv)", amount)
    reference, tone = toned(stack.reference, amount), toned(stack.frames, amount)
    return replace(stack, reference=reference, frames=tone), amount


def _gauss_newton(stack: BokehStack, amount: float, shrink: int) -> _Fit:
    """Return what the pictures say about an amount, and the step to a better one."""
    light, slope = _light_and_slope(stack.reference, amount, shrink)
    ladder = BlurLadder(light)
    size = (light.shape[0], light.shape[1])
    blur = LensBlur(size, int(ladder.radii[-1]) + 2, DISC, light.device)
    spectra = blur.transform(torch.stack([light, slope]))
    blurred = torch.stack([blur.blur(spectra, radius) for radius in ladder.radii])
    normal = pull = squares = count = mismatch = 0.0
    for frame in stack.frames:
        own, own_slope = _light_and_slope(frame, amount, shrink)
        root = own.clamp(min=0).sqrt()
        match = ladder.match(root)
        mismatch += float(match.cost.mean() / root.var().clamp(min=FAINTEST))
        fitting = blurred[0]
        for radius, one in zip(ladder.radii, blurred, strict=True):
            fitting = torch.where(match.radius == radius, one, fitting)
        # Square roots spread noise evenly over dark and bright.
        scale = 0.5 / (fitting[0].clamp(min=0) + DARK).sqrt()
        both = torch.stack([own - fitting[0], own_slope - fitting[1], match.trust / scale]) * scale
        # Noise, in both the error and the slope, would pass for a curve; blocks average it out.
        error, change, trust = functional.avg_pool2d(both[None], BLOCK)[0]
        weight = _weight(trust, error)
        normal += float((weight * change.square()).sum())
        pull += float((weight * change * error).sum())
        squares += float((weight * error.square()).sum())
        count += float(weight.sum())
    if count == 0 or normal == 0 or squares == 0:
        return _Fit(0.0, 0.0, 0.0, mismatch)
    return _Fit(-pull / normal, squares / count, pull**2 / (normal * squares), mismatch)


def _light_and_slope(image: Tensor, amount: float, shrink: int) -> tuple[Tensor, Tensor]:
    """Return the linear luma of a toned picture and its derivative by the amount, [h,w] each."""
    value = toned(image, amount)
    wave = torch.sin(2 * math.pi * image.float())
    # Derivative of the sRGB curve, IEC 61966-2-1.
    steep = torch.where(value <= 0.04045, 1 / 12.92, 2.4 / 1.055 * ((value + 0.055) / 1.055) ** 1.4)
    luma = value.new_tensor((0.2126, 0.7152, 0.0722))
    both = torch.stack([srgb_to_linear(value) @ luma, (steep * wave) @ luma])
    small = functional.avg_pool2d(both[None], shrink)[0]
    return small[0], small[1]


def _weight(trust: Tensor, error: Tensor) -> Tensor:
    inner = torch.zeros_like(trust)
    inner[BORDER:-BORDER, BORDER:-BORDER] = 1
    weight = trust * inner
    known = error[weight > 0.25].abs()
    if known.numel() == 0:
        return torch.zeros_like(trust)
    spread = OUTLIER * 1.4826 * known.median() + 1e-4
    return weight / (1 + (error / spread).square())
