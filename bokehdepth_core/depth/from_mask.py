"""Relative depth guessed from a subject mask: a standing card on a ground plane before a far wall.

For photos without any depth. The subject is a card that stands upright at the distance of its foot;
the ground rises from the foot towards the horizon; behind it all stands a wall. The edge of the
mask is first fitted to the photo's own edge by alpha matting. This is a rough guess: good enough
for the blur behind a portrait, not for measuring.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..callbacks import CheckCancelled, never_cancelled
from ..checks import check_image, check_number, check_shape
from ..datatypes import DepthMap

SUBJECT_DISPARITY = 0.6  # of 0…1; the rest is for ground nearer than the subject
HORIZON = 0.4  # share of the picture's height: where the horizon of an upright photo often lies
LEAST_DROP = 0.25  # share of the picture's height between horizon and foot, at least
CHOSEN = 0.5  # mask value from which a pixel belongs to the subject
BAND = 0.02  # half-width of the matted band along the mask's edge, as a share of the longer side
COARSE_RADIUS = 6  # px; half-width at which the windows of large pictures are solved
PASSES = 3  # of the matte; each moves a sloppy edge by up to a third of the band
SMOOTHNESS = 1e-4  # epsilon of the guided filter: variance of sRGB values that counts as flat
# Numbers for each pixel, read off what torch holds: as a picture is worked on, as windows are
# solved at their size, and of each further picture; and those of the network that finds people.
_WHOLE, _HELD, _SOLVED, _EACH_MORE = 12, 4, 70, 3
_FINDING = 2_100_000
_MARGIN = 1.05
LABEL_SIDE = 256  # px; longer side at which separate subjects are told apart


@dataclass(frozen=True, eq=False)
class MaskDepth:
    """Depth guessed from a mask, and what was guessed.

    Attributes:
        depth: relative depth, [B,H,W].
        alpha: [B,H,W], 0…1, the subject's matte after fitting it to the photo.
        report: one line for the user: what was assumed, and frames without a subject.

    Reference:
        `depth_from_mask`; the matte: `guided_coefficients`.

    Example:
        >>> photo, mask = torch.rand(1, 40, 30, 3), torch.zeros(1, 40, 30)
        >>> mask[:, 10:32, 10:20] = 1
        >>> guess = depth_from_mask(photo, mask)
        >>> guess.depth.metric, guess.alpha.shape
        (False, torch.Size([1, 40, 30]))
    """

    depth: DepthMap
    alpha: Tensor
    report: str


def mask_depth_memory(height: int, width: int, count: int = 1, *, people: bool = False) -> int:
    """Return an estimate of the bytes that `depth_from_mask` takes beyond photos and masks.

    Args:
        height: of the photos, px.
        width: of the photos, px.
        count: of the photos.
        people: whether people are found first, as `guess_portrait_depth` does.

    Example:
        >>> mask_depth_memory(1000, 1500) // 2**20  # MiB
        72
    """
    step = _matting_radius(height, width)[1]
    each = max(_WHOLE, _HELD + _SOLVED / step**2) + _EACH_MORE * (count - 1) + 2 * people
    network = _FINDING if people else 0
    return math.ceil(_MARGIN * 4 * max(each * height * width, 3 * height * width + network))


@torch.no_grad()
def depth_from_mask(
    image: Tensor,
    subject: Tensor,
    *,
    ground: bool = True,
    separation: float = 0.8,
    check_cancelled: CheckCancelled = never_cancelled,
) -> MaskDepth:
    """Return relative depth of photos whose subject is masked.

    The subject's disparity is the same in every picture, so that a clip keeps its blur.

    Args:
        image: [B,H,W,3], sRGB, 0…1.
        subject: [B,H,W] or [1,H,W], 0…1; pixels of at least 0.5 are the subject. Subjects that do
            not touch stand each at the distance of its own foot.
        ground: whether a ground plane leads from the picture's bottom past the foot to the wall.
        separation: 0…1, how far behind the subject the wall stands: 0 beside it, 1 at infinity.
        check_cancelled: raises to stop.

    Raises:
        TypeError: a picture or mask that is not floating point.
        ValueError: sizes that do not match, a separation outside 0…1, or no subject in any mask.

    Reference:
        Ground plane under a pinhole camera: disparity is linear in the row, 0 at the horizon.

    Example:
        >>> photo, mask = torch.rand(1, 40, 30, 3), torch.zeros(1, 40, 30)
        >>> mask[:, 10:32, 10:20] = 1
        >>> found = depth_from_mask(photo, mask, separation=0.5)
        >>> round(float(found.depth.disparity[0, 20, 15]), 3)  # the subject
        0.6
        >>> round(float(found.depth.disparity[0, 0, 0]), 3)  # the wall
        0.3
    """
    mask = _checked_mask(image, subject)
    share = check_number(separation, "separation", 0.0, 1.0)
    alpha = torch.stack(
        [_matted(one, chosen, check_cancelled) for one, chosen in zip(image, mask, strict=True)]
    )
    planes = [_disparity(one, ground, share) for one in alpha]
    depth = DepthMap.from_normalized_disparity(torch.stack(planes))
    return MaskDepth(depth, alpha, _report(alpha, ground))


def _checked_mask(image: Tensor, subject: Tensor) -> Tensor:
    size = check_image(image)
    found = check_shape(subject, "subject", "B H W", "Connect a mask of the same picture.")
    if (found["H"], found["W"]) != (size["H"], size["W"]) or found["B"] not in (1, size["B"]):
        raise ValueError(
            f"subject: expected {[size['B'], size['H'], size['W']]} like the image, found "
            f"{list(subject.shape)}. Draw the mask on the same picture."
        )
    if not subject.is_floating_point():
        raise TypeError(f"subject: expected floating point 0…1, found {subject.dtype}.")
    if not ((subject >= 0) & (subject <= 1)).all():
        raise ValueError("subject: expected values within 0…1. Divide an 8-bit mask by 255.")
    if not (subject >= CHOSEN).any():
        raise ValueError("subject: no pixel is chosen. Mask the person or thing to stay sharp.")
    return subject.to(image.device, torch.float32).expand(size["B"], -1, -1)


def _report(alpha: Tensor, ground: bool) -> str:
    empty = [i + 1 for i, one in enumerate(alpha) if not (one >= CHOSEN).any()]
    where = "on a ground plane before a far wall" if ground else "before a far wall"
    text = (
        f"A rough guess from the mask: the subject stands upright {where}; relative, no metres. "
        "A depth node gives better."
    )
    if empty:
        text += f" No subject in picture {', '.join(map(str, empty))} of {len(alpha)}."
    return text


# --- the matte -----------------------------------------------------------------------------------


def _matted(picture: Tensor, mask: Tensor, check_cancelled: CheckCancelled) -> Tensor:
    """Return the mask [H,W] with its edge moved to the photo's edge, 0…1.

    Only a band along the mask's own edge is changed; its middle and what is far from it stay. The
    windows of large pictures are solved on a smaller picture (He, Sun: Fast Guided Filter, 2015).
    """
    radius, step = _matting_radius(*mask.shape)
    size = tuple(math.ceil(side / step) for side in mask.shape)
    guide = picture[..., :3].to(mask).clamp(0, 1).movedim(-1, 0)
    small_guide = F.interpolate(guide[None], size, mode="area")[0]
    small = F.interpolate(mask[None, None], size, mode="area")[0, 0]
    band = _band(small, radius // step)
    if not band.any():
        return mask
    for _ in range(PASSES):
        check_cancelled()
        slope, offset = guided_coefficients(small_guide, small, radius // step, SMOOTHNESS)
        small = torch.where(band, ((slope * small_guide).sum(0) + offset).clamp(0, 1), small)
    full = F.interpolate(
        torch.cat([slope, offset[None]])[None], mask.shape, mode="bilinear", align_corners=False
    )[0]
    matte = ((full[:3] * guide).sum(0) + full[3]).clamp(0, 1)
    inside = F.interpolate(band[None, None].float(), mask.shape, mode="nearest-exact")[0, 0] > 0
    return torch.where(inside, matte, mask)


def _matting_radius(height: int, width: int) -> tuple[int, int]:
    """Return half the width of the matted band, px, and by how much its picture is reduced."""
    radius = max(2, round(BAND * max(height, width)))
    return radius, max(1, radius // COARSE_RADIUS)


def _band(mask: Tensor, radius: int) -> Tensor:
    """Return where a mask [H,W] has both sides within `radius` px."""
    side = 2 * radius + 1
    upper = F.max_pool2d(mask[None, None], side, 1, radius)[0, 0]
    lower = -F.max_pool2d(-mask[None, None], side, 1, radius)[0, 0]
    return (upper >= CHOSEN) & (lower < CHOSEN)


def guided_coefficients(
    guide: Tensor, values: Tensor, radius: int, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Return slope [3,H,W] and offset [H,W] of the filter: slope · guide + offset.

    In every window the values are fitted by a linear function of the picture's colour; the
    functions of all windows that hold a pixel are averaged. So the result follows the edges of the
    picture. For a mask this is a local solution of alpha matting.

    Args:
        guide: [3,H,W], 0…1.
        values: [H,W].
        radius: px, half-width of the windows.
        epsilon: variance of the guide below which a window counts as flat.

    Reference:
        He, Sun, Tang: Guided Image Filtering, 2010, equations 14 and 15 (colour guide).

    Example:
        >>> slope, offset = guided_coefficients(torch.rand(3, 9, 9), torch.ones(9, 9), 2, 1e-4)
        >>> bool((slope.abs() < 1e-3).all() and (offset > 0.99).all())
        True
    """
    pairs = [(a, b) for a in range(3) for b in range(a, 3)]
    products = torch.stack([guide[a] * guide[b] for a, b in pairs])
    stacked = torch.cat([guide, values[None], guide * values, products])
    mean = _box_mean(stacked, radius)
    centre, level = mean[:3], mean[3]
    shared = mean[4:7] - centre * level
    spread = guide.new_empty(*values.shape, 3, 3)
    for index, (a, b) in enumerate(pairs):
        spread[..., a, b] = spread[..., b, a] = mean[7 + index] - centre[a] * centre[b]
    spread += epsilon * torch.eye(3).to(spread)
    slope = torch.linalg.solve(spread, shared.movedim(0, -1)[..., None])[..., 0].movedim(-1, 0)
    offset = level - (slope * centre).sum(0)
    smooth = _box_mean(torch.cat([slope, offset[None]]), radius)
    return smooth[:3], smooth[3]


