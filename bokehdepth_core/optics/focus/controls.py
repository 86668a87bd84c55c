"""What a compositor sets beside the lens: a sharp zone, front and back apart, a largest radius.

A thin lens blurs by K·|1/Z − 1/Z_f| px and nothing else. The controls change that signed blur
radius of every pixel before anything is blurred; each of them is off by default, and leaves the
numbers as they were to the last bit.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...checks import check_number
from ..thin_lens import as_focus_depth, defocus
from .tilt import check_tilt, focus_disparity

FocusPoint = tuple[float, float] | Tensor
STRENGTH_UNITS = ("px·m", "% of width")
LARGEST_FACTOR = 10.0  # that the blur in front or behind is multiplied by
LARGEST_ZONE = 1000.0  # px, of blur radius that is forgiven
LARGEST_RADIUS = 10_000.0  # px; no picture needs a larger limit
_LONGEST_SHOULDER = 40.0  # times the sharp zone; beyond it what the shoulder adds is below 1e-15
_KNEE = 0.5  # of the largest radius: what is below stays as it is


@dataclass(frozen=True)
class FocusControls:
    """Changes to the blur radius of a thin lens.

    Attributes:
        focus_range: px, 0…1000, blur radius that is forgiven: all that a lens would blur by no
            more than this stays sharp. From there blur begins with slope 0, and far from it, it is
            the lens's own.
        front_strength: factor of the blur in front of the focus plane, 0…10.
        back_strength: factor of the blur behind it, 0…10.
        max_radius: px, 0…10 000, that no blur radius exceeds; 0 is no limit. Radii up to half of
            it stay as they are, larger ones are compressed, so that what is farther away is still
            blurrier.
        tilt: degrees, turns the plane of focus about the focus point: above 0 its upper part goes
            away from the camera.
        swing: degrees, the same with its right part.

    Raises:
        ValueError: a value outside its range.

    Reference:
        The thin lens, arXiv 2512.12425, gives the radius that is changed. The curves are this
        project's own, made to join the lens's blur without a bend; `change` tells their order. Tilt
        and swing: `tilt.py` derives them from the thin lens.

    Example:
        >>> FocusControls(front_strength=0.5).change(torch.tensor([8.0, -8.0])).tolist()
        [4.0, -8.0]
    """

    focus_range: float = 0.0
    front_strength: float = 1.0
    back_strength: float = 1.0
    max_radius: float = 0.0
    tilt: float = 0.0
    swing: float = 0.0

    def __post_init__(self) -> None:
        zone, factor = "It is a blur radius in px.", "1 is as the lens has it."
        check_number(self.focus_range, "focus_range", 0.0, LARGEST_ZONE, hint=zone)
        check_number(self.front_strength, "front_strength", 0.0, LARGEST_FACTOR, hint=factor)
        check_number(self.back_strength, "back_strength", 0.0, LARGEST_FACTOR, hint=factor)
        check_number(self.max_radius, "max_radius", 0.0, LARGEST_RADIUS, hint="0 is no limit.")
        check_tilt(self.tilt, self.swing)

    def change(self, signed: Tensor) -> Tensor:
        """Return signed blur radii, px, front positive, as the controls have them.

        First the sharp zone, then front and back, then the limit: so the zone stays where it is
        while the blur around it is turned up and down.

        Args:
            signed: any shape, px, front positive.
        """
        if self.focus_range:
            signed = signed.sign() * _forgiven(signed.abs(), self.focus_range)
        if (self.front_strength, self.back_strength) != (1.0, 1.0):
            signed = signed * torch.where(signed > 0, self.front_strength, self.back_strength)
        if self.max_radius:
            signed = signed.sign() * _compressed(signed.abs(), self.max_radius)
        return signed


AS_THE_LENS = FocusControls()
"""No change."""


def _forgiven(radius: Tensor, zone: float) -> Tensor:
    """Return r − z (1 + 2t) e⁻ᵗ with t = (r − z)/z, and 0 up to the zone z.

    Value and slope are 0 at the zone's end, the slope never exceeds 1.45, and what is missing of
    r falls with e⁻ᵗ: the shoulder joins the lens's own blur.
    """
    beyond = ((radius - zone) / zone).clamp(0, _LONGEST_SHOULDER)
    eased = radius - zone * (1 + 2 * beyond) * torch.exp(-beyond)
    return torch.where(radius > zone, eased.clamp(min=0), 0.0)


def _compressed(radius: Tensor, largest: float) -> Tensor:
    """Return k + (m − k)(1 − e^(−(r − k)/(m − k))) above the knee k = m/2; r below it."""
    knee = _KNEE * largest
    rest = largest - knee
    above = knee - rest * torch.expm1((knee - radius) / rest)
    return torch.where(radius > knee, above, radius)


def controlled_defocus(
    depth: Tensor,
    strength: float,
    focus_depth: float | Tensor,
    controls: FocusControls = AS_THE_LENS,
    limit: float = math.inf,
    *,
    intrinsics: Tensor | None = None,
    focus_point: FocusPoint = (0.5, 0.5),
) -> Tensor:
    """Return the signed blur radius of every pixel, [B,H,W], px, front positive.

    Args:
        depth: [B,H,W], m, > 0; infinity is allowed.
        strength: bokeh strength K, px·m, >= 0.
        focus_depth: number or [B], depth of the focus plane, m, > 0; infinity is allowed.
        controls: what is changed of the lens's blur.
        limit: px, beyond which the lens's own radius counts as this.
        intrinsics: [B,3,3] or [1,3,3], px; needed where the plane of focus is turned.
        focus_point: (x, y), or [B,2], in shares of the picture: about which it is turned.

    Raises:
        ValueError: unusable depth, strength or focus depth; a turned plane without intrinsics.

    Reference:
        Thin lens, arXiv 2512.12425: K (1/Z − 1/Z_f).

    Example:
        >>> depth = torch.tensor([[[1.0, 2.0, 4.0]]])
        >>> controlled_defocus(depth, 20.0, 2.0, FocusControls(back_strength=2.0))
        tensor([[[ 10.,   0., -10.]]])
    """
    signed = defocus(depth, strength, focus_depth)
    if controls.tilt or controls.swing:
        planes = as_focus_depth(focus_depth, len(depth)).to(depth)
        turned = _turned_plane(depth, planes, controls, intrinsics, focus_point)
        signed = strength * (torch.reciprocal(depth) - turned)
    if limit < math.inf:
        signed = signed.clamp(-limit, limit)
    return controls.change(signed)


def _turned_plane(
    depth: Tensor,
    planes: Tensor,
    controls: FocusControls,
    intrinsics: Tensor | None,
    focus_point: FocusPoint,
) -> Tensor:
    """Return the disparity of a turned plane of focus, [B,H,W], 1/m."""
    if intrinsics is None:
        name = "tilt" if controls.tilt else "swing"
        raise ValueError(
            f"{name}: turning the plane of focus needs depth in metres with intrinsics, and this "
            "depth has none. Use 0, or metric depth of a known camera."
        )
    points = as_focus_points(focus_point, len(depth)).to(depth)
    size = (depth.shape[1], depth.shape[2])
    camera = intrinsics.to(depth)
    return focus_disparity(planes, controls.tilt, controls.swing, camera, points, size)


def as_focus_points(focus_point: FocusPoint, batch: int) -> Tensor:
    """Return focus points as [batch,2] float32, (x, y) in shares, from one point or [B,2].

    Raises:
        ValueError: another number of points than pictures.

    Example:
        >>> as_focus_points((0.5, 0.25), batch=2).tolist()
        [[0.5, 0.25], [0.5, 0.25]]
    """
    points = torch.as_tensor(focus_point, dtype=torch.float32).reshape(-1, 2)
    if len(points) not in (1, batch):
        raise ValueError(
            f"focus_point: {len(points)} points for a batch of {batch}. Give one, or one for each."
        )
    return points.expand(batch, -1)


def strength_in_px(strength: float, unit: str, width: int) -> float:
    """Return bokeh strength K in px·m from a strength in one of the `STRENGTH_UNITS`.

    A percentage of the picture's width gives the same look at every size of a picture. Without
    metres (relative depth) it is the blur radius between white and black, in % of the width.

    Args:
        strength: in px·m, or in % of the width times metres.
        unit: "px·m" or "% of width".
        width: of the picture, px.

    Raises:
        ValueError: another unit, or a strength that is negative or not finite.

    Reference:
        K is proportional to the picture's width, as `bokeh_strength_from_lens` shows; so K =
        strength · width / 100.

    Example:
        >>> strength_in_px(2.0, "% of width", 1200), strength_in_px(24.0, "px·m", 1200)
        (24.0, 24.0)
    """
    value = check_number(strength, "strength", 0.0)
    if unit not in STRENGTH_UNITS:
        raise ValueError(
            f"strength_unit: unknown {unit!r}. Use one of {', '.join(STRENGTH_UNITS)}."
        )
    return value if unit == "px·m" else value * width / 100
