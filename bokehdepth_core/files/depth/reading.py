"""Any depth file as a depth map: what it holds, what its numbers are, and what was guessed.

`read_depth` returns the map alone; `read_depth_file` also the photo that lies in the same file and
a report of everything that was chosen or guessed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...checks import check_number
from ...datatypes import DepthMap
from ..pictures.opening import plain_errors
from .arrays import read_npy, read_npz
from .exr_channels import read_exr_depth
from .holes import fill_holes, hole_mask
from .pfm import read_pfm
from .pictures import read_picture_depth
from .portraits.reading import is_photo_container, read_portrait
from .raw import RawDepth
from .units import Planes, check_values, to_depth

FILL, FAR = "fill", "far"
HOLES = (FILL, FAR)
_FAR_FROM_METRES = 500.0  # m; a median beyond it is said to be doubtful
_NORMALISED_FOCAL = 10.0  # focal lengths in shares of the picture lie below, those in px above


@dataclass(frozen=True, eq=False)
class DepthFile:
    """What a depth file gave.

    Attributes:
        depth: one map, [1,H,W].
        photo: [h,w,3], sRGB, 0…1, where the file holds the photo too; its size may differ.
        report: a line for everything that was chosen or guessed. Options are in backticks by the
            names of `read_depth_file`.
        nan_pixels: how many of its numbers are NaN; holes like all that is not measured.

    Reference:
        `read_depth_file`, which names the formats.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "plain.npy"
        >>> np.save(path, np.array([[1.5, 2.0], [np.nan, 4.5]], np.float32))
        >>> file = read_depth_file(path)
        >>> file.nan_pixels, file.photo is None
        (1, True)
    """

    depth: DepthMap
    photo: Tensor | None
    report: tuple[str, ...]
    nan_pixels: int = 0


def read_depth(
    path: str | Path,
    scale: float | None = None,
    *,
    values: str = "automatic",
    channel: str = "",
    holes: str = FILL,
    invert: bool = False,
    photo: Tensor | None = None,
    intrinsics: Tensor | None = None,
) -> DepthMap:
    """Return the depth map in a file, [1,H,W]; as `read_depth_file`, without photo and report.

    Reference:
        `read_depth_file`, which names the formats.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "sensor.npy"
        >>> np.save(path, np.array([[0, 1500], [2000, 4500]], np.uint16))
        >>> read_depth(path).depth.tolist()
        [[[inf, 1.5], [2.0, 4.5]]]
    """
    found = _read(path, scale, values, channel, holes, invert, intrinsics)
    if holes == FILL and photo is not None:
        return fill_holes(found[1], photo)
    return found[1]


def read_depth_file(
    path: str | Path,
    scale: float | None = None,
    *,
    values: str = "automatic",
    channel: str = "",
    holes: str = FILL,
    invert: bool = False,
    photo: Tensor | None = None,
    intrinsics: Tensor | None = None,
    fill_alone: bool = False,
) -> DepthFile:
    """Return the depth in a file, the photo beside it, and how both were read.

    EXR (any part, layer and channel; deep), NPZ, NPY, PFM, TIFF, PNG and other pictures, and photos
    that carry depth: iPhone HEIC, GDepth and Dynamic Depth JPEG. What the numbers are is decided by
    the file's own word, else by the numbers, unless `values` says it.

    Args:
        path: the file.
        scale: metres for one unit of the file's numbers; None as the file says. For disparity:
            focal length in px times baseline in m, or the distance of a picture's white.
        values: "automatic", "metres", "millimetres", "distance" (along the ray, m), "disparity"
            (near is white) or "depth" (near is black).
        channel: of an EXR, or array of an NPZ; empty looks for it.
        holes: "fill" fills them along the photo where one is given or lies in the file, and leaves
            them infinitely far with confidence 0 elsewhere; "far" takes them for sky.
        invert: swap near and far.
        photo: [H,W,3], sRGB, 0…1: the picture that the depth is of.
        intrinsics: [1,3,3] or [3,3], px of the depth or shares of its width and height: the
            camera where the file knows none; it turns ray distance into depth.
        fill_alone: fill holes by distance alone where there is no photo.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged or unknown file, colour in place of depth, or an unknown option.

    Reference:
        OpenEXR File Layout, openexr.com. NPY and NPZ: NumPy Enhancement Proposal 1. P. Debevec,
        PFM. TIFF 6.0. Portable Network Graphics, W3C. Google, Depthmap Metadata (GDepth) and
        Dynamic Depth 1.0. ISO/IEC 23008-12: HEIC. Each reader names the sections it follows.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "sensor.npy"
        >>> np.save(path, np.array([[0, 1500], [2000, 4500]], np.uint16))
        >>> for line in read_depth_file(path).report:
        ...     print(line)
        read as millimetres (1500 … 4500 of 65535); `values` or `scale` changes that
        holes: 1 of 4 pixels not measured (25 %), left infinitely far
    """
    raw, depth, lines = _read(path, scale, values, channel, holes, invert, intrinsics)
    inside = None if raw.photo is None else raw.photo()
    guide = inside if photo is None else photo
    missing = hole_mask(depth)
    if missing.any():
        fills = holes == FILL and (guide is not None or fill_alone)
        done = "left infinitely far"
        if fills:
            depth = fill_holes(depth, guide)
            alone = "from what is measured around them; `photo` gives colours to go along"
            done = f"filled {alone if guide is None else 'along the colours of the photo'}"
        lines = (*lines, holes_line(missing, done))
    broken = int(np.isnan(raw.values).sum()) if raw.values.dtype.kind == "f" else 0
    return DepthFile(depth, inside, lines, broken)


def holes_line(missing: Tensor, done: str) -> str:
    """Return how many pixels are not measured, bool of any shape, and what was done about it."""
    count, total = int(missing.sum()), missing.numel()
    share = f"{100 * count / total:.0f}" if count >= 0.01 * total else "<1"
    return f"holes: {count} of {total} pixels not measured ({share} %), {done}"


def _read(
    path: str | Path,
    scale: float | None,
    values: str,
    channel: str,
    holes: str,
    invert: bool,
    intrinsics: Tensor | None,
) -> tuple[RawDepth, DepthMap, tuple[str, ...]]:
    check_values(values)
    if holes not in HOLES:
        raise ValueError(f"holes: expected fill or far, found {holes!r}. Use one of them.")
    if scale is not None:
        scale = check_number(scale, "depth_scale", above=0)
    source = Path(path)
    raw = _read_raw(source, channel)
    try:
        planes = to_depth(raw, values, scale, invert)
        camera, said = _camera(raw, intrinsics)
        depth, ray_line = _along_axis(planes, camera)
        confidence = _confidence(raw, planes, holes)
        found = DepthMap(
            torch.from_numpy(depth)[None],
            None if confidence is None else torch.from_numpy(confidence)[None],
            None if camera is None else torch.from_numpy(camera)[None],
            planes.metric,
        )
    except ValueError as error:
        raise ValueError(f"{source.name}: {error}") from error
    extra = [*ray_line, *said, *_doubts(planes)]
    if holes == FAR and planes.holes.any():
        count = int(planes.holes.sum())
        extra.append(f"holes: {count} of {planes.holes.size} pixels taken for sky")
    return raw, found, (*raw.notes, planes.line, *extra)


def _read_raw(source: Path, channel: str) -> RawDepth:
    """Return what a file holds; its first bytes tell the kind, its suffix where they do not."""
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such depth file. Check the path.")
    with source.open("rb") as file, plain_errors(source):  # a disk may fail
        head = file.read(16)
    suffix = source.suffix.lower()
    if suffix == ".ply" or head.startswith(b"ply\n"):
        raise ValueError(f"{source.name}: a point cloud has no pixels. Give .exr, .png or .npz.")
    if head.startswith(b"\x76\x2f\x31\x01") or suffix == ".exr":
        return read_exr_depth(source, channel)
    if head.startswith(b"PK\x03\x04") or suffix == ".npz":
        return read_npz(source, channel)
    if channel:
        raise ValueError(
            f"{source.name}: `channel` is for EXR and NPZ files, and this is another. Leave it out."
        )
    if head.startswith(b"\x93NUMPY") or suffix == ".npy":
        return read_npy(source)
    if (head[:2] in (b"PF", b"Pf") and head[2:3].isspace()) or suffix == ".pfm":
        return read_pfm(source)
    if is_photo_container(source):
        portrait = read_portrait(source)
        if portrait is not None:
            return portrait
    return read_picture_depth(source)


def _confidence(raw: RawDepth, planes: Planes, holes: str) -> np.ndarray | None:
    """Return confidence [H,W]: 0 at holes that are to be filled, else the file's own, or None."""
    given = None
    if raw.confidence is not None:
        given = np.nan_to_num(raw.confidence.astype(np.float32), nan=0.0)
        if given.shape != planes.depth.shape:
            raise ValueError(
                f"confidence: {list(given.shape)} for depth of {list(planes.depth.shape)}. "
                "Save both at one size."
            )
        high = float(given.max())
        given = (given / high if high > 1 else given).clip(0, 1)
    if not planes.holes.any() or holes == FAR:
        return given
    sure = np.ones(planes.depth.shape, np.float32) if given is None else given
    return np.where(planes.holes, np.float32(0), sure)


