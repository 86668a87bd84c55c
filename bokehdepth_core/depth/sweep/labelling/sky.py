"""Where a smooth sky is: blur cannot tell how far it is, its colour and place can.

A clear or clipped sky has no contrast that blur could change, so all that its pixels show is the
blur of the branch or wire before it, whose depth they would take. It is found as a person finds it:
smooth, blue or clipped to white, reaching down from the upper border of the picture, also behind
what crosses it, and without any blur of its own.
"""

import logging

import torch
from torch import Tensor
from torch.nn import functional

from .ownership import REACH
from .resolution import BLURRED, LEAST_RADIUS

BLOCKS = 64  # along the shorter side of the picture, of which each is sky or not
LEAST_BLOCK = 4  # px
STEPS = 2.0  # of 8 bits, standard deviation in square-root-encoded light, in a block that is smooth
OWN = 0.005  # mean evidence inside, above which the sky's own blur tells how far it is
ALIKE = 0.06  # sRGB distance from the sky beside it
JUMP = 4  # blocks that something before the sky may cover
TOP = 0.06  # of the height: where sky begins
LEAST_AREA = 0.02  # of the picture
NOISE = 4.0  # times its variance that noise may seem to be, in a block or at a pixel
LEAST_WEIGHT = 1e-3  # of the blocks around, below which none is near
WHITE, BLUE = 0.95, 0.4  # sRGB luma from which smooth neutral and blue surfaces are taken for sky
WARM = 0.02  # sRGB by which red may exceed blue
SURE = 0.6  # evidence of a pixel that tells how far the scene reaches …
REACHED = 0.02  # … but for this share of those pixels
MOST_PIXELS = 100_000  # of those
_LOG = logging.getLogger(__name__)


