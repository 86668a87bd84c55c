"""Depth on disk: EXR, 16-bit PNG, NPZ, PLY and portrait JPEG, without losing metres or the sky.

This module writes; `files.depth` reads, and its readers can be imported from here too.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..checks import check_image
from ..datatypes import DepthMap
from ..optics.camera import unproject
from .atomic import whole_file
from .depth.portraits.writing import JPEG_SUFFIXES, portrait_bytes
from .depth.reading import DepthFile, read_depth, read_depth_file
from .exr import write_exr
from .pictures.images import quantize

PNG_TOP = 65535  # largest value of 16 bits
PNG_WORST_ERROR = 0.01  # share of the nearest depths that half a step of a 16-bit PNG may be

__all__ = [
    "DEPTH_SUFFIXES",
    "DepthFile",
    "check_depth_name",
    "read_depth",
    "read_depth_file",
    "write_depth",
]

DEPTH_SUFFIXES = (".exr", ".png", ".npz", ".ply", *JPEG_SUFFIXES)


def write_depth(
    path: str | Path,
    depth: DepthMap,
    image: Tensor | None = None,
    *,
    photo: str | Path | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write one depth map; the suffix chooses the format.

    * ``.exr``: channel Z in float32, metres; infinity stays infinity; confidence beside it.
    * ``.png``: 16 bits. Metres divided by the scale written in the file's text; 0 is "no
      surface" (infinity). Half a step is at most 1 % of the nearest depths, so what is over 1300
      times as far counts as infinite. Without metres: normalised disparity, 65535 is the nearest.
    * ``.npz``: arrays depth, metric and, where known, confidence and intrinsics.
    * ``.ply``: points in metres, x right, y down, z forward, with the colours of `image`.
    * ``.jpg``: a copy of the JPEG `photo`, or `image` as a JPEG, with the depth inside it as phones
      keep it (GDepth, 16 bits of 1/depth, and the confidence).

    Args:
        path: where to.
        depth: one map, [1,H,W].
        image: [H,W,3] or [1,H,W,3], sRGB, 0…1; colours of the points, or the photo of a JPEG.
        photo: a JPEG file whose copy is to carry the depth; .jpg only. All else of it stays.
        metadata: texts by name that go into the file: attributes of EXR, texts of PNG, arrays of
            NPZ named ``text_…``, comments of PLY, XMP of JPEG.

    Raises:
        ValueError: several maps, an unknown suffix, a point cloud without metres or intrinsics, or
            a JPEG without its photo.
        FileNotFoundError: the folder does not exist.

    Reference:
        OpenEXR, "Technical Introduction": channel Z. Portable Network Graphics, W3C. NPZ: NumPy
        Enhancement Proposal 1. G. Turk, "The PLY Polygon File Format", Stanford 1994. Google,
        Depthmap Metadata: GDepth.

    Example:
        >>> write_depth("flat.npz", DepthMap(torch.full((1, 4, 6), 2.0)))
        >>> read_depth("flat.npz").depth.unique()
        tensor([2.])
    """
    target = Path(path)
    if depth.depth.shape[0] != 1:
        raise ValueError(
            f"depth: expected one map, found {depth.depth.shape[0]}. Write them one by one."
        )
    check_depth_name(target)
    suffix = target.suffix.lower()
    if photo is not None and suffix not in JPEG_SUFFIXES:
        raise ValueError(f"photo: {suffix} holds no photo. Name the file .jpg, or leave it out.")
    if suffix in (".ply", *JPEG_SUFFIXES):
        texts = metadata or {}
        cloud = suffix == ".ply"
        content = (
            _encode_ply(depth, image, texts)
            if cloud
            else portrait_bytes(depth, image, photo, texts)
        )
        with whole_file(target) as part:
            part.write_bytes(content)
        return
    _WRITERS[suffix](target, depth, metadata or {})


def check_depth_name(path: Path) -> None:
    """Check that the suffix of a name is one that depth can be written under.

    Raises:
        ValueError: another suffix.
    """
    if path.suffix.lower() not in DEPTH_SUFFIXES:
        known = ", ".join(DEPTH_SUFFIXES)
        raise ValueError(f"{path.name or path}: unknown kind of depth file. Use {known}.")


# --- EXR -----------------------------------------------------------------------------------------


def _write_exr(target: Path, depth: DepthMap, metadata: Mapping[str, str]) -> None:
    import OpenEXR

    channels = {"Z": _plane(depth.depth)}
    if depth.confidence is not None:
        channels["confidence"] = _plane(depth.confidence)
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "bokehdepth.metric": json.dumps(depth.metric),
        **metadata,
    }
    if depth.intrinsics is not None:
        header["bokehdepth.intrinsics"] = json.dumps(depth.intrinsics[0].tolist())
    write_exr(target, header, channels)


# --- NPZ -----------------------------------------------------------------------------------------


def _write_npz(target: Path, depth: DepthMap, metadata: Mapping[str, str]) -> None:
    arrays = {"depth": _plane(depth.depth), "metric": np.array(depth.metric)}
    if depth.confidence is not None:
        arrays["confidence"] = _plane(depth.confidence)
    if depth.intrinsics is not None:
        arrays["intrinsics"] = _plane(depth.intrinsics)
    arrays |= {f"text_{name}": np.array(text) for name, text in metadata.items()}
    with whole_file(target) as part:
        np.savez_compressed(part, allow_pickle=False, **arrays)


# --- PNG -----------------------------------------------------------------------------------------


def _write_png(target: Path, depth: DepthMap, metadata: Mapping[str, str]) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    if depth.metric:
        steps, scale = _metre_steps(depth.depth[0].detach().cpu().double())
        text = {"quantity": "depth", "unit": "m", "scale": repr(scale), "metric": "true"}
    else:
        steps = quantize(depth.disparity[0], 16)
        text = {"quantity": "normalized disparity", "scale": repr(1 / PNG_TOP), "metric": "false"}
    if depth.intrinsics is not None:
        text["intrinsics"] = json.dumps(depth.intrinsics[0].tolist())
    info = PngInfo()
    for key, value in text.items():
        info.add_text(f"bokehdepth.{key}", value)
    for name, value in metadata.items():
        info.add_text(name, value)
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


# --- PLY -----------------------------------------------------------------------------------------


def _encode_ply(depth: DepthMap, image: Tensor | None, metadata: Mapping[str, str]) -> bytes:
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
    # JSON writes other letters, and line ends, in ASCII.
    head += [f"comment {name} {json.dumps(text)}" for name, text in metadata.items()]
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

_WRITERS: dict[str, Callable[[Path, DepthMap, Mapping[str, str]], None]] = {
    ".exr": _write_exr,
    ".png": _write_png,
    ".npz": _write_npz,
}


def _plane(batch: Tensor) -> np.ndarray:
    return np.ascontiguousarray(batch[0].detach().cpu().numpy().astype(np.float32))
