"""Thin-lens optics: bokeh strength, disparity, circle of confusion and the focus plane."""

import math

import torch
from torch import Tensor

from ..checks import check_depth, check_number, check_shape

FULL_FRAME_DIAGONAL_MM = 43.27  # 36 mm × 24 mm
LARGEST_STRENGTH = 1e8  # px·m; over the smallest depth that is allowed still a float32
LENS_NUMBERS = (
    1e-6,
    1e9,
)  # lengths and f-numbers: beyond any lens, and nothing overflows


def sensor_width_mm(
    focal_length_mm: float, focal_length_35mm: float, width: int, height: int
) -> float:
    """Return the sensor width in mm that a lens's 35 mm-equivalent focal length implies.

    Args:
        focal_length_mm: real focal length, mm, > 0.
        focal_length_35mm: focal length giving the same view on 36 mm × 24 mm, mm, > 0.
        width: picture width, px.
        height: picture height, px.

    Raises:
        ValueError: a value that is not a positive finite number.

    Reference:
        arXiv 2512.12425: w = (f / f35) · 43.27 / sqrt(1 + (H/W)²).

    Example:
        >>> round(sensor_width_mm(50.0, 50.0, width=3600, height=2400), 1)  # full frame
        36.0
    """
    focal = check_number(focal_length_mm, "focal_length_mm", *LENS_NUMBERS, above=0)
    focal_35 = check_number(focal_length_35mm, "focal_length_35mm", *LENS_NUMBERS, above=0)
    width_px = check_number(width, "width", above=0)
    aspect = check_number(height, "height", above=0) / width_px
    return focal / focal_35 * FULL_FRAME_DIAGONAL_MM / math.sqrt(1.0 + aspect * aspect)


def _strength_times_f_number(
    focal_length_mm: float,
    focal_length_35mm: float,
    focus_distance_m: float,
    width: int,
    height: int,
) -> float:
    """Return K·N, px·m: what of the thin-lens formula the f-number divides."""
    sensor = sensor_width_mm(focal_length_mm, focal_length_35mm, width, height)
    focal_m = focal_length_mm / 1000.0
    if focus_distance_m == math.inf:  # s / (s - f) is 1 there
        return focal_m * focal_m / 2.0 * 1000.0 * width / sensor
    focus_m = check_number(focus_distance_m, "focus_distance_m", *LENS_NUMBERS, above=0)
    if focus_m <= focal_m:
        raise ValueError(
            f"focus_distance_m: {focus_m:g} m lies inside the focal length ({focal_m:g} m), "
            "where no image forms. Give a larger distance."
        )
    return focal_m * focal_m * focus_m / (2.0 * (focus_m - focal_m)) * 1000.0 * width / sensor


def bokeh_strength_from_lens(
    f_number: float,
    focal_length_mm: float,
    focal_length_35mm: float,
    focus_distance_m: float,
    width: int,
    height: int,
) -> float:
    """Return the bokeh strength K of a real lens, px·m.

    Args:
        f_number: aperture number N, > 0.
        focal_length_mm: real focal length, mm, > 0.
        focal_length_35mm: 35 mm-equivalent focal length, mm, > 0; equal to the real one on a
            full-frame camera.
        focus_distance_m: distance of the focus plane, m, beyond the focal length; infinity is
            allowed.
        width: picture width, px.
        height: picture height, px.

    Raises:
        ValueError: another value that is not a positive finite number, or focus inside the focal
            length.

    Reference:
        Thin lens, arXiv 2512.12425: K = f² s / (2 N (s − f)) · W / w;
        at infinity f² / (2 N) · W / w.

    Example:
        >>> round(bokeh_strength_from_lens(1.8, 85.0, 85.0, 2.0, width=1200, height=800), 1)
        69.9
    """
    number = check_number(f_number, "f_number", *LENS_NUMBERS, above=0)
    product = _strength_times_f_number(
        focal_length_mm, focal_length_35mm, focus_distance_m, width, height
    )
    return product / number


def f_number_from_bokeh_strength(
    strength: float,
    focal_length_mm: float,
    focal_length_35mm: float,
    focus_distance_m: float,
    width: int,
    height: int,
) -> float:
    """Return the aperture number that gives bokeh strength K: the inverse of the lens formula.

    Args:
        strength: bokeh strength K, px·m, > 0.
        focal_length_mm: real focal length, mm, > 0.
        focal_length_35mm: 35 mm-equivalent focal length, mm, > 0.
        focus_distance_m: distance of the focus plane, m, beyond the focal length; infinity is
            allowed.
        width: picture width, px.
        height: picture height, px.

    Raises:
        ValueError: as `bokeh_strength_from_lens`.

    Reference:
        Thin lens, arXiv 2512.12425: N = f² s / (2 K (s − f)) · W / w.

    Example:
        >>> strength = bokeh_strength_from_lens(1.8, 85.0, 85.0, 2.0, width=1200, height=800)
        >>> round(f_number_from_bokeh_strength(strength, 85.0, 85.0, 2.0, 1200, 800), 6)
        1.8
    """
    wanted = check_number(strength, "strength", 1 / LARGEST_STRENGTH, LARGEST_STRENGTH, above=0)
    product = _strength_times_f_number(
        focal_length_mm, focal_length_35mm, focus_distance_m, width, height
    )
    return product / wanted


