"""Pictures to disk, whole or not at all: 8 and 16 bits of sRGB, or EXR with all of their light."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from ...checks import check_image, check_shape
from ...color import check_color_space, convert_color, srgb_to_linear
from ..atomic import whole_file
from ..exr import write_exr
from .png import encode_deep as encode_deep_png
from .profiles.rgb_spaces import ACESCG, REC709
from .tiff import encode_deep as encode_deep_tiff

DEEP_SUFFIXES = (".png", ".tif", ".tiff")  # that are written in 16 bits
EXR_SUFFIX = ".exr"
_ALPHA_SUFFIXES = (*DEEP_SUFFIXES, EXR_SUFFIX, ".webp")


def write_image(
    path: str | Path,
    image: Tensor,
    bits: int = 8,
    *,
    alpha: Tensor | None = None,
    color_space: str = "sRGB",
    premultiplied: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a picture; the suffix chooses the kind.

    * ``.png``, ``.tif``: sRGB in 8 or 16 bits a channel.
    * ``.exr``: scene-linear light in float32, whatever is brighter than white, too.
    * others (``.jpg``, ``.webp``, …): sRGB in 8 bits.

    Args:
        path: where to.
        image: [H,W,3] or [1,H,W,3], in `color_space`; clipped to 0…1 but in EXR.
        bits: 8 or 16; EXR has its own.
        alpha: [H,W] or [1,H,W], 0…1, share that is covered; PNG, TIFF, WebP and EXR keep it.
        color_space: what the values of the image are: "sRGB", "linear Rec.709" or "ACEScg".
        premultiplied: whether the image is multiplied with alpha already.
        metadata: texts for the header of an EXR.

    Raises:
        ValueError: another shape or colour space, another number of bits, a kind that cannot be
            written here, or 16 bits or alpha where the kind has none.
        OSError: the file cannot be written; nothing is left of it.

    Reference:
        IEC 61966-2-1: sRGB. PNG specification, third edition. TIFF 6.0. OpenEXR, "Technical
        Introduction": linear light and premultiplied alpha.

    Example:
        >>> import tempfile
        >>> import torch
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_image(folder / "a.png", torch.full((2, 3, 3), 0.5), 16)
        >>> [one.name for one in folder.iterdir()]
        ['a.png']
    """
    from PIL import Image

    target = Path(path)
    pixels = image[0] if image.ndim == 4 and image.shape[0] == 1 else image
    size = check_image(pixels, pattern="H W 3")
    check_color_space(color_space)
    check_picture_name(target, bits, alpha is not None)
    cover = _cover(alpha, size)
    pixels = pixels.detach().cpu().float()
    if target.suffix.lower() == EXR_SUFFIX:
        _write_exr(target, pixels, cover, color_space, premultiplied, metadata or {})
        return
    if cover is not None and premultiplied:
        pixels = pixels / cover[..., None].clamp(min=1e-6)
    levels = quantize(convert_color(pixels, color_space, "sRGB"), bits)
    if cover is not None:
        levels = np.concatenate([levels, quantize(cover, bits)[..., None]], axis=2)
    if bits == 8:
        content = _encode(Image.fromarray(levels), target.suffix)
    else:
        deep = encode_deep_png if target.suffix.lower() == ".png" else encode_deep_tiff
        content = deep(levels)
    with whole_file(target) as part:
        part.write_bytes(content)


def _cover(alpha: Tensor | None, size: Mapping[str, int]) -> Tensor | None:
    if alpha is None:
        return None
    plane = alpha[0] if alpha.ndim == 3 and alpha.shape[0] == 1 else alpha
    found = check_shape(plane, "alpha", "H W")
    if (found["H"], found["W"]) != (size["H"], size["W"]):
        raise ValueError(
            f"alpha: expected {[size['H'], size['W']]} like the image, found {list(plane.shape)}. "
            "Resample it to the picture first."
        )
    return plane.detach().cpu().float().clamp(0, 1)


