"""Depth inside photos: iPhone HEIC and JPEG, Google's GDepth, and Dynamic Depth.

A portrait carries a small depth picture beside the photo, and text that says what its greys mean.
"""

import base64
import binascii
import io
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...pictures.images import read_image
from ...pictures.opening import open_image
from ..pictures import turned
from ..raw import DIOPTRES, DISPARITY, DISTANCE, METRES, RawDepth
from ..units import FAR_FLOAT
from .xmp import jpeg_xmp, packets, xmp_list, xmp_number, xmp_text

_JPEG = b"\xff\xd8\xff"
_ORIENTATION = 0x0112  # EXIF 2.32
_MATTE = "portraiteffectsmatte"  # end of Apple's name for it
_METRES_A_UNIT = {"m": 1.0, "meters": 1.0, "metres": 1.0, "mm": 0.001, "cm": 0.01}
_INVERSE_Z, _UNIFORM_DISPARITY, _UNIFORM_Z = 0, 1, 2  # HEVC, depth representation information SEI


def is_photo_container(source: Path) -> bool:
    """Return whether a file is a JPEG or of the HEIC family, which may carry depth."""
    with source.open("rb") as file:
        head = file.read(16)
    return head.startswith(_JPEG) or is_heic(head)


def is_heic(head: bytes) -> bool:
    """Return whether these first bytes are those of an HEIC or AVIF file."""
    return head[4:8] == b"ftyp" and head[8:12] in (
        b"heic",
        b"heix",
        b"mif1",
        b"msf1",
        b"hevc",
        b"avif",
    )


def read_portrait(source: Path) -> RawDepth | None:
    """Return the depth that a photo carries; None where it carries none.

    Raises:
        ValueError: a damaged file, or depth inside that cannot be read.
    """
    with source.open("rb") as file:
        head = file.read(16)
    if is_heic(head):
        return _read_heic(source)
    content = source.read_bytes()
    xmp = jpeg_xmp(content)
    found = (
        _google_depth(source, xmp)
        or _dynamic_depth(source, content, xmp)
        or _apple_jpeg(source, content)
    )
    if found is None:
        return None
    with open_image(source) as image:
        orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation != 1 and found.intrinsics is not None:
        found = replace(found, intrinsics=None)  # they belong to the photo as it was stored
    photo = found.photo or (lambda: read_image(source))
    sure = None if found.confidence is None else turned(found.confidence, orientation)
    values = turned(found.values, orientation)
    return replace(found, values=values, confidence=sure, photo=photo)


# --- Apple ---------------------------------------------------------------------------------------


def _read_heic(source: Path) -> RawDepth | None:
    with open_image(source) as image:
        depths = image.info.get("depth_images") or []
        mattes = [urn for urn in image.info.get("aux") or {} if str(urn).endswith(_MATTE)]
        if not depths:
            if mattes:
                raise ValueError(
                    f"{source.name}: holds a portrait matte but no depth. Use the matte as a mask, "
                    "or give a photo with depth."
                )
            return None
        picture = depths[0]
        values = np.asarray(picture)
        facts = dict(picture.info.get("metadata") or {})
    values = values[..., 0] if values.ndim == 3 else values
    top = (
        255.0
        if values.dtype.itemsize == 1
        else float(2 ** max(int(values.max()).bit_length(), 9) - 1)
    )
    share = values.astype(np.float32) / top
    xmp = _apple_packet(source.read_bytes())
    notes = (
        "depth inside the photo taken" + ("; it holds a portrait matte too" if mattes else ""),
    )
    raw = _apple_depth(share, xmp) if xmp else _sei_depth(share, facts)
    return replace(raw, photo=lambda: read_image(source), notes=(*notes, *raw.notes))


def _apple_packet(content: bytes) -> str | None:
    """Return the XMP that describes Apple's depth picture."""
    return next(
        (one for one in packets(content) if xmp_text(one, "apdi:AuxiliaryImageType") is not None),
        None,
    )