def defocus(depth: Tensor, strength: float, focus_depth: float | Tensor) -> Tensor:
    """Return the signed defocus at every pixel, in px; in front of the focus plane positive.

    Args:
        depth: [B,H,W], m, > 0; infinity is allowed.
        strength: bokeh strength K, px·m, >= 0.
        focus_depth: number or [B], depth of the focus plane, m, > 0; infinity is allowed.

    Returns:
        [B,H,W], px.

    Raises:
        ValueError: unusable depth, strength or focus depth.

    Reference:
        Thin lens, arXiv 2512.12425: K (1/Z − 1/Z_f).

    Example:
        >>> defocus(torch.tensor([[[1.0, 2.0, 4.0]]]), strength=20.0, focus_depth=2.0)
        tensor([[[10.,  0., -5.]]])
    """
    batch = check_depth(depth)["B"]
    check_number(strength, "strength", 0.0, LARGEST_STRENGTH)
    planes = as_focus_depth(focus_depth, batch).to(depth)
    return strength * (torch.reciprocal(depth) - torch.reciprocal(planes)[:, None, None])


def coc_radius(depth: Tensor, strength: float, focus_depth: float | Tensor) -> Tensor:
    """Return the radius of the circle of confusion at every pixel, [B,H,W], px, >= 0.

    Arguments and errors are those of `defocus`, whose absolute value this is.

    Reference:
        Thin lens, arXiv 2512.12425: r = K |1/Z − 1/Z_f|.

    Example:
        >>> coc_radius(torch.tensor([[[1.0, 2.0, 4.0]]]), strength=20.0, focus_depth=2.0)
        tensor([[[10.,  0.,  5.]]])
    """
    return defocus(depth, strength, focus_depth).abs()


def as_focus_depth(focus_depth: float | Tensor, batch: int) -> Tensor:
    """Return focus depths as [batch] float32 tensor, m, from one number or [batch] or [1].

    Raises:
        ValueError: another number of focus planes, or one that is NaN, zero or negative.

    Example:
        >>> as_focus_depth(2.0, batch=3)
        tensor([2., 2., 2.])
    """
    planes = torch.as_tensor(focus_depth, dtype=torch.float32).reshape(-1)
    if planes.numel() == 1:
        planes = planes.expand(batch)
    check_shape(planes, "focus_depth", "B")
    if planes.numel() != batch:
        raise ValueError(
            f"focus_depth: {planes.numel()} focus planes for a batch of {batch}. "
            "Give one for all, or one for each picture."
        )
    if not (planes > 0).all():
        raise ValueError(
            f"focus_depth: must be positive, found {float(planes.min()):g} m. "
            "Give the distance of the plane that is to be sharp."
        )
    return planes


def focus_depth_at(
    depth: Tensor, x: float, y: float, mask: Tensor | None = None, window: float = 0.01
) -> Tensor:
    """Return the depth of the focus plane chosen by a point or a mask, [B], m.

    The median disparity over the chosen pixels: unmoved by a few pixels across a depth edge, and
    defined where the sky (infinity) is among them.

    Args:
        depth: [B,H,W], m, > 0; infinity is allowed.
        x: point, 0 (left edge) … 1 (right edge).
        y: point, 0 (top edge) … 1 (bottom edge).
        mask: [B,H,W] or [1,H,W], 0…1; where given, pixels of at least 0.5 decide, not the point.
        window: side of the square around the point, as a share of the picture's shorter side.

    Raises:
        ValueError: unusable depth, a point outside the picture, or a mask of another size or
            without a chosen pixel.

    Reference:
        Huber, "Robust Statistics", Wiley 1981: the median bears up to half of its values being
        wrong.

    Example:
        >>> depth = torch.full((1, 40, 60), 5.0)
        >>> depth[:, 10:30, 20:40] = 1.5
        >>> focus_depth_at(depth, x=0.5, y=0.5)
        tensor([1.5000])
    """
    size = check_depth(depth)
    if mask is not None:
        chosen = _chosen_pixels(mask, depth)
        return torch.stack([_median_depth(d[m]) for d, m in zip(depth, chosen, strict=True)])
    hint = "Points are shares of width and height."
    column = check_number(x, "focus_x", 0.0, 1.0, hint=hint) * size["W"]
    row = check_number(y, "focus_y", 0.0, 1.0, hint=hint) * size["H"]
    reach = max(0, round(window * min(size["H"], size["W"]) / 2))
    col, line = min(int(column), size["W"] - 1), min(int(row), size["H"] - 1)
    patch = depth[:, max(0, line - reach) : line + reach + 1, max(0, col - reach) : col + reach + 1]
    return torch.stack([_median_depth(one) for one in patch])


def _chosen_pixels(mask: Tensor, depth: Tensor) -> Tensor:
    check_shape(mask, "focus_mask", "B H W")
    if mask.shape[1:] != depth.shape[1:] or mask.shape[0] not in (1, depth.shape[0]):
        raise ValueError(
            f"focus_mask: expected {list(depth.shape)} like depth, found {list(mask.shape)}. "
            "Draw the mask on the same picture."
        )
    chosen = (mask >= 0.5).expand(depth.shape[0], -1, -1).to(depth.device)
    if not chosen.flatten(1).any(dim=1).all():
        raise ValueError("focus_mask: no pixel is chosen. Paint the part that is to be sharp.")
    return chosen


def _median_depth(depth: Tensor) -> Tensor:
    return torch.reciprocal(torch.reciprocal(depth.flatten()).median())
