"""Photos on disk as they are meant to be seen: upright, in sRGB or in linear light.

Every kind of file is unpacked first (`_decode`) to numbers and a word on what they mean; one way
leads from there to sRGB (`_to_light`): profiles, PNG's chunks and EXR's chromaticities alike.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...color import convert_color
from . import png, radiance, tiff
from .exr import decode_exr
from .more_bits import decode_all_bits
from .opening import open_image, plain_errors
from .profiles.icc import ProfileError, lab_to_light, read_profile
from .profiles.rgb_spaces import (
    ACESCG,
    REC709,
    Primaries,
    between,
    srgb_curve,
    srgb_light,
    transform,
)
from .writing import check_picture_name, quantize, write_image

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "Photo",
    "check_picture_name",
    "quantize",
    "read_image",
    "read_photo",
    "write_image",
]

_log = logging.getLogger(__name__)

_EXIF_ORIENTATION = 0x0112
EXR_SIGNATURE = b"\x76\x2f\x31\x01"
_SAME = 5e-4  # difference of sRGB values, an eighth of a step of 8 bits, that is none


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture as a file holds it.

    Attributes:
        image: [H,W,3] float32, in `color_space`; light of scene-linear files is not clipped.
        alpha: [H,W], 0…1, share of the pixel that is covered; None where all is.
        color_space: "sRGB", "linear Rec.709" or "ACEScg".
        premultiplied: True where the image is multiplied with alpha already, as in EXR.
    """

    image: Tensor
    alpha: Tensor | None
    color_space: str
    premultiplied: bool = False


@dataclass(frozen=True, eq=False)
class _Stored:
    """Pixels as a file stores them, and what they mean.

    Attributes:
        color: [H,W,C] float32: 1 grey, 3 RGB or L*a*b*, 4 CMYK; 0…1, L*a*b* in its own units.
        alpha: [H,W], 0…1, or None.
        profile: ICC profile, or None.
        space: primaries and curve to light, or None for sRGB.
        scene_linear: True for light without an upper end.
        premultiplied: as in `Photo`.
        lab: True for L*a*b*.
        unlimited: True where more than white is meant, as in PQ and HLG.
    """

    color: np.ndarray
    alpha: np.ndarray | None = None
    profile: bytes | None = None
    space: tuple[Primaries, Callable[[np.ndarray], np.ndarray]] | None = None
    scene_linear: bool = False
    premultiplied: bool = False
    lab: bool = False
    unlimited: bool = False


def read_image(path: str | Path, background: float = 1.0) -> Tensor:
    """Return a picture file as [H,W,3], float32, sRGB, upright.

    0…1; scene-linear files (EXR, Radiance, floating-point TIFF) are encoded as sRGB too, and what
    is brighter than white stays so: `read_photo` gives their light. Grey, palette and 16-bit files
    are widened, EXIF orientation is applied, colour profiles and PNG's colour chunks are converted
    from, and transparency is laid over a plain background.

    Args:
        path: a still picture: PNG, JPEG, TIFF, WebP, EXR, HDR and more; HEIC where pillow-heif is
            installed.
        background: sRGB grey behind transparent pixels, 0…1.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, cut off, or too large.

    Reference:
        IEC 61966-2-1: sRGB. Exif 2.3, 4.6.4: orientation. ICC.1:2022: colour profiles. PNG
        specification, third edition, 11.3.2: colour chunks. OpenEXR, "Technical Introduction":
        linear light.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/grey.png"
        >>> write_image(path, torch.full((2, 3, 3), 0.2))
        >>> read_image(path).shape
        torch.Size([2, 3, 3])
    """
    photo = read_photo(path)
    image, alpha = photo.image, photo.alpha
    if photo.premultiplied and alpha is not None:
        behind = float(srgb_light(np.array(background, np.float64)))
        image = image + (1 - alpha[..., None]) * behind
    image = convert_color(image, photo.color_space, "sRGB")
    if alpha is not None and not photo.premultiplied:
        image = image * alpha[..., None] + background * (1.0 - alpha[..., None])
    return image


