"""Depth on disk: EXR, 16-bit PNG, NPZ and a PLY point cloud, without losing metres or the sky."""

import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..checks import check_image, check_number
from ..datatypes import DepthMap
from ..optics.camera import unproject
from .atomic import whole_file
from .images import open_image, quantize, read_image

PNG_TOP = 65535  # largest value of 16 bits
PNG_WORST_ERROR = 0.01  # share of the nearest depths that half a step of a 16-bit PNG may be

DEPTH_SUFFIXES = (".exr", ".png", ".npz", ".ply")


def write_depth(path: str | Path, depth: DepthMap, image: Tensor | None = None) -> None:
    """Write one depth map; the suffix chooses the format.

    * ``.exr``: channel Z in float32, metres; infinity stays infinity; confidence beside it.
    * ``.png``: 16 bits. Metres divided by the scale written in the file's text; 0 is "no
      surface" (infinity). Half a step is at most 1 % of the nearest depths, so what is over 1300
      times as far counts as infinite. Without metres: normalised disparity, 65535 is the nearest.
    * ``.npz``: arrays depth, metric and, where known, confidence and intrinsics.
    * ``.ply``: points in metres, x right, y down, z forward, with the colours of `image`.

    Args:
        path: where to.
        depth: one map, [1,H,W].
        image: [H,W,3] or [1,H,W,3], sRGB, 0…1; colours of the points, .ply only.

    Raises:
        ValueError: several maps, an unknown suffix, or a point cloud without metres or intrinsics.
        FileNotFoundError: the folder does not exist.
    """
    target = Path(path)
    if depth.depth.shape[0] != 1:
        raise ValueError(
            f"depth: expected one map, found {depth.depth.shape[0]}. Write them one by one."
        )
    check_depth_name(target)
    if target.suffix.lower() == ".ply":
        content = _encode_ply(depth, image)
        with whole_file(target) as part:
            part.write_bytes(content)
        return
    _WRITERS[target.suffix.lower()](target, depth)


def check_depth_name(path: Path) -> None:
    """Check that the suffix of a name is one that depth can be written under.

    Raises:
        ValueError: another suffix.
    """
    if path.suffix.lower() not in DEPTH_SUFFIXES:
        known = ", ".join(DEPTH_SUFFIXES)
        raise ValueError(f"{path.name}: unknown kind of depth file. Use {known}.")


