"""The pinhole camera: focal lengths in px, intrinsics, viewing rays, points and normals."""

import torch
from torch import Tensor

from ..checks import check_depth, check_number, check_shape
from ..devices import exact_float32
from .thin_lens import sensor_width_mm


def focal_length_px_from_mm(focal_length_mm: float, sensor_width: float, width: int) -> float:
    """Return the focal length in px of a lens on a sensor.

    Args:
        focal_length_mm: real focal length, mm, > 0.
        sensor_width: width of the sensor part that the picture shows, mm, > 0.
        width: picture width, px.

    Raises:
        ValueError: a value that is not a positive finite number.

    Reference:
        Pinhole camera: f_px = f W / w.

    Example:
        >>> focal_length_px_from_mm(50.0, sensor_width=36.0, width=3600)
        5000.0
    """
    focal = check_number(focal_length_mm, "focal_length_mm", above=0)
    sensor = check_number(sensor_width, "sensor_width_mm", above=0)
    return focal * check_number(width, "width", above=0) / sensor


def focal_length_px_from_35mm(focal_length_35mm: float, width: int, height: int) -> float:
    """Return the focal length in px from the 35 mm-equivalent one: equal view on the diagonal.

    Args:
        focal_length_35mm: 35 mm-equivalent focal length, mm, > 0.
        width: picture width, px.
        height: picture height, px.

    Raises:
        ValueError: a value that is not a positive finite number.

    Reference:
        CIPA DCG-001: equivalent means the same angle of view over the diagonal.

    Example:
        >>> round(focal_length_px_from_35mm(50.0, width=3600, height=2400))
        5000
    """
    focal = check_number(focal_length_35mm, "focal_length_35mm", above=0)
    return focal_length_px_from_mm(focal, sensor_width_mm(focal, focal, width, height), width)


def intrinsics_from_focal_length(
    focal_length_px: float, width: int, height: int, batch: int = 1
) -> Tensor:
    """Return camera matrices [batch,3,3], px: square pixels, principal point at the centre.

    Args:
        focal_length_px: focal length, px, > 0.
        width: picture width, px.
        height: picture height, px.
        batch: number of equal matrices.

    Raises:
        ValueError: a focal length or size that is not a positive finite number.

    Reference:
        Hartley and Zisserman, Multiple View Geometry, ch. 6: [[f, 0, W/2], [0, f, H/2], [0, 0, 1]].

    Example:
        >>> intrinsics_from_focal_length(500.0, width=64, height=48)[0, 0].tolist()
        [500.0, 0.0, 32.0]
    """
    focal = check_number(focal_length_px, "focal_length_px", above=0)
    centre_x = check_number(width, "width", above=0) / 2
    centre_y = check_number(height, "height", above=0) / 2
    matrix = torch.tensor([[focal, 0.0, centre_x], [0.0, focal, centre_y], [0.0, 0.0, 1.0]])
    return matrix.repeat(batch, 1, 1)


def pixel_rays(intrinsics: Tensor, height: int, width: int) -> Tensor:
    """Return the viewing ray of every pixel centre, [B,H,W,3], scaled to z = 1.

    Args:
        intrinsics: [B,3,3], px; the first pixel's centre is at 0.5.
        height: picture height, px.
        width: picture width, px.

    Raises:
        ValueError: intrinsics of another shape.

    Reference:
        Hartley and Zisserman, ch. 6: the ray of pixel x is K⁻¹ x.

    Example:
        >>> pixel_rays(intrinsics_from_focal_length(10.0, 1, 1), 1, 1)[0, 0, 0]  # on the axis
        tensor([0., 0., 1.])
    """
    check_shape(intrinsics, "intrinsics", "B 3 3")
    rows = torch.arange(height, device=intrinsics.device, dtype=intrinsics.dtype) + 0.5
    columns = torch.arange(width, device=intrinsics.device, dtype=intrinsics.dtype) + 0.5
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    with exact_float32():
        return torch.einsum("bij,hwj->bhwi", torch.linalg.inv(intrinsics), pixels)


def unproject(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Return the point seen by every pixel, [B,H,W,3], m: x right, y down, z forward.

    Args:
        depth: [B,H,W], m, > 0; where it is infinite, all three coordinates are.
        intrinsics: [B,3,3] or [1,3,3], px.

    Raises:
        ValueError: unusable depth, or another number of cameras than depth maps.

    Reference:
        Hartley and Zisserman, ch. 6: X = Z K⁻¹ x.

    Example:
        >>> unproject(torch.tensor([[[2.0]]]), intrinsics_from_focal_length(10.0, 1, 1))[0, 0, 0]
        tensor([0., 0., 2.])
    """
    size = check_depth(depth)
    cameras = check_shape(intrinsics, "intrinsics", "B 3 3")["B"]
    if cameras not in (1, size["B"]):
        raise ValueError(
            f"intrinsics: {cameras} cameras for {size['B']} depth maps. Give one, or one for each."
        )
    rays = pixel_rays(intrinsics.to(depth), size["H"], size["W"])
    reach = depth[..., None]
    return torch.where(torch.isfinite(reach), rays * reach, torch.inf)