def read_photo(path: str | Path) -> Photo:
    """Return a picture file with its transparency; scene-linear kinds as linear light.

    Args:
        path: as for `read_image`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, cut off, or too large.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/lamp.exr"
        >>> lamp = torch.full((2, 3, 3), 500.0)
        >>> write_image(path, lamp, color_space="linear Rec.709")
        >>> photo = read_photo(path)
        >>> photo.color_space, float(photo.image.max()), photo.alpha
        ('linear Rec.709', 500.0, None)
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such picture. Check the path.")
    stored = _decode(source)
    _check_finite(stored, source)
    color, linear_space = _to_light(stored, source)
    alpha = None if stored.alpha is None else torch.from_numpy(_whole(stored.alpha)).clamp(0, 1)
    return Photo(torch.from_numpy(_whole(color)), alpha, linear_space, stored.premultiplied)


def _check_finite(stored: _Stored, source: Path) -> None:
    """Refuse pixels that are no numbers, which floating-point files can hold.

    Raises:
        ValueError: NaN or infinity.
    """
    wrong = ~np.isfinite(stored.color).all(axis=-1)
    if stored.alpha is not None:
        wrong |= ~np.isfinite(stored.alpha)
    if wrong.any():
        raise ValueError(
            f"{source.name}: holds NaN or infinite values in {int(wrong.sum())} of {wrong.size} "
            "pixels. Replace them where the file was made."
        )


def _whole(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels, dtype=np.float32)


# --- unpacking -----------------------------------------------------------------------------------


def _decode(source: Path) -> _Stored:
    with source.open("rb") as file:
        with plain_errors(source):  # a disk may fail
            head = file.read(16)
        if head.startswith(EXR_SIGNATURE):
            found = decode_exr(source)
            space = None if found.primaries is None else (found.primaries, _same)
            return _Stored(found.light, found.alpha, None, space, True, found.alpha is not None)
        with plain_errors(source):
            if head.startswith(radiance.SIGNATURES):
                return _Stored(radiance.decode_radiance(file), scene_linear=True)
            tags = tiff.read_tags(file)
            if tiff.is_deep(tags):
                return _from_tiff(file, tags)
    with open_image(source) as image:
        image.load()  # TIFF and HEIC are turned upright here already, and then say so
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
        return _upright(_from_pillow(image, source), orientation)


def _same(values: np.ndarray) -> np.ndarray:
    return values


def _from_pillow(image: "Image", source: Path) -> _Stored:
    profile = image.info.get("icc_profile") or None
    chunks: dict[bytes, bytes] = {}
    levels = None
    if image.format == "PNG":
        with source.open("rb") as file:
            chunks = png.colour_chunks(file)
            profile = png.embedded_profile(chunks)
            if unknown := png.unknown_code(chunks):
                _log.warning("%s: %s is not known here; taken as sRGB's.", source.name, unknown)
            if png.is_deep(chunks):
                levels = png.decode_deep(file).astype(np.float32) / 65535
    if levels is None:
        levels = decode_all_bits(image, source)
    if levels is None:
        levels, lab = _levels(image)
        if lab:
            return _Stored(levels, lab=True)
    alpha = levels[..., -1] if levels.shape[2] == 2 or _has_alpha(image, levels) else None
    color = levels if alpha is None else levels[..., :-1]
    return _Stored(
        color,
        alpha,
        profile,
        png.colour_space(chunks),
        unlimited=png.is_hdr(chunks),
    )


def _has_alpha(image: "Image", levels: np.ndarray) -> bool:
    return levels.shape[2] == 4 and image.mode != "CMYK"


def _levels(image: "Image") -> tuple[np.ndarray, bool]:
    """Return the pixels of an opened picture, [H,W,C], and whether they are L*a*b*."""
    mode = image.mode
    if mode == "F":
        return np.asarray(image)[..., None], False
    if mode == "I" or mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.float32) / 65535
        return grey.clip(0, 1)[..., None], False
    if mode == "LAB":  # NumPy sees a* and b* as TIFF stores them: signed
        lab = np.asarray(image)
        light = lab[..., :1].astype(np.float32) * (100 / 255)
        return np.concatenate([light, lab[..., 1:].view(np.int8).astype(np.float32)], -1), True
    if mode != "CMYK":
        single = mode in ("1", "L", "LA", "La")
        transparent = "A" in image.getbands() or "a" in image.getbands()
        transparent = transparent or "transparency" in image.info
        image = image.convert(("L" if single else "RGB") + "A" * transparent)
    levels = np.asarray(image).astype(np.float32) / 255
    return levels.reshape(*levels.shape[:2], -1), False


def _from_tiff(file: IO[bytes], tags: tiff.Tags) -> _Stored:
    found = tiff.decode_deep(file, tags)
    floating = found.pixels.dtype.kind == "f"
    values = found.pixels.astype(np.float32)
    if not floating:
        values /= np.iinfo(found.pixels.dtype).max
    color, alpha = values, None
    if found.extra is not None:
        color, alpha = values[..., :-1], values[..., -1]
    if found.white_is_zero:
        color = 1 - color
    premultiplied = found.extra is not None and tiff.is_associated(found.extra)
    if premultiplied and not floating and alpha is not None:  # curves need the plain colours
        color = (color / alpha[..., None].clip(1e-4)).clip(0, 1)
        premultiplied = False
    stored = _Stored(color, alpha, tiff.profile(tags), None, floating, premultiplied)
    return _upright(stored, tiff.orientation(tags))


def _upright(stored: _Stored, orientation: int) -> _Stored:
    """Return stored pixels as they are meant to be seen (EXIF 2.32, Orientation)."""

    def turned(pixels: np.ndarray) -> np.ndarray:
        if orientation in (5, 6, 7, 8):
            pixels = pixels.swapaxes(0, 1)
        if orientation in (3, 4, 7, 8):
            pixels = pixels[::-1]
        if orientation in (2, 3, 6, 7):
            pixels = pixels[:, ::-1]
        return pixels

    alpha = None if stored.alpha is None else turned(stored.alpha)
    return replace(stored, color=turned(stored.color), alpha=alpha)


# --- what the numbers mean -----------------------------------------------------------------------


def _to_light(stored: _Stored, source: Path) -> tuple[np.ndarray, str]:
    """Return [H,W,3] in sRGB, or in linear light for scene-linear files, and its `color_space`."""
    light = _meant_light(stored, source)
    if stored.scene_linear:
        if stored.space is not None and stored.space[0].is_near(ACESCG):
            return _rgb(stored.color), "ACEScg"
        return _rgb(stored.color) if light is None else light, "linear Rec.709"
    if light is None:
        return _rgb(stored.color), "sRGB"
    encoded = srgb_curve(light.clip(0, None if stored.unlimited else 1))
    plain = _rgb(stored.color)
    # A profile of sRGB itself leaves every code as it is.
    return (plain if not stored.lab and np.abs(encoded - plain).max() < _SAME else encoded), "sRGB"


def _meant_light(stored: _Stored, source: Path) -> np.ndarray | None:
    """Return [H,W,3] linear Rec.709; None where the numbers are sRGB, or that light, already."""
    if stored.lab:
        return lab_to_light(stored.color)
    if stored.profile is not None:
        try:
            profile = read_profile(stored.profile)
            color = stored.color
            if color.shape[2] == 1 and profile.channels == 3:
                color = color.repeat(3, axis=2)
            if color.shape[2] == profile.channels:
                return profile.to_light(color)
            raise ProfileError(f"{profile.channels} channels for {color.shape[2]}")
        except ProfileError as error:
            _log.warning(
                "%s: its colour profile is unreadable (%s); taken as sRGB.", source.name, error
            )
    if stored.space is not None:
        primaries, curve = stored.space
        return transform(between(primaries, REC709), curve(_rgb(stored.color)))
    return None


def _rgb(color: np.ndarray) -> np.ndarray:
    """Return [H,W,3] of grey, RGB, or of CMYK by its plain formula."""
    if color.shape[2] == 4:
        return np.asarray((1 - color[..., :3]) * (1 - color[..., 3:]))
    return np.asarray(color.repeat(3, axis=2) if color.shape[2] == 1 else color)
