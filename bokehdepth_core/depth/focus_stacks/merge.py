"""Joins frames of several focus distances into one picture that is sharp everywhere.

Each pixel is taken from the frame that is sharpest there. Sharpness is the energy of fine detail;
where there is little of it, or where a blurred edge spreads over smooth ground, neighbours of like
colour that are sure decide instead, so that no halo stays beside a depth edge.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ...callbacks import CheckCancelled, never_cancelled
from ...color import linear_to_srgb, srgb_to_linear
from ..sweep.labelling.propagation import cross_bilateral_votes

LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709
WINDOW = 2.0  # px, standard deviation of the window in which detail is summed
MODE = 2.0  # px, standard deviation of the window whose most frequent frame is taken
SEAM = 0.7  # px, standard deviation of the passage from one frame to the next
NOISE_SHARE = 0.05  # of the pixels: the smoothest ones show what noise alone gives
SPREAD = 12  # px, how far a strong edge casts doubt on weaker detail beside it
FAINTEST = 1e-7  # energy that rounding to 8 bits makes, square-root-encoded light
VOTE_FLOOR = 1e-3
VOTE_WEIGHT = 1.0  # of the neighbours against the pixel's own detail


def merge_frames(
    frames: Tensor, check_cancelled: CheckCancelled = never_cancelled
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the picture that is sharp everywhere, which frame it is from, and how sure that is.

    Args:
        frames: [N,H,W,3], sRGB, 0…1, in place on each other.
        check_cancelled: raises to stop.

    Returns:
        The picture [H,W,3], sRGB; the index of the sharpest frame, [H,W]; its support, [H,W], 0…1.

    Reference:
        Nayar and Nakagawa, "Shape from focus", PAMI 1994 (the energy of the Laplacian as measure of
        focus); Hosni et al., "Fast cost-volume filtering", PAMI 2013 (labels that follow colour).

    Example:
        >>> sharp = torch.rand(24, 24, 3)
        >>> picture, index, support = merge_frames(torch.stack([torch.ones(24, 24, 3) / 2, sharp]))
        >>> bool((index == 1).all()), bool((picture - sharp).abs().max() < 1e-5)
        (True, True)
    """
    energies = sharpness(frames)
    own, first = energies.max(0)
    support = _support(energies, own, first)
    check_cancelled()
    guide = _gathered(frames, first).permute(2, 0, 1)
    votes = cross_bilateral_votes(
        first.to(support.dtype), support, guide, len(frames), (0, first.shape[0])
    )
    check_cancelled()
    votes = (votes + VOTE_FLOOR) / (votes.sum(0) + len(frames) * VOTE_FLOOR)
    shares = (energies + FAINTEST) / (energies.sum(0) + len(frames) * FAINTEST)
    index = _mode((VOTE_WEIGHT * votes.log() + support * shares.log()).argmax(0), len(frames))
    return _blended(frames, index), index, support * (index == first)


def sharpness(frames: Tensor) -> Tensor:
    """Return the energy of fine detail around each pixel beyond the noise's, [N,H,W].

    Args:
        frames: [N,H,W,3], sRGB, 0…1.

    Example:
        >>> bool((sharpness(torch.full((1, 9, 9, 3), 0.5)) < 1e-12).all())  # but for rounding
        True
    """
    energies = []
    for frame in frames:
        light = srgb_to_linear(frame.float()).clamp(min=0)
        luma = (light @ light.new_tensor(LUMA)).sqrt()
        energy = gaussian(_laplacian(luma).square()[None], WINDOW)[0]
        sample = energy[::3, ::3].flatten()[:1_000_000]
        noise = 2 * torch.quantile(sample, NOISE_SHARE) if sample.numel() else energy.new_zeros(())
        # Where all is detail, the smoothest pixels are not noise.
        energies.append((energy - torch.minimum(noise, energy.mean() / 4)).clamp(min=0))
    return torch.stack(energies)


def gaussian(planes: Tensor, sigma: float) -> Tensor:
    """Return [C,H,W] smoothed by a Gaussian; the border is repeated."""
    half = max(1, round(3 * sigma))
    x = torch.arange(-half, half + 1, device=planes.device, dtype=planes.dtype)
    weights = torch.exp(-x.square() / (2 * sigma**2))
    weights = weights / weights.sum()
    padded = functional.pad(planes[:, None], (half, half, half, half), mode="replicate")
    rows = functional.conv2d(padded, weights[None, None, None, :])
    return functional.conv2d(rows, weights[None, None, :, None])[:, 0]


def _laplacian(plane: Tensor) -> Tensor:
    """Return the difference of [H,W] from the mean of its four neighbours."""
    padded = functional.pad(plane[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    beside = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return plane - beside / 4


def _support(energies: Tensor, own: Tensor, first: Tensor) -> Tensor:
    """Return how sure the sharpest frame is, [H,W], 0…1.

    It is clear of the frames that are not its neighbours, and no far stronger detail is near, whose
    blurred edge may be all there is.
    """
    count = len(energies)
    gap = 2 if count > 3 else 1
    number = torch.arange(count, device=first.device)[:, None, None]
    rival = torch.where((number - first).abs() >= gap, energies, 0).amax(0)
    clear = 1 - rival / own.clamp(min=1e-20)
    strongest = functional.max_pool2d(own[None], 2 * SPREAD + 1, 1, SPREAD)[0]
    beside = (own / strongest.clamp(min=1e-20)).sqrt()
    return clear * beside * own / (own + FAINTEST)


def _mode(index: Tensor, count: int) -> Tensor:
    """Return the most frequent frame around each pixel, [H,W]: noise leaves single pixels."""
    best = torch.zeros_like(index)
    most = torch.zeros(index.shape, device=index.device)
    for number in range(count):
        share = gaussian((index == number).float()[None], MODE)[0]
        best = torch.where(share > most, number, best)
        most = torch.maximum(share, most)
    return best


def _gathered(frames: Tensor, index: Tensor) -> Tensor:
    """Return each pixel of its frame, [H,W,3]."""
    chosen = torch.zeros_like(frames[0], dtype=torch.float32)
    for number, frame in enumerate(frames):
        chosen = torch.where((index == number)[..., None], frame.float(), chosen)
    return chosen


def _blended(frames: Tensor, index: Tensor) -> Tensor:
    """Return the frames' light mixed across the seams of the label map, [H,W,3], sRGB."""
    total = torch.zeros_like(frames[0], dtype=torch.float32)
    for number, frame in enumerate(frames):
        weight = gaussian((index == number).float()[None], SEAM)[0]
        total += weight[..., None] * srgb_to_linear(frame.float())
    return linear_to_srgb(total.clamp(min=0)).clamp(0, 1)
