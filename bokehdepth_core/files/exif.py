"""What a photo's EXIF data tells about its lens and camera."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .pictures import radiance, tiff
from .pictures.images import EXR_SIGNATURE
from .pictures.opening import open_image, plain_errors

# EXIF 2.32: tag numbers of the Exif directory.
_EXIF_DIRECTORY = 0x8769
_EXIF_TAGS = {
    "f_number": 0x829D,  # FNumber
    "focus_distance_m": 0x9206,  # SubjectDistance, m
    "focal_length_mm": 0x920A,  # FocalLength
    "focal_length_35mm": 0xA405,  # FocalLengthIn35mmFilm
}
_INFINITY = 0xFFFFFFFF  # EXIF 2.32, SubjectDistance: the numerator that stands for infinity


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
    tags = _exif_directory(Path(path))
    return PhotoLens(**{name: _positive(tags, tag) for name, tag in _EXIF_TAGS.items()})


def _exif_directory(source: Path) -> Mapping[int, object]:
    """Return the Exif directory of a photo; empty where its kind has none."""
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such picture. Check the path.")
    with source.open("rb") as file:
        if file.read(16).startswith((EXR_SIGNATURE, *radiance.SIGNATURES)):
            return {}
        with plain_errors(source):
            if tiff.is_deep(tiff.read_tags(file)):  # Pillow knows its tags, not its pixels
                from PIL import Image

                exif = Image.Exif()
                file.seek(0)
                exif.load_from_fp(file)
                return exif.get_ifd(_EXIF_DIRECTORY)
    with open_image(source) as image:
        return image.getexif().get_ifd(_EXIF_DIRECTORY)


def _positive(tags: Mapping[int, object], tag: int) -> float | None:
    if tag == _EXIF_TAGS["focus_distance_m"] and _is_infinity(tags.get(tag)):
        return math.inf
    try:
        value = float(tags[tag])  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None  # NaN (0/0) is not above zero either


def _is_infinity(value: object) -> bool:
    return getattr(value, "numerator", None) == _INFINITY
