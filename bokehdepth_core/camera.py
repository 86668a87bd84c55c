"""The pinhole camera: focal lengths, what a photo tells about its lens, points and normals."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .checks import check_depth, check_number, check_shape
from .optics import sensor_width_mm

# EXIF 2.32: tag numbers of the Exif directory.
_EXIF_DIRECTORY = 0x8769
_EXIF_TAGS = {
    "f_number": 0x829D,  # FNumber
    "focus_distance_m": 0x9206,  # SubjectDistance, m
    "focal_length_mm": 0x920A,  # FocalLength
    "focal_length_35mm": 0xA405,  # FocalLengthIn35mmFilm
}


@dataclass(frozen=True)
class PhotoLens:
    """What a photo's EXIF data tells about its lens; None where it says nothing.

    Attributes:
        f_number: aperture number.
        focal_length_mm: real focal length, mm.
        focal_length_35mm: focal length giving the same view on 36 mm × 24 mm, mm.
        focus_distance_m: distance of the focus plane, m; infinity is possible.
    """

    f_number: float | None = None
    focal_length_mm: float | None = None
    focal_length_35mm: float | None = None
    focus_distance_m: float | None = None


def read_photo_lens(path: str | Path) -> PhotoLens:
    """Return the lens data in a photo's EXIF; zero and unreadable entries count as missing.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is not a readable picture.
    """
    from .files import open_image  # the file reader needs Pillow; optics alone does not

    with open_image(path) as image:
        tags = image.getexif().get_ifd(_EXIF_DIRECTORY)
    return PhotoLens(**{name: _positive(tags, tag) for name, tag in _EXIF_TAGS.items()})


def _positive(tags: Mapping[int, object], tag: int) -> float | None:
    try:
        value = float(tags[tag])  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None  # NaN (0/0) is not above zero either


def focal_length_px_from_mm(focal_length_mm: float, sensor_width: float, width: int) -> float:
    """Return the focal length in px of a lens on a sensor.

    Args:
        focal_length_mm: real focal length, mm, > 0.
        sensor_width: width of the sensor part that the picture shows, mm, > 0.
        width: picture width, px.

    Raises:
        ValueError: a value that is not a positive finite number.
    """
    focal = check_number(focal_length_mm, "focal_length_mm", above=0)
    sensor = check_number(sensor_width, "sensor_width_mm", above=0)
    return focal * check_number(width, "width", above=0) / sensor


def focal_length_px_from_35mm(focal_length_35mm: float, width: int, height: int) -> float:
    """Return the focal length in px from the 35 mm-equivalent one: equal view on the diagonal.

    Raises:
        ValueError: a value that is not a positive finite number.
    """
    focal = check_number(focal_length_35mm, "focal_length_35mm", above=0)
    return focal_length_px_from_mm(focal, sensor_width_mm(focal, focal, width, height), width)


def intrinsics_from_focal_length(
    focal_length_px: float, width: int, height: int, batch: int = 1
) -> Tensor:
    """Return camera matrices [batch,3,3], px: square pixels, principal point at the centre.

    Raises:
        ValueError: a focal length or size that is not a positive finite number.
    """
    focal = check_number(focal_length_px, "focal_length_px", above=0)
    centre_x = check_number(width, "width", above=0) / 2
    centre_y = check_number(height, "height", above=0) / 2
    matrix = torch.tensor([[focal, 0.0, centre_x], [0.0, focal, centre_y], [0.0, 0.0, 1.0]])
    return matrix.repeat(batch, 1, 1)


def intrinsics_from_photo(path: str | Path, width: int, height: int) -> Tensor | None:
    """Return the camera matrix [1,3,3], px, that a photo's EXIF implies; None where it is silent.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is not a readable picture.
    """
    focal = read_photo_lens(path).focal_length_35mm
    if focal is None:
        return None
    return intrinsics_from_focal_length(
        focal_length_px_from_35mm(focal, width, height), width, height
    )


def pixel_rays(intrinsics: Tensor, height: int, width: int) -> Tensor:
    """Return the viewing ray of every pixel centre, [B,H,W,3], scaled to z = 1.

    Args:
        intrinsics: [B,3,3], px; the first pixel's centre is at 0.5.
        height: picture height, px.
        width: picture width, px.

    Raises:
        ValueError: intrinsics of another shape.
    """
    check_shape(intrinsics, "intrinsics", "B 3 3")
    rows = torch.arange(height, device=intrinsics.device, dtype=intrinsics.dtype) + 0.5
    columns = torch.arange(width, device=intrinsics.device, dtype=intrinsics.dtype) + 0.5
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    return torch.einsum("bij,hwj->bhwi", torch.linalg.inv(intrinsics), pixels)


def unproject(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Return the point seen by every pixel, [B,H,W,3], m: x right, y down, z forward.

    Args:
        depth: [B,H,W], m, > 0; where it is infinite, all three coordinates are.
        intrinsics: [B,3,3] or [1,3,3], px.

    Raises:
        ValueError: unusable depth, or another number of cameras than depth maps.
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


def normals_from_points(points: Tensor) -> Tensor:
    """Return the unit surface normal at every pixel, [B,H,W,3], towards the camera.

    Along each axis the neighbour nearer in depth gives the tangent, so that a normal beside a
    depth edge belongs to its own surface. Zero where no surface is: at infinity, or without a
    finite neighbour.

    Args:
        points: [B,H,W,3], m, x right, y down, z forward, as from `unproject`.

    Raises:
        ValueError: points of another shape.
    """
    check_shape(points, "points", "B H W 3")
    across, down = _tangent(points, 2), _tangent(points, 1)
    normal = torch.linalg.cross(down, across)
    length = normal.norm(dim=-1, keepdim=True)
    usable = torch.isfinite(length) & (length > 0) & torch.isfinite(points).all(-1, keepdim=True)
    unit = torch.where(usable, normal / length, 0.0)
    away = (unit * torch.where(usable, points, 0.0)).sum(-1, keepdim=True) > 0
    return torch.where(away, -unit, unit)


def _tangent(points: Tensor, dim: int) -> Tensor:
    size = points.shape[dim]
    if size == 1:
        return torch.full_like(points, torch.nan)
    step = points.diff(dim=dim)
    gap = torch.full_like(points.narrow(dim, 0, 1), torch.nan)
    ahead = torch.cat([step, gap], dim)
    behind = torch.cat([gap, step], dim)

    def depth_step(tangent: Tensor) -> Tensor:
        return tangent[..., 2:].abs().nan_to_num(nan=torch.inf)

    return torch.where(depth_step(ahead) <= depth_step(behind), ahead, behind)
