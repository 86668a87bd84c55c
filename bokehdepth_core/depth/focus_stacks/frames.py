"""From photos focused at several distances to a stack that the sweep reads depth off.

The frames are brought onto each other, joined into a picture that is sharp everywhere, which
becomes the stack's reference, and brought onto that once more. Planes and strength that are not
known are measured; what cannot be measured is refused or said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, never_cancelled
from ...checks import check_image, check_number
from ...datatypes import BokehStack
from ...devices import exact_float32
from ..alignment import align_stack
from ..alignment.warp import Similarity
from .breathing import joined, moved, places_of
from .merge import merge_frames
from .spacing import measured_strength, plane_radii, relative_planes


@dataclass(frozen=True, eq=False)
class FocusStackReport:
    """What was done to the frames, and what was measured.

    Attributes:
        lines: sentences for a person.
        sharpest: [H,W], number of the frame, from 0, that is sharpest at each pixel.
        support: [H,W], 0…1: how sure that is.

    Reference:
        `focus_stack_from_frames`, which names the papers.

    Example:
        >>> frames = torch.full((2, 40, 40, 3), 0.5)
        >>> frames[1] += 0.2 * torch.rand(40, 40, 3)  # all detail is in the second frame
        >>> _, report = focus_stack_from_frames(frames, (1.0, 2.0), 10.0, align=False)
        >>> report.sharpest.unique()
        tensor([1])
    """

    lines: tuple[str, ...]
    sharpest: Tensor
    support: Tensor

    @property
    def summary(self) -> str:
        """All lines."""
        return "\n".join(self.lines)


def focus_stack_from_frames(
    frames: Tensor,
    focus_depths: Sequence[float] | None = None,
    strength: float = 0.0,
    *,
    align: bool = True,
    check_cancelled: CheckCancelled = never_cancelled,
) -> tuple[BokehStack, FocusStackReport]:
    """Return a focus stack, whose reference is the all-in-focus picture, and a report.

    Args:
        frames: [N,H,W,3], sRGB, 0…1: photos of one view and aperture, N >= 2, neighbours in focus
            beside each other.
        focus_depths: N depths of what is sharp, m, infinity allowed. None or empty where unknown:
            order and spacing of the planes are then measured, and depth is relative, with the first
            frame on the near side.
        strength: bokeh strength K of the aperture, px·m; 0 measures it. Not used where the focus
            depths are unknown.
        align: bring the frames onto each other; focus breathing is taken out.
        check_cancelled: raises to stop.

    Raises:
        TypeError: not a floating-point tensor.
        ValueError: fewer than two frames, another number of focus depths, frames that cannot be
            aligned, or planes that cannot be measured.

    Reference:
        Depth from frames of several focus distances: Nayar and Nakagawa, "Shape from focus", PAMI
        1994; Suwajanakorn et al., "Depth from focus with your mobile phone", CVPR 2015.

    Example:
        >>> frames = torch.rand(2, 40, 40, 3)
        >>> stack, report = focus_stack_from_frames(frames, (1.0, 2.0), 10.0, align=False)
        >>> stack.focus_depths, stack.strengths, report.sharpest.shape
        ((1.0, 2.0), (10.0, 10.0), torch.Size([40, 40]))
    """
    depths = _checked(frames, focus_depths, strength)
    lines: list[str] = []
    with exact_float32():
        if align:
            frames, lines = _aligned(frames, check_cancelled)
        picture, index, support = merge_frames(frames, check_cancelled)
    count = len(frames)
    settings = {"alignment": "\n".join(lines)} if align else {}
    stack = BokehStack(picture, frames.float(), (strength or 1.0,) * count, settings)
    if depths is None or not strength:
        with exact_float32():
            radii = plane_radii(stack, index, support, check_cancelled)
        if depths is None:
            planes, strength = relative_planes(radii)
            depths = tuple(1 / plane for plane in planes)
            lines = [*lines, *_unknown(planes, strength)]
            metric = False
        else:
            strength = measured_strength(radii, [1 / depth for depth in depths])
            lines = [*lines, f"strength measured from the frames: {strength:.3g} px·m."]
            metric = True
    else:
        metric = True
    report = FocusStackReport(tuple(lines), index, support)
    made = BokehStack(picture, stack.frames, (strength,) * count, settings, depths, metric)
    return made, report


def _checked(
    frames: Tensor, focus_depths: Sequence[float] | None, strength: float
) -> tuple[float, ...] | None:
    """Return the focus depths, None where unknown, after checking all that was given."""
    count = check_image(frames, "frames", "N H W 3")["N"]
    if count < 2:
        raise ValueError(
            "frames: expected photos of two focus distances or more, found 1. Give them as a batch."
        )
    check_number(strength, "strength", 0.0, hint="Give K in px·m, or 0 to measure it.")
    if not focus_depths:
        return None
    if len(focus_depths) != count:
        raise ValueError(
            f"focus_distances: {len(focus_depths)} given for {count} frames. Give one for each "
            "frame, in the same order, or none where they are unknown."
        )
    if len(set(focus_depths)) < 2:
        raise ValueError(
            "focus_distances: all are the same, which is no focus stack. Use a bokeh stack of "
            "several apertures, or give the distances that differ."
        )
    return tuple(focus_depths)


def _unknown(planes: Sequence[float], strength: float) -> list[str]:
    """Return what is to be said of planes that were measured."""
    order = sorted(range(len(planes)), key=lambda number: -planes[number])
    lines = [
        "focus distances unknown: depth is relative; planes from the blur between the frames, "
        f"{strength:.1f} px from the nearest to the farthest, and the first frame taken as near. "
        "Near is 1, far is 0: " + ", ".join(f"{plane - 1:.2f}" for plane in planes) + "."
    ]
    if order != sorted(order):
        named = ", ".join(str(number + 1) for number in order)
        lines.append(f"the frames are not in the order of their focus, which looks like {named}.")
    return lines


def _aligned(frames: Tensor, check_cancelled: CheckCancelled) -> tuple[Tensor, list[str]]:
    """Return the frames in place, and a line on each.

    First neighbour by neighbour, then against the picture that is sharp everywhere. The moves of
    both are joined, so that a frame is resampled once.
    """
    places = places_of(frames, check_cancelled)
    rough = torch.stack([moved(one, place) for one, place in zip(frames, places, strict=True)])
    picture = merge_frames(rough, check_cancelled)[0]
    stack = BokehStack(picture, rough, (1.0,) * len(frames))
    fine, report = align_stack(stack, strict=False, check_cancelled=check_cancelled)
    result, lines = fine.frames, []  # as large as the frames: replaced one by one
    del stack, rough
    size = (frames.shape[1], frames.shape[2])
    for number, found in enumerate(report.frames):
        place = joined(found.similarity, places[number]) if found.moved else places[number]
        if found.moved and not found.wobble:
            result[number] = found.light.apply(moved(frames[number], place))
        lines.append(f"frame {number + 1}: {_said(place, size)}")
        if found.problem:
            lines.append(
                f"frame {number + 1}: only roughly in place, against its neighbour; against the "
                f"all-in-focus picture {found.summary}."
            )
    return result, lines


def _said(place: Similarity, size: tuple[int, int]) -> str:
    x, y = place.shift
    return (
        f"moved by up to {place.largest_move(size):.2f} px (shift {x:+.2f}, {y:+.2f} px, "
        f"scale {100 * place.scale:+.2f} %)."
    )