def _camera(raw: RawDepth, intrinsics: Tensor | None) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return the camera matrix [3,3] in px, and a line where it had to be understood.

    Raises:
        ValueError: numbers that are no camera.
    """
    if raw.intrinsics is not None:
        given = np.asarray(raw.intrinsics)
    elif intrinsics is not None:
        given = intrinsics.detach().cpu().numpy()
    else:
        return None, ()
    height, width = raw.values.shape
    matrix = camera_matrix(given)
    shares = 0 <= matrix[0, 2] <= 1 and 0 <= matrix[1, 2] <= 1 and min(width, height) > 4
    if shares and matrix[0, 0] < _NORMALISED_FOCAL:
        matrix = (matrix * np.array([[width], [height], [1]])).astype(np.float32)
        told = raw.intrinsics is not None
        return matrix, ("intrinsics are in shares of the picture, made px",) if told else ()
    if matrix[0, 2] > width or matrix[1, 2] > height:
        return None, (
            f"intrinsics left out: their centre ({matrix[0, 2]:.0f}, {matrix[1, 2]:.0f}) lies "
            f"outside of {width}x{height} px",
        )
    return matrix, ()


def camera_matrix(numbers: np.ndarray) -> np.ndarray:
    """Return a camera matrix [3,3] of one in another form.

    Args:
        numbers: [3,3], [1,3,3], nine numbers by rows, or fx, fy, cx, cy.

    Raises:
        ValueError: another shape, no real numbers, a focal length that is not above zero, or a
            matrix that is no camera's.

    >>> camera_matrix(np.array([2.0, 2.0, 0.5, 0.4])).tolist()[0]
    [2.0, 0.0, 0.5]
    """
    if np.size(numbers) not in (4, 9) or np.asarray(numbers).dtype.kind not in "iuf":
        raise ValueError(
            f"intrinsics: expected [3,3] or fx, fy, cx, cy, found {list(np.shape(numbers))} of "
            f"{np.asarray(numbers).dtype}. Save them as a matrix."
        )
    with np.errstate(over="ignore"):
        flat = np.array(numbers, np.float32).reshape(-1)
    if flat.size == 4:
        fx, fy, cx, cy = flat
        flat = np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1], np.float32)
    if not np.isfinite(flat).all():
        raise ValueError("intrinsics: hold NaN or infinite numbers. Save them again.")
    matrix = flat.reshape(3, 3)
    if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise ValueError("intrinsics: the focal length must be above 0. Save them again.")
    if matrix[1, 0] or matrix[2].tolist() != [0, 0, 1]:
        raise ValueError(
            f"intrinsics: expected a lower row of 0, 0, 1, found {flat.tolist()} by rows. Save "
            "the camera matrix, not its transpose or its inverse."
        )
    return matrix


def _along_axis(planes: Planes, camera: np.ndarray | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return depth along the axis [H,W]; ray distance is turned into it where a camera is known.

    Reference:
        Pinhole: Z = distance / √(1 + ((x − cx)/fx)² + ((y − cy)/fy)²), at pixel centres.
    """
    if not planes.along_ray:
        return planes.depth, ()
    if camera is None:
        return planes.depth, (
            "ray distance is kept as it is: without a focal length it cannot become depth, and "
            "planes come out as spheres",
        )
    height, width = planes.depth.shape
    x = (np.arange(width) + 0.5 - camera[0, 2]) / camera[0, 0]
    y = (np.arange(height) + 0.5 - camera[1, 2]) / camera[1, 1]
    slant = np.sqrt(1 + x[None, :] ** 2 + y[:, None] ** 2)
    return (planes.depth / slant).astype(np.float32), ("ray distance was turned into depth",)


def _doubts(planes: Planes) -> list[str]:
    """Return what is odd about metres."""
    if not planes.metric:
        return []
    seen = planes.depth[np.isfinite(planes.depth)]
    doubts = []
    if seen.size and float(np.median(seen)) > _FAR_FROM_METRES:
        doubts.append(
            f"half of it lies beyond {np.median(seen):.0f} m: for centimetres, `scale` 0.01"
        )
    if seen.size and float(seen.max()) == 1.0 and bool(planes.holes.any()):
        doubts.append("0 … 1 looks normalised, not metres: `values` disparity (near is 1) or depth")
    return doubts