def _box_mean(planes: Tensor, radius: int) -> Tensor:
    """Return means over square windows, [C,H,W]; windows are cut off at the border."""
    side = 2 * radius + 1
    return F.avg_pool2d(planes[None], side, 1, radius, count_include_pad=False)[0]


# --- the stage -----------------------------------------------------------------------------------


def _disparity(alpha: Tensor, ground: bool, separation: float) -> Tensor:
    """Return normalised disparity [H,W], 0…1: the cards before the ground before the wall."""
    wall = SUBJECT_DISPARITY * (1 - separation)
    cards = alpha >= CHOSEN
    stage = torch.full_like(alpha, wall)
    if not cards.any():
        return stage
    rows = (torch.arange(len(alpha), device=alpha.device) + 0.5).to(alpha)
    label = torch.unique(_labels(cards), return_inverse=True)[1]
    feet, areas = _feet(label, cards, rows)
    main = areas.argmax()
    drop = max(LEAST_DROP * len(alpha), float(feet[main]) - HORIZON * len(alpha))
    slope = SUBJECT_DISPARITY / drop

    def on_ground(row: Tensor) -> Tensor:
        return (SUBJECT_DISPARITY + slope * (row - feet[main])).clamp(wall, 1.0)

    if ground:
        stage = on_ground(rows)[:, None].expand_as(alpha)
    own = on_ground(feet) if ground else torch.full_like(feet, SUBJECT_DISPARITY)
    return torch.where(cards, own[label], stage)


