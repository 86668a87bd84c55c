"""A plane of focus that is turned: what a lens does when it is tilted against the sensor.

Where the planes of lens and sensor meet, the plane of focus meets them too (Scheimpflug), so a
tilted lens keeps a receding floor or wall sharp. Along the ray of every pixel the blur is that of a
thin lens focused where this ray meets the plane.
"""

import math

import torch
from torch import Tensor

from ...checks import check_number, check_shape
from ...devices import exact_dtype
from ..camera import pixel_rays

LARGEST_TILT = 89.0  # degrees; a plane seen from its edge has no depth
SMALLEST_FACING = 0.02  # n·r of the focus point's ray: less, and the plane passes the camera


def check_tilt(tilt: float, swing: float) -> None:
    """Check the angles of a plane of focus, degrees.

    Raises:
        ValueError: not within ± 89°.
    """
    hint = "It is the angle of the plane of focus, degrees."
    check_number(tilt, "tilt", -LARGEST_TILT, LARGEST_TILT, hint=hint)
    check_number(swing, "swing", -LARGEST_TILT, LARGEST_TILT, hint=hint)


def focus_disparity(
    focus_depth: Tensor,
    tilt: float,
    swing: float,
    intrinsics: Tensor,
    point: Tensor,
    size: tuple[int, int],
) -> Tensor:
    """Return the disparity of the plane of focus along the ray of every pixel, [B,H,W], 1/m.

    The plane goes through the focus point. It is Z + Y tan(tilt) − X tan(swing) = constant, so a
    positive tilt leads its upper part away from the camera, a positive swing its right part. Where
    a ray meets it behind the camera, the disparity is negative.

    Args:
        focus_depth: [B], m, depth of the focus point; infinity is allowed.
        tilt: degrees, about the horizontal axis.
        swing: degrees, about the vertical axis.
        intrinsics: [B,3,3] or [1,3,3], px.
        point: [B,2] or [1,2], the focus point, (x, y) in shares of the picture.
        size: (height, width) of the picture, px.

    Raises:
        ValueError: angles outside ± 89°, intrinsics of another shape, or a plane that is seen from
            its edge or its back at the focus point.

    Reference:
        With a lens whose axis is m, a point at depth Z along a ray r images at the depth Z' of that
        ray with 1/Z + 1/Z' = (m·r)/f. So on a sensor at depth S the plane 1/Z_f(r) = (m·r)/f − 1/S,
        linear over the picture, is sharp, and the blur is K |1/Z − 1/Z_f(r)| as without tilt.

    Example:
        >>> from ..camera import intrinsics_from_focal_length
        >>> camera, middle = intrinsics_from_focal_length(1.5, 3, 3), torch.tensor([[0.5, 0.5]])
        >>> plane = focus_disparity(torch.tensor([2.0]), 45.0, 0.0, camera, middle, (3, 3))
        >>> (1 / plane[0, :, 1]).tolist()  # m, from the top down: the upper part is farther
        [6.0, 2.0, 1.2000000476837158]
    """
    check_tilt(tilt, swing)
    check_shape(intrinsics, "intrinsics", "B 3 3")
    exact = intrinsics.to(exact_dtype(intrinsics.device))
    normal = exact.new_tensor([-math.tan(math.radians(swing)), math.tan(math.radians(tilt)), 1.0])
    rays = pixel_rays(exact, *size)
    sides = exact.new_tensor([size[1], size[0]])
    pixel = torch.cat([point.to(exact) * sides, torch.ones_like(point[:, :1]).to(exact)], dim=1)
    towards = (torch.linalg.inv(exact) @ pixel[..., None])[..., 0]
    facing = (towards * normal).sum(-1)
    if bool((facing < SMALLEST_FACING).any()):
        name, angle = ("tilt", tilt) if abs(tilt) >= abs(swing) else ("swing", swing)
        raise ValueError(
            f"{name}: at {angle:g}° the plane of focus is not seen from its front at the focus "
            "point. Use a smaller angle, or a focus point nearer to the middle."
        )
    share = (rays * normal).sum(-1) / facing[:, None, None]
    plane: Tensor = share / focus_depth.to(exact)[:, None, None]
    return plane.to(focus_depth)
