"""What a compositor sets beside the lens on Render Bokeh: its inputs, and what they become."""

import torch
from comfy_api.latest import io
from torch import Tensor

from ... import bokehdepth_core as core
from ...bokehdepth_core.checks import check_number
from ...bokehdepth_core.optics.focus import STRENGTH_UNITS
from ...bokehdepth_core.optics.focus.clip_focus import clip_focus
from ...bokehdepth_core.optics.focus.controls import LARGEST_FACTOR, LARGEST_RADIUS, LARGEST_ZONE
from ...bokehdepth_core.optics.focus.tilt import LARGEST_TILT
from ..host import services

FOCUS_MODES = ("point", "automatic")

# name, default, smallest, largest, step, tooltip
_NUMBERS = (
    (
        "focus_range",
        *(0.0, 0.0, LARGEST_ZONE, 0.5),
        "Half-width of the zone that stays sharp, as the blur radius in px that is forgiven. "
        "Beyond it blur begins gently; far from it, it is the lens's own.",
    ),
    (
        "front_strength",
        *(1.0, 0.0, LARGEST_FACTOR, 0.05),
        "Multiplies the blur in front of the focus: 0 leaves it sharp, 1 is as the lens has it.",
    ),
    ("back_strength", *(1.0, 0.0, LARGEST_FACTOR, 0.05), "Multiplies the blur behind the focus."),
    (
        "max_radius",
        *(0.0, 0.0, LARGEST_RADIUS, 1.0),
        "Blur radius in px that nothing exceeds. Radii up to half of it stay, larger ones are "
        "compressed, so what is farther is still blurrier. 0 is no limit.",
    ),
    (
        "highlight_threshold",
        *(0.75, 0.0, 0.99, 0.01),
        "From where highlight_boost counts: light of the strongest channel, white is 1. 0.75 is "
        "225 of 255 in the photo, 0.95 is 249: only what the camera clipped.",
    ),
    (
        "tilt",
        *(0.0, -LARGEST_TILT, LARGEST_TILT, 0.5),
        "Turns the plane of focus about the focus point, degrees: above 0 its upper part goes away "
        "from the camera, as for a floor. Needs metric depth with intrinsics.",
    ),
    (
        "swing",
        *(0.0, -LARGEST_TILT, LARGEST_TILT, 0.5),
        "The same to the side: above 0 the right part of the plane goes away from the camera, as "
        "for a wall on the left.",
    ),
    (
        "grain",
        *(0.0, 0.0, 1.0, 0.05),
        "Gives blurred parts the noise of the photo back, as measured in it: 0 is none, 1 is as "
        "much as the subject has.",
    ),
)

_STEADY = (
    "steady",
    *(0.0, 0.0, 1.0, 0.05),
    "For the frames of a clip: how much depth and its edges are held from frame to frame where the "
    "photo does not change, so that they do not flicker. 0 takes every frame by itself.",
)


def control_inputs() -> list:
    """Return the inputs; each leaves the picture as it is at its default."""
    return [
        io.Combo.Input(
            "strength_unit",
            options=list(STRENGTH_UNITS),
            default=STRENGTH_UNITS[0],
            optional=True,
            tooltip="Unit of strength. In % of the picture's width (times metres, where depth has "
            "them) the look is the same at every size.",
        ),
        io.Combo.Input(
            "focus_mode",
            options=list(FOCUS_MODES),
            default=FOCUS_MODES[0],
            optional=True,
            tooltip="automatic looks for the subject, near, central, sharp and in front of its "
            "surroundings, instead of taking the point. A mask or a distance goes first.",
        ),
        *(_number(*one) for one in _NUMBERS),
    ]


def steady_input():
    """Return the input that keeps the depth of a clip from flickering."""
    return _number(*_STEADY)