def _feet(label: Tensor, cards: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row of the lower end of every part, px from the top, and its area in px."""
    parts = int(label.max()) + 1
    row = (rows + 0.5)[:, None].expand(label.shape)[cards]
    feet = rows.new_zeros(parts).scatter_reduce(0, label[cards], row, "amax")
    return feet, torch.bincount(label[cards], minlength=parts)


def _labels(cards: Tensor) -> Tensor:
    """Return the number of the connected part that each pixel belongs to, [H,W]; 0 outside.

    Parts are told apart at `LABEL_SIDE` px: gaps narrower than a pixel of that size join them.
    """
    height, width = cards.shape
    scale = min(1.0, LABEL_SIDE / max(height, width))
    small = (max(1, round(height * scale)), max(1, round(width * scale)))
    coarse = F.adaptive_max_pool2d(cards[None, None].float(), small)[0, 0]
    numbers = torch.arange(1, coarse.numel() + 1, device=cards.device).view(small) * coarse
    while True:
        spread = F.max_pool2d(numbers[None, None], 3, 1, 1)[0, 0] * coarse
        if torch.equal(spread, numbers):
            break
        numbers = spread
    full = F.interpolate(numbers[None, None], (height, width), mode="nearest-exact")[0, 0]
    # A pixel of the border may fall into an empty coarse pixel: it takes the number beside it.
    labels: Tensor = torch.where(full > 0, full, _beside(full)).long() * cards
    return labels


def _beside(numbers: Tensor) -> Tensor:
    side = 2 * max(1, max(numbers.shape) // LABEL_SIDE) + 1
    return F.max_pool2d(numbers[None, None], side, 1, side // 2)[0, 0]