def _write_exr(
    target: Path,
    pixels: Tensor,
    cover: Tensor | None,
    color_space: str,
    premultiplied: bool,
    metadata: Mapping[str, str],
) -> None:
    import OpenEXR

    light = srgb_to_linear(pixels) if color_space == "sRGB" else pixels
    primaries = ACESCG if color_space == "ACEScg" else REC709
    if cover is not None and not premultiplied:
        light = light * cover[..., None]
    channels = {name: np.ascontiguousarray(light[..., i].numpy()) for i, name in enumerate("RGB")}
    if cover is not None:
        channels["A"] = np.ascontiguousarray(cover.numpy())
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "chromaticities": primaries.flat(),
        **metadata,
    }
    write_exr(target, header, channels)


def check_picture_name(path: Path, bits: int = 8, alpha: bool = False) -> None:
    """Check that a picture of `bits` for each channel can be written under a name.

    Raises:
        ValueError: another number of bits, a kind that is unknown or only read here, 16 bits or
            alpha where the kind has none.

    Example:
        >>> check_picture_name(Path("a.psd"))
        Traceback (most recent call last):
        ...
        ValueError: a.psd: pictures of this kind are not written. Name it .png, .tif, .jpg or .exr.
    """
    suffix = path.suffix.lower()
    if bits not in (8, 16) or (bits == 16 and suffix not in (*DEEP_SUFFIXES, EXR_SUFFIX)):
        raise ValueError(
            f"bits: expected 8, or 16 with .png, found {bits} with {path.suffix!r}. "
            "Name the file .png or .tif for 16 bits."
        )
    if suffix == EXR_SUFFIX:
        return
    kind = _pillow_kind(suffix)
    if kind is None or not _can_encode(suffix):
        raise ValueError(
            f"{path.name or path}: pictures of this kind are not written. "
            "Name it .png, .tif, .jpg or .exr."
        )
    if alpha and suffix not in _ALPHA_SUFFIXES:
        raise ValueError(
            f"{path.name}: this kind keeps no transparency, and the picture has some. "
            "Name it .png, .tif, .webp or .exr."
        )


def keeps_alpha(path: Path) -> bool:
    """Return whether a picture of this name keeps transparency.

    Example:
        >>> keeps_alpha(Path("a.png")), keeps_alpha(Path("a.jpg"))
        (True, False)
    """
    return path.suffix.lower() in _ALPHA_SUFFIXES


def _pillow_kind(suffix: str) -> str | None:
    from PIL import Image

    return Image.registered_extensions().get(suffix)


def _can_encode(suffix: str) -> bool:
    """Return whether a picture of a few pixels is written: many kinds are only read, or need more.

    Some have no encoder at all, others a stub, or a library that this Pillow was built without.
    """
    from PIL import Image

    try:
        return bool(_encode(Image.new("RGB", (16, 16)), suffix))
    except (KeyError, OSError, ValueError):
        return False


def _encode(picture: object, suffix: str) -> bytes:
    """Return a picture of Pillow as the bytes of a file of the suffix's kind."""
    file = io.BytesIO()
    # Heeded by lossy kinds only.
    picture.save(file, format=_pillow_kind(suffix.lower()), quality=95)  # type: ignore[attr-defined]
    return file.getvalue()


def quantize(values: Tensor, bits: int) -> np.ndarray:
    """Return values 0…1 as the nearest of 2^bits − 1 steps, uint8 or uint16, same shape.

    Example:
        >>> import torch
        >>> quantize(torch.tensor([0.0, 0.5, 1.0]), 8).tolist()
        [0, 128, 255]
    """
    top = 2**bits - 1
    steps = (values.detach().cpu().double().clamp(0, 1) * top).round()
    return np.asarray(steps.numpy().astype(np.uint8 if bits == 8 else np.uint16))
