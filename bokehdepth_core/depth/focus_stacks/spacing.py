"""Which planes the frames of a focus stack are focused at, measured from the pictures alone.

What is sharp in frame k is blurred in frame j by r_jk = K |d_j - d_k|. So these radii are the
distances between points on a line, and the line can be found from them: order and spacing of the
planes, in px of blur. Neither metres nor which end is near can be told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from ...callbacks import CheckCancelled
from ...datatypes import BokehStack
from ..sweep.matching.candidates import QUICK_SIDE, _shrunk
from ..sweep.radii import frame_radii

SURE = 0.3  # support from which a pixel shows the plane of its frame
FEWEST = 30  # blocks of 2 x 2 px that must show a radius
SMALLEST_RANGE = 1.5  # px between the outermost planes; less is no focus stack
ROUNDS = 50


@dataclass(frozen=True, eq=False)
class PlaneRadii:
    """How much what is sharp in one frame is blurred in another.

    Attributes:
        radii: [N,N], px; row j is the frame that is blurred, column k the one that is sharp.
        counts: [N,N], how many blocks were measured; 0 where nothing is known.
    """

    radii: Tensor
    counts: Tensor


def plane_radii(
    stack: BokehStack, index: Tensor, support: Tensor, check_cancelled: CheckCancelled
) -> PlaneRadii:
    """Return the radii between the planes of a stack whose reference is sharp everywhere.

    Args:
        stack: strengths and focus depths play no part.
        index: [H,W], number of the sharpest frame.
        support: [H,W], 0…1.
        check_cancelled: raises to stop.
    """
    count = len(stack.frames)
    shrink = max(1, min(index.shape) // QUICK_SIDE)
    small = replace(
        stack,
        reference=_shrunk(stack.reference[None], shrink)[0],
        frames=_shrunk(stack.frames, shrink),
        strengths=(1.0,) * count,
        focus_depths=None,
    )
    found, trust = frame_radii(small, check_cancelled=check_cancelled)
    size = (found.shape[1], found.shape[2])
    shares = []
    for number in range(count):
        here = ((index == number) & (support > SURE)).float()[None, None]
        shares.append(functional.interpolate(here, size, mode="area")[0, 0])
    radii, counts = torch.zeros(count, count), torch.zeros(count, count)
    for number, share in enumerate(shares):
        for frame in range(count):
            sure = (share > 0.8) & (trust[frame] > 0.5)
            counts[frame, number] = int(sure.sum())
            if counts[frame, number] >= FEWEST:
                radii[frame, number] = shrink * found[frame][sure].median()
            else:
                counts[frame, number] = 0
    return PlaneRadii(radii, counts)


def measured_strength(found: PlaneRadii, disparities: Sequence[float]) -> float:
    """Return the bokeh strength K that the radii show for planes of known disparity, px·m.

    Least squares of r_jk = K |d_j - d_k| over all pairs, each by the root of its blocks.

    Raises:
        ValueError: no pair of planes shows a radius.

    Example:
        >>> radii = torch.tensor([[0.0, 4.0], [4.0, 0.0]])
        >>> measured_strength(PlaneRadii(radii, torch.full((2, 2), 99.0)), (1.0, 0.5))
        8.0
    """
    d = torch.tensor(disparities)
    apart = (d[:, None] - d).abs()
    weights = _weights(found)
    total = float((weights * apart.square()).sum())
    strength = float((weights * apart * found.radii).sum()) / max(total, 1e-30)
    if total == 0 or strength <= 0:
        raise ValueError(
            "strength: the frames show too little that is sharp in one and blurred in another to "
            "measure it. Give the bokeh strength of the lens."
        )
    return strength


def relative_planes(found: PlaneRadii) -> tuple[tuple[float, ...], float]:
    """Return where the planes lie, 2 (first end, taken as near) to 1, and px for one unit.

    Raises:
        ValueError: a frame without a measured radius, or planes less than a blur apart.

    Reference:
        Scaling to one dimension by the radii as distances: Kruskal, "Multidimensional scaling by
        optimizing goodness of fit", 1964; solved with the order fixed, then the order anew.

    Example:
        >>> place = torch.tensor([0.0, 2.0, 8.0])
        >>> radii = (place[:, None] - place).abs()
        >>> planes, pixels = relative_planes(PlaneRadii(radii, torch.full((3, 3), 99.0)))
        >>> [round(plane, 3) for plane in planes], round(pixels, 3)
        ([2.0, 1.75, 1.0], 8.0)
    """
    weights = _weights(found)
    count = len(weights)
    lonely = [
        number for number in range(count) if weights[number].sum() + weights[:, number].sum() == 0
    ]
    if lonely:
        raise ValueError(
            f"focus_distances: frame {lonely[0] + 1} shows too little detail to tell where it is "
            "focused. Give the focus distances, or leave this frame out."
        )
    place = _along_line(found.radii.double(), weights.double())
    if place[0] > place[-1]:
        place = -place
    place = place - place.min()
    extent = float(place.max())
    if extent < SMALLEST_RANGE:
        raise ValueError(
            f"focus_distances: the frames differ in focus by {extent:.1f} px of blur, too little "
            "to tell their planes apart. Give the focus distances, or frames farther apart."
        )
    return tuple((2 - place / extent).tolist()), extent


def _weights(found: PlaneRadii) -> Tensor:
    """Return how much each pair of different frames counts, [N,N]."""
    weights = found.counts.sqrt()
    return weights * (1 - torch.eye(len(weights)))


def _along_line(radii: Tensor, weights: Tensor) -> Tensor:
    """Return places [N] on a line whose distances are `radii`, by weighted least squares."""
    count = len(radii)
    both = weights + weights.T
    mean = (weights * radii + (weights * radii).T) / both.clamp(min=1e-12)
    laplacian = torch.diag(both.sum(1)) - both
    place = torch.arange(count, dtype=radii.dtype)
    best, lowest = place, float("inf")
    # The given order, and the distances from each frame, with every frame in turn as one end.
    starts = [place] + [mean[end] for end in range(count)]
    for start in starts:
        place = start
        for _ in range(ROUNDS):
            signs = torch.sign(place[:, None] - place)
            place = torch.linalg.pinv(laplacian) @ (both * mean * signs).sum(1)
        stress = float((both * ((place[:, None] - place).abs() - mean).square()).sum())
        if stress < lowest - 1e-9:
            best, lowest = place, stress
    return best