def _number(name: str, default: float, low: float, high: float, step: float, tooltip: str):
    return services.fit(
        io.Float.Input,
        name,
        default=default,
        min=low,
        max=high,
        step=step,
        round=False,
        optional=True,
        advanced=True,
        tooltip=tooltip,
    )


def is_automatic(focus_mode: str) -> bool:
    """Return whether the subject is to be looked for.

    Raises:
        ValueError: another mode.
    """
    if focus_mode not in FOCUS_MODES:
        raise ValueError(
            f"focus_mode: unknown {focus_mode!r}. Use one of {', '.join(FOCUS_MODES)}."
        )
    return focus_mode == "automatic"


def decided_by(focus_mode: str, focus_distance: float, mask) -> str:
    """Return what decides the focus: "distance", "mask", "automatic" or "point"."""
    if focus_distance:
        return "distance"
    if mask is not None:
        return "mask"
    return "automatic" if is_automatic(focus_mode) else "point"


def focus_depths(
    depth_map, depths: Tensor, seen: Tensor, point, focus_distance, mask
) -> tuple[Tensor, Tensor]:
    """Return the depth of the focus plane of each picture, [B], and its point, [B or 1,2].

    Args:
        depth_map: as it came.
        depths: its depth, [B,H,W].
        seen: the pictures, [B,H,W,3], sRGB.
        point: (x, y) in shares; None to look for the subject.
        focus_distance: m; 0 for the others.
        mask: goes before the point; None for none.
    """
    distance = check_number(
        focus_distance, "focus_distance", 0.0, hint="Use 0 to take it at the point."
    )
    if mask is not None:
        points = mask_middles(mask)
    elif point is not None:
        points = torch.tensor([point])
    else:
        subject = core.find_subject(seen.to(depths.device), depths)
        points = subject.point
        if not distance:
            return subject.focus_depth, points
    if not distance:
        if mask is None:
            return core.focus_depth_at(depths, *point).float(), points
        return _masked_focus(depths, mask), points
    if not depth_map.metric:
        raise ValueError(
            f"focus_distance: {distance:g} m given, but this depth has no metres. Use 0 and choose "
            "a focus point or mask, or connect a METRIC_DEPTH."
        )
    return depths.new_full((len(depths),), distance), points


def _masked_focus(depths: Tensor, mask: Tensor) -> Tensor:
    planes, lost = clip_focus(depths, mask)
    if lost:
        frames = ", ".join(str(index) for index in lost)
        services.show_text(
            f"focus_mask: empty in frame {frames} (counted from 0); the frames around decide."
        )
    return planes.float()


def mask_middles(mask: Tensor) -> Tensor:
    """Return the middle of masks [B,H,W], [B,2], (x, y) in shares; that of the picture if empty."""
    weights = mask.float().clamp(0, 1)
    total = weights.sum((1, 2))
    middles = []
    for axis in (2, 1):
        at = (torch.arange(mask.shape[axis], device=mask.device) + 0.5) / mask.shape[axis]
        sums = (weights.sum(3 - axis) * at).sum(1)
        middles.append(torch.where(total > 0, sums / total.clamp(min=1e-6), 0.5))
    return torch.stack(middles, dim=1)


def turning_of(controls, depth_map, points: Tensor, count: int) -> dict[str, Tensor]:
    """Return what turning the plane of focus needs, for each picture; {} where it is not turned.

    Raises:
        ValueError: depth without metres or intrinsics.
    """
    if not (controls.tilt or controls.swing):
        return {}
    if not depth_map.metric or depth_map.intrinsics is None:
        name = "tilt" if controls.tilt else "swing"
        found = "intrinsics" if depth_map.metric else "metres"
        raise ValueError(
            f"{name}: turning the plane of focus needs depth in metres with intrinsics. Use 0, or "
            f"connect a METRIC_DEPTH of a known camera; this depth has no {found}."
        )
    return {
        "intrinsics": depth_map.intrinsics.expand(count, -1, -1),
        "focus_point": points.float().cpu().expand(count, -1),
    }