def _apple_depth(share: np.ndarray, xmp: str) -> RawDepth:
    """Return Apple's depth picture in its own unit.

    Args:
        share: [H,W], 0…1 of the stored range.
        xmp: its description.

    Reference:
        Apple, AVDepthData: disparity in 1/m or depth in m, stored between two floats; accuracy
        "relative" means that a shift of them all is not known. Seen in an iPhone 13 Pro's files.
    """
    low = xmp_number(xmp, "apdi:FloatMinValue")
    high = xmp_number(xmp, "apdi:FloatMaxValue")
    kind = (xmp_text(xmp, "apdi:AuxiliaryImageType") or "disparity").lower()
    values = share if low is None or high is None else low + share * (high - low)
    disparity = DISPARITY if low is None or high is None else DIOPTRES
    quantity = METRES if kind == "depth" else disparity
    rough = (xmp_text(xmp, "depthData:Accuracy") or "").lower() == "relative"
    notes = ("the phone calls its distances relative: metres are rough",) if rough else ()
    return RawDepth(values, quantity, intrinsics=_apple_camera(xmp, share.shape), notes=notes)


def _apple_camera(xmp: str, size: tuple[int, ...]) -> np.ndarray | None:
    """Return the camera matrix at the size of the depth picture; Apple writes it by columns."""
    numbers = xmp_list(xmp, "depthData:IntrinsicMatrix")
    width = xmp_number(xmp, "depthData:IntrinsicMatrixReferenceWidth")
    height = xmp_number(xmp, "depthData:IntrinsicMatrixReferenceHeight")
    if len(numbers) != 9 or not width or not height:
        return None
    matrix: np.ndarray = np.array(numbers, np.float32).reshape(3, 3).T
    scale = np.array([[size[1] / width], [size[0] / height], [1.0]], np.float32)
    return (matrix * scale).astype(np.float32)


def _sei_depth(share: np.ndarray, facts: dict[str, Any]) -> RawDepth:
    """Return a depth picture of HEIF by its depth representation information.

    Reference:
        ITU-T H.265, annex G, depth representation information SEI; libheif names its fields.
    """
    kind = facts.get("representation_type")
    near, far = facts.get("z_near"), facts.get("z_far")
    if near and far and kind == _INVERSE_Z:
        return RawDepth(1 / far + share * (1 / near - 1 / far), DIOPTRES)
    if near and far and kind == _UNIFORM_Z:
        return RawDepth(near + share * (far - near), METRES)
    low, high = facts.get("d_min"), facts.get("d_max")
    if kind == _UNIFORM_DISPARITY and low is not None and high is not None and high > low >= 0:
        return RawDepth(low + share * (high - low), DISPARITY)
    return RawDepth(share, DISPARITY, top=1.0)


def _apple_jpeg(source: Path, content: bytes) -> RawDepth | None:
    """Return the depth of an iPhone portrait saved as JPEG: one image behind another."""
    marker = content.find(b"apdi:AuxiliaryImageType")
    start = content.rfind(_JPEG, 1, max(marker, 0))
    xmp = _apple_packet(content) if marker > 0 and start > 0 else None
    if xmp is None:
        return None
    share, _ = _decode_grey(source, content[start:])
    raw = _apple_depth(share, xmp)
    return replace(raw, notes=("depth inside the photo taken", *raw.notes))


# --- Google --------------------------------------------------------------------------------------


def _google_depth(source: Path, xmp: str) -> RawDepth | None:
    """Return the depth of a GDepth photo.

    Reference:
        Google, Depthmap Metadata (XMP): RangeLinear and RangeInverse, 0 is near.
    """
    packed = xmp_text(xmp, "GDepth:Data")
    if not packed:
        return None
    share, _ = _decode_grey(source, _unpack(source, packed))
    original = xmp_text(xmp, "GImage:Data")
    raw = _in_range(share, xmp, "GDepth")
    sure = xmp_text(xmp, "GDepth:Confidence")
    if sure:
        confidence, _ = _decode_grey(source, _unpack(source, sure))
        raw = replace(raw, confidence=confidence)
    if original:
        return replace(raw, photo=lambda: _photo(source, _unpack(source, original)))
    return raw


