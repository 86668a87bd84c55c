"""People in a photo as a soft mask, found by a small network that ships with the package.

The network sees the photo at 256 px; a second look at the part that holds the people makes their
outline finer where they fill only a part of the photo. It was made for selfies and video calls: for
people within about 2 m of the camera. Small, distant or covered people may be missed.
"""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, never_cancelled
from ...checks import check_image
from ...devices import interpolate
from ...weights.reading import read_state_dict
from ...weights.strict import build_on_meta, load_strictly
from .network import SIDE, PersonNetwork

WEIGHTS = Path(__file__).parent / "assets" / "selfie_segmentation.safetensors"
CHOSEN = 0.5  # probability from which a pixel counts as a person
MARGIN = 0.2  # of the people's own height and width, that the second look adds around them
WORTH = 0.7  # share of the photo's sides; where people take more, a second look shows no more


@torch.no_grad()
def find_people(image: Tensor, *, check_cancelled: CheckCancelled = never_cancelled) -> Tensor:
    """Return how likely each pixel belongs to a person, [B,H,W], 0…1.

    Args:
        image: [B,H,W,3], sRGB, 0…1.
        check_cancelled: raises to stop.

    Raises:
        TypeError: a picture that is not floating point.
        ValueError: another shape.

    Reference:
        MediaPipe Selfie Segmentation, the general model: the picture is stretched to 256 x 256.

    Example:
        >>> find_people(torch.full((1, 40, 30, 3), 0.5)).shape  # a grey wall, nobody there
        torch.Size([1, 40, 30])
    """
    check_image(image)
    found = []
    for picture in image:
        check_cancelled()
        found.append(_find_in(picture.float().clamp(0, 1)))
    return torch.stack(found)


def _find_in(picture: Tensor) -> Tensor:
    """Return the mask [H,W] of a picture [H,W,3]."""
    first = _look(picture)
    box = _box_of(first)
    if box is None:
        return first
    second = torch.zeros_like(first)
    second[box] = _look(picture[box])
    return second


def _look(picture: Tensor) -> Tensor:
    planes = picture.movedim(-1, 0)[None]
    mask = _network(picture.device)(interpolate(planes, (SIDE, SIDE), antialias=True))
    size = (picture.shape[0], picture.shape[1])
    return interpolate(mask[:, None], size)[0, 0].clamp(0, 1)


def _box_of(mask: Tensor) -> tuple[slice, slice] | None:
    """Return rows and columns around the people in a mask [H,W]; None where it is not worth it."""
    box = []
    for axis in (1, 0):
        at = (mask >= CHOSEN).any(axis).nonzero()[:, 0]
        if not len(at):
            return None
        low, high = int(at[0]), int(at[-1]) + 1
        margin = round(MARGIN * (high - low))
        box.append(slice(max(0, low - margin), min(mask.shape[1 - axis], high + margin)))
    shares = [(one.stop - one.start) / side for one, side in zip(box, mask.shape, strict=True)]
    return None if min(shares) > WORTH else (box[0], box[1])


@cache
def _network(device: torch.device) -> PersonNetwork:
    """Return the network on a device; its 0.5 MB stay there."""
    network = build_on_meta(PersonNetwork)
    load_strictly(network, read_state_dict(WEIGHTS), WEIGHTS.name, device=device)
    return network