def read_depth(path: str | Path, scale: float | None = None) -> DepthMap:
    """Return the depth map in a file, [1,H,W].

    EXR and NPZ hold metres unless they say otherwise. A PNG written by `write_depth` tells what it
    holds. Any other picture is normalised disparity, near is white, as depth tools save it; with
    `scale` its 16-bit values are metres instead.

    Args:
        path: an .exr, .npz, .npy or picture file.
        scale: metres for one step of a 16-bit PNG from elsewhere, such as 0.001; 0 is no surface.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged or unknown file, or values that are no depth.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such depth file. Check the path.")
    suffix = source.suffix.lower()
    if suffix == ".ply":
        raise ValueError(f"{source.name}: a point cloud has no pixels. Give .exr, .png or .npz.")
    if suffix == ".exr":
        return _read_exr(source)
    if suffix in (".npz", ".npy"):
        return _read_numpy(source)
    return _read_picture(source, scale)


# --- EXR -----------------------------------------------------------------------------------------


def _write_exr(target: Path, depth: DepthMap) -> None:
    import OpenEXR

    channels = {"Z": _plane(depth.depth)}
    if depth.confidence is not None:
        channels["confidence"] = _plane(depth.confidence)
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "bokehdepth.metric": json.dumps(depth.metric),
    }
    if depth.intrinsics is not None:
        header["bokehdepth.intrinsics"] = json.dumps(depth.intrinsics[0].tolist())
    with whole_file(target) as part, OpenEXR.File(header, channels) as file:
        file.write(str(part))


def _read_exr(source: Path) -> DepthMap:
    import OpenEXR

    try:
        with OpenEXR.File(str(source), separate_channels=True) as file:
            header = dict(file.header())
            channels = {name: np.array(c.pixels) for name, c in file.channels().items()}
    except (RuntimeError, ValueError) as error:  # what OpenEXR raises for damaged files
        raise ValueError(f"{source.name}: damaged EXR file ({error}). Save it again.") from error
    if not channels:  # OpenEXR drops channels that it cannot decode
        raise ValueError(f"{source.name}: damaged EXR file (no readable pixels). Save it again.")
    name = next((one for one in ("Z", "depth.Z", "Y", "R") if one in channels), None)
    if name is None:
        raise ValueError(
            f"{source.name}: no depth channel; found {', '.join(sorted(channels))}. Name it Z."
        )
    camera = header.get("bokehdepth.intrinsics")
    return _depth_map(
        source,
        channels[name],
        channels.get("confidence"),
        _camera(source, camera) if isinstance(camera, str) else None,
        header.get("bokehdepth.metric") != "false",
    )


# --- NPZ -----------------------------------------------------------------------------------------


def _write_npz(target: Path, depth: DepthMap) -> None:
    arrays = {"depth": _plane(depth.depth), "metric": np.array(depth.metric)}
    if depth.confidence is not None:
        arrays["confidence"] = _plane(depth.confidence)
    if depth.intrinsics is not None:
        arrays["intrinsics"] = _plane(depth.intrinsics)
    with whole_file(target) as part:
        np.savez_compressed(part, allow_pickle=False, **arrays)


def _read_numpy(source: Path) -> DepthMap:
    try:
        found = np.load(source, allow_pickle=False)  # a pickle could run code
        arrays = {"depth": found} if isinstance(found, np.ndarray) else dict(found)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{source.name}: damaged NumPy file ({error}). Save it again.") from error
    if "depth" not in arrays:
        raise ValueError(
            f"{source.name}: no array named depth; found {', '.join(sorted(arrays)) or 'none'}."
        )
    return _depth_map(
        source,
        arrays["depth"],
        arrays.get("confidence"),
        arrays.get("intrinsics"),
        bool(arrays.get("metric", True)),
    )


# --- PNG -----------------------------------------------------------------------------------------


def _write_png(target: Path, depth: DepthMap) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    if depth.metric:
        steps, scale = _metre_steps(depth.depth[0].double())
        text = {"quantity": "depth", "unit": "m", "scale": repr(scale), "metric": "true"}
    else:
        steps = quantize(depth.disparity[0], 16)
        text = {"quantity": "normalized disparity", "scale": repr(1 / PNG_TOP), "metric": "false"}
    if depth.intrinsics is not None:
        text["intrinsics"] = json.dumps(depth.intrinsics[0].tolist())
    info = PngInfo()
    for key, value in text.items():
        info.add_text(f"bokehdepth.{key}", value)
    with whole_file(target) as part:
        Image.fromarray(steps).save(part, pnginfo=info)


def _metre_steps(depth: Tensor) -> tuple[np.ndarray, float]:
    """Return depth [H,W] as 16-bit steps, 0 for infinity, and the metres of one step."""
    finite = torch.isfinite(depth)
    if not finite.any():
        return np.zeros(tuple(depth.shape), np.uint16), 1.0
    seen = depth[finite]
    near = float(seen.kthvalue(max(1, round(0.001 * seen.numel()))).values)  # no stray pixel
    reach = min(float(seen.max()), 2 * PNG_WORST_ERROR * near * PNG_TOP)
    scale = reach / PNG_TOP
    steps = (depth / scale).round().clamp(min=1)
    steps = torch.where(steps <= PNG_TOP, steps, 0.0)  # infinity, too, is beyond the reach
    return steps.cpu().numpy().astype(np.uint16), scale


def _read_picture(source: Path, scale: float | None) -> DepthMap:
    with open_image(source) as image:
        text = {k: v for k, v in image.info.items() if str(k).startswith("bokehdepth.")}
        grey16 = image.mode in ("I", "I;16", "I;16B", "I;16L")
        values = np.asarray(image).astype(np.float64) if grey16 else None
    camera = text.get("bokehdepth.intrinsics")
    matrix = _camera(source, camera) if camera else None
    written = text.get("bokehdepth.quantity") == "depth"
    if written:
        scale = _step(source, text.get("bokehdepth.scale"))
    if scale is None:
        disparity = read_image(source).mean(dim=-1) if values is None else values / PNG_TOP
        with np.errstate(divide="ignore"):
            far = 1.0 / np.asarray(disparity, dtype=np.float64)
        return _depth_map(source, far, None, matrix, metric=False)
    if values is None:
        raise ValueError(
            f"{source.name}: metres need a 16-bit grey picture, this one is of another kind. "
            + (
                "It was changed after it was written; save the depth again."
                if written
                else "Leave the depth scale out to read it as normalised disparity."
            )
        )
    step = check_number(scale, "depth_scale", above=0)
    metres = np.where(values > 0, values * step, np.inf)
    return _depth_map(source, metres, None, matrix, metric=True)


# --- PLY -----------------------------------------------------------------------------------------


def _encode_ply(depth: DepthMap, image: Tensor | None) -> bytes:
    """Return a binary little-endian PLY file; pixels without a surface are left out."""
    if not depth.metric:
        raise ValueError(
            "depth: a point cloud needs metres and this map holds normalised disparity only. "
            "Give the focus distance when making the depth."
        )
    if depth.intrinsics is None:
        raise ValueError(
            "intrinsics: a point cloud needs the focal length and it is unknown. "
            "Give the focal length when making the depth: focal_length_px."
        )
    points = unproject(depth.depth.detach().cpu(), depth.intrinsics.cpu())[0]
    seen = torch.isfinite(points).all(dim=-1)
    fields = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    names = ["property float x", "property float y", "property float z"]
    if image is not None:
        fields += [("red", "u1"), ("green", "u1"), ("blue", "u1")]
        names += [f"property uchar {channel}" for channel in ("red", "green", "blue")]
    vertices = np.empty(int(seen.sum()), dtype=fields)
    for axis, name in enumerate("xyz"):
        vertices[name] = points[seen][:, axis].numpy()
    if image is not None:
        levels = _colours(image, depth)[seen.numpy()]
        for axis, name in enumerate(("red", "green", "blue")):
            vertices[name] = levels[:, axis]
    head = ["ply", "format binary_little_endian 1.0"]
    head += ["comment metres; x right, y down, z forward from the camera"]
    head += [f"element vertex {len(vertices)}", *names, "end_header", ""]
    return "\n".join(head).encode("ascii") + vertices.tobytes()


def _colours(image: Tensor, depth: DepthMap) -> np.ndarray:
    picture = image[0] if image.ndim == 4 and image.shape[0] == 1 else image
    check_image(picture, pattern="H W 3")
    if picture.shape[:2] != depth.depth.shape[1:]:
        raise ValueError(
            f"image: {picture.shape[0]}x{picture.shape[1]} for a depth map of "
            f"{depth.depth.shape[1]}x{depth.depth.shape[2]}. Give the picture the depth is of."
        )
    return quantize(picture, 8)


# --- shared --------------------------------------------------------------------------------------

_WRITERS: dict[str, Callable[[Path, DepthMap], None]] = {
    ".exr": _write_exr,
    ".png": _write_png,
    ".npz": _write_npz,
}


def _step(source: Path, written: object) -> float:
    """Return the metres of one step that a file tells."""
    try:
        return check_number(written, "scale", above=0)
    except ValueError as error:
        raise ValueError(
            f"{source.name}: holds depth, but how many metres a step is cannot be read ({error}) "
            "Save the depth again."
        ) from None


def _camera(source: Path, written: str) -> object:
    """Return the intrinsics that a file tells."""
    try:
        return json.loads(written)
    except ValueError as error:
        raise ValueError(
            f"{source.name}: unreadable bokehdepth.intrinsics ({error}). Save the depth again."
        ) from error


def _plane(batch: Tensor) -> np.ndarray:
    return np.ascontiguousarray(batch[0].detach().cpu().numpy().astype(np.float32))


def _depth_map(
    source: Path,
    depth: np.ndarray,
    confidence: np.ndarray | None,
    intrinsics: object,
    metric: bool,
) -> DepthMap:
    planes = np.asarray(depth, dtype=np.float32)
    if planes.ndim == 3 and planes.shape[0] == 1:
        planes = planes[0]
    if planes.ndim != 2:
        raise ValueError(
            f"{source.name}: expected depth [H,W], found {list(planes.shape)}. Give one map."
        )
    try:
        return DepthMap(
            torch.from_numpy(planes)[None],
            None if confidence is None else _batch_of_one(confidence),
            None if intrinsics is None else _batch_of_one(intrinsics),
            metric,
        )
    except ValueError as error:
        raise ValueError(f"{source.name}: {error}") from error


def _batch_of_one(values: object) -> Tensor:
    array = torch.as_tensor(np.array(values, dtype=np.float32))
    return array[None] if array.ndim == 2 else array