def _dynamic_depth(source: Path, content: bytes, xmp: str) -> RawDepth | None:
    """Return the depth of a Dynamic Depth photo, which lies behind the first image.

    Reference:
        Dynamic Depth 1.0: items lie in the order of Container:Directory, each Item:Length long.
    """
    items = re.findall(r"<[\w]*:?Item\b[^>]*?(?:/>|>.*?</[\w]*:?Item>)", xmp, re.DOTALL)
    lengths = [int(xmp_number(one, "Item:Length") or 0) for one in items]
    uri = xmp_text(xmp, "DepthMap:DepthURI")
    images: dict[str, bytes] = {}
    for index, item in enumerate(items):
        start = len(content) - sum(lengths[index:])
        names = [xmp_text(item, "Item:Semantic") or "", xmp_text(item, "Item:DataURI") or ""]
        if index and lengths[index] > 0 and start > 0:
            images |= {name.lower(): content[start : start + lengths[index]] for name in names}
    packed = (
        images.get((uri or "").lower() or "-")
        or images.get("depth")
        or images.get("android/depthmap")
    )
    if not packed:
        return None
    share, size = _decode_grey(source, packed)
    raw = _in_range(share, xmp, "DepthMap")
    original = images.get("original") or images.get("android/originalimage")
    photo = None if not original else (lambda: _photo(source, original))
    return replace(raw, photo=photo, intrinsics=_imaging_model(xmp, size))


def _imaging_model(xmp: str, size: tuple[int, int]) -> np.ndarray | None:
    """Return the camera matrix of Dynamic Depth at (width, height) of the depth picture."""
    names = ("FocalLengthX", "FocalLengthY", "PrincipalPointX", "PrincipalPointY")
    numbers = [xmp_number(xmp, f"ImagingModel:{name}") for name in names]
    fx, fy, cx, cy = numbers
    if fx is None or cx is None or cy is None:
        return None
    fy = fx if fy is None else fy
    width = xmp_number(xmp, "ImagingModel:ImageWidth")
    height = xmp_number(xmp, "ImagingModel:ImageHeight")
    if cx > 1 and width and height:
        fx, cx, fy, cy = fx / width, cx / width, fy / height, cy / height
    elif cx > 1:
        return None
    across, down = size
    return np.array(
        [[fx * across, 0, cx * across], [0, fy * down, cy * down], [0, 0, 1]], np.float32
    )


def _in_range(share: np.ndarray, xmp: str, space: str) -> RawDepth:
    """Return shares 0…1 between Near and Far as depth; 0 is near."""
    near, far = (xmp_number(xmp, f"{space}:{name}") for name in ("Near", "Far"))
    notes = ("depth inside the photo taken",)
    if not near or not far or near <= 0 or far <= 0:
        return RawDepth(1 - share, DISPARITY, top=1.0, notes=notes)
    linear = (xmp_text(xmp, f"{space}:Format") or "").lower().endswith("linear")
    share = share.astype(np.float64)  # 1 is to give far itself, which may stand for the sky
    depth = near + share * (far - near) if linear else 1 / ((1 - share) / near + share / far)
    written = xmp_text(xmp, f"{space}:Units") or ""
    unit = _METRES_A_UNIT.get(written.lower())
    if unit is None:
        said = f"its unit {written[:20]!r} is not known" if written else "it names no unit"
        disparity = np.where(depth < FAR_FLOAT, min(near, far) / depth, 0.0)
        return RawDepth(disparity, DISPARITY, top=1.0, notes=(*notes, f"{said}: relative depth"))
    along_ray = (xmp_text(xmp, f"{space}:MeasureType") or "").lower().endswith("ray")
    return RawDepth(depth * unit, DISTANCE if along_ray else METRES, notes=notes)


def _unpack(source: Path, packed: str) -> bytes:
    try:
        return base64.b64decode(re.sub(r"\s", "", packed))
    except (binascii.Error, ValueError) as error:
        raise ValueError(
            f"{source.name}: damaged depth inside ({error}). Export it again."
        ) from error


def _decode_grey(source: Path, packed: bytes) -> tuple[np.ndarray, tuple[int, int]]:
    """Return a PNG or JPEG as shares 0…1, [H,W], and its (width, height)."""
    image = _decode(source, packed)
    size = (image.width, image.height)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.float32) / 65535, size
    return np.asarray(image.convert("L")).astype(np.float32) / 255, size


def _photo(source: Path, packed: bytes) -> Tensor:
    return torch.from_numpy(
        np.asarray(_decode(source, packed).convert("RGB")).astype(np.float32) / 255
    )


def _decode(source: Path, packed: bytes) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(packed), formats=("PNG", "JPEG"))
            image.load()
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{source.name}: damaged depth inside (neither PNG nor JPEG). Export it again."
        ) from error
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError, Warning) as error:
        raise ValueError(
            f"{source.name}: damaged depth inside ({error}). Export it again."
        ) from error
    return image