def sky_pixels(guide: Tensor, own: Tensor, noise: float) -> Tensor | None:
    """Return where smooth sky is, [H,W] bool; None where nothing looks like it.

    Args:
        guide: [3,H,W], sRGB.
        own: [H,W], 0…1, evidence of each pixel's own blur.
        noise: variance of the picture's noise in square-root-encoded light, sum of the channels.

    Example:
        >>> sky = torch.tensor([0.5, 0.7, 0.9])[:, None, None].expand(3, 64, 64)
        >>> bool(sky_pixels(sky, torch.zeros(64, 64), 0.0).all())
        True
        >>> sky_pixels(sky.flip(0), torch.zeros(64, 64), 0.0)  # orange
        >>> bool(sky_pixels(sky, torch.ones(64, 64), 0.0).any())  # its blur tells how far it is
        False
    """
    height, width = own.shape
    side = max(LEAST_BLOCK, min(height, width) // BLOCKS)
    color, variance = _in_blocks(guide, side)
    smooth = variance <= 3 * (STEPS / 255) ** 2 + NOISE * noise
    blocks = _grown(color, smooth & _sky_colored(color))
    if not blocks.any():
        return None
    near = _spread(torch.cat([color, torch.ones_like(color[:1])]) * blocks).to(guide)
    size = (near.shape[1] * side, near.shape[2] * side)
    full = functional.interpolate(near[None], size, mode="bilinear", align_corners=False)[0]
    full = full[:, :height, :width]
    apart = (guide * full[3] - full[:3]).square().sum(0)
    found = (full[3] > LEAST_WEIGHT) & (apart < (ALIKE**2 + NOISE * noise) * full[3].square())
    inside = ~_widened(~found)
    seen = (own * inside).sum() > OWN * inside.sum()
    return found & ~seen & (found.sum() >= LEAST_AREA * found.numel())


def tell_sky(sky: Tensor) -> None:
    """Log how much of a picture, [H,W] bool, was taken for sky."""
    share = float(sky.float().mean())
    if share:
        _LOG.info(
            "sky: %.0f %% of the picture, smooth and blue or white from the top down, is taken for "
            "the farthest there is. That is a guess: no blur tells how far it is.",
            100 * share,
        )


def shows_blur(offset: Tensor, own: Tensor, strength: float) -> Tensor:
    """Return whether any frame is blurred, as far as pixels are sure, a bool [].

    Args:
        offset: [H,W], 1/m.
        own: [H,W], 0…1, evidence of each pixel's own blur.
        strength: the largest, px·m.

    Example:
        >>> bool(shows_blur(torch.full((2, 2), 0.1), torch.ones(2, 2), strength=10.0))
        True
        >>> bool(shows_blur(torch.zeros(2, 2), torch.ones(2, 2), strength=10.0))
        False
    """
    sure = own >= SURE
    blurred = sure & (offset * strength > 2 * LEAST_RADIUS)
    return (blurred.sum() > 0) & (blurred.sum() >= BLURRED * sure.sum())


def farthest_sure(offset: Tensor, own: Tensor, *, focus_stack: bool) -> float:
    """Return the farthest offset, or the least disparity of a focus stack, that is sure, 1/m.

    Args:
        offset: [H,W], 1/m.
        own: [H,W], 0…1, evidence of each pixel's own blur.
        focus_stack: `offset` is disparity.

    Example:
        >>> offset, own = torch.tensor([[0.1, 0.4, 0.9]]), torch.tensor([[1.0, 1.0, 0.0]])
        >>> round(farthest_sure(offset, own, focus_stack=False), 2)
        0.39
    """
    sure = offset[own >= min(SURE, float(own.max()))]
    step = max(1, len(sure) // MOST_PIXELS)
    return float(torch.quantile(sure[::step], REACHED if focus_stack else 1 - REACHED))


def _in_blocks(guide: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return mean colour, [3,h,w], and variance, [h,w], sum of channels, of blocks, on the CPU."""
    planes = torch.cat([guide, guide.square()])[None]
    mean = functional.avg_pool2d(planes, side, ceil_mode=True, count_include_pad=False)[0].cpu()
    return mean[:3], (mean[3:] - mean[:3].square()).sum(0)


def _widened(mask: Tensor) -> Tensor:
    """Return a mask [H,W] with all that is within the window of what a pixel owns."""
    around = functional.max_pool2d(mask.float()[None, None], 2 * REACH + 1, 1, REACH)
    return around[0, 0] > 0


def _sky_colored(color: Tensor) -> Tensor:
    luma = 0.2126 * color[0] + 0.7152 * color[1] + 0.0722 * color[2]
    blue = (color[2] >= color[1]) & (color[2] > color[0] + WARM) & (luma > BLUE)
    return blue | ((color[2] >= color[0] - WARM) & (luma > WHITE))


def _grown(color: Tensor, may: Tensor) -> Tensor:
    """Return the blocks that may be sky and are reached from the upper border, [h,w] bool."""
    found = may.clone()
    found[max(1, round(TOP * len(may))) :] = False
    steps = [
        (axis, sign * jump) for axis in (0, 1) for jump in range(1, JUMP + 1) for sign in (1, -1)
    ]
    links = [_linked(color, may, axis, step) for axis, step in steps]
    count = -1
    while (now := int(found.sum())) != count:
        count = now
        for (axis, step), link in zip(steps, links, strict=True):
            found = found | (_moved(found, axis, step) & link)
    return found


def _linked(color: Tensor, may: Tensor, axis: int, step: int) -> Tensor:
    """Return where a block and the one `step` before it may both be sky and are alike, [h,w]."""
    apart = (_moved(color, axis + 1, step) - color).square().sum(0)
    return may & _moved(may, axis, step) & (apart < ALIKE**2)


def _moved(plane: Tensor, axis: int, step: int) -> Tensor:
    """Return what is `step` before each place along an axis, 0 where nothing is."""
    size = plane.shape[axis]
    moved, kept = torch.zeros_like(plane), size - abs(step)
    if kept > 0:
        moved.narrow(axis, max(step, 0), kept).copy_(plane.narrow(axis, max(-step, 0), kept))
    return moved


def _spread(planes: Tensor) -> Tensor:
    """Return sums of planes [C,h,w] around each block, nearer ones counting more."""
    reach = JUMP
    steps = torch.arange(-reach, reach + 1, device=planes.device, dtype=planes.dtype)
    kernel = torch.exp(-0.5 * (steps / (reach / 2)).square())[None, None]
    count = len(planes)
    rows = functional.conv2d(
        planes[None], kernel[:, :, None].expand(count, 1, 1, -1), padding=(0, reach), groups=count
    )
    return functional.conv2d(
        rows, kernel[..., None].expand(count, 1, -1, 1), padding=(reach, 0), groups=count
    )[0]
