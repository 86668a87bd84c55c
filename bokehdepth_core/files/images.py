"""Pictures on disk: reading photos as they are meant to be seen, writing 8 and 16-bit PNG."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..checks import check_image
from .atomic import whole_file

if TYPE_CHECKING:
    from PIL.Image import Image

_log = logging.getLogger(__name__)

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EXIF_ORIENTATION = 0x0112
_PNG_COLOUR_TYPES = (2, 6)  # PNG specification, IHDR: true colour without and with alpha


@contextmanager
def open_image(path: str | Path) -> "Iterator[Image]":
    """Open a picture with Pillow, turning its many errors into clear ones.

    Yields:
        The picture, its pixels not yet decoded; errors while decoding in the block are covered.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, cut off, or of a size meant to exhaust memory.
    """
    from PIL import Image, UnidentifiedImageError

    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such picture. Check the path.")
    _allow_heic()
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 and refuses from 179 million pixels; only the latter matters.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                yield image
    except UnidentifiedImageError:
        raise ValueError(f"{source.name}: cannot be read as a picture. {_hint(source)}") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise ValueError(
            f"{source.name}: larger than {limit} million pixels. Scale it down first."
        ) from None
    except (OSError, SyntaxError, EOFError) as error:  # how Pillow reports damaged data
        raise ValueError(
            f"{source.name}: damaged or cut off ({error}). Export it again."
        ) from error


def _allow_heic() -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener()


def _hint(source: Path) -> str:
    if source.suffix.lower() in (".heic", ".heif"):
        return "Install pillow-heif to read HEIC photos, or save it as JPEG."
    return "Save it as PNG or JPEG."


def read_image(path: str | Path, background: float = 1.0) -> Tensor:
    """Return a picture file as [H,W,3], float32, sRGB, 0…1, upright.

    Grey, palette and 16-bit files are widened, EXIF orientation is applied, an embedded colour
    profile is converted to sRGB, and transparency is laid over a plain background.

    Args:
        path: any still picture that Pillow reads; HEIC where pillow-heif is installed.
        background: sRGB grey behind transparent pixels, 0…1.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, cut off, or too large.
    """
    with open_image(path) as image:
        image.load()  # TIFF and HEIC are turned upright here already, and then say so
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
        if image.format == "PNG" and _is_deep_png(Path(path)):
            pixels = _decode_deep_png(Path(path))  # Pillow keeps 8 bits of 16-bit colour
        elif image.mode in ("I", "F") or image.mode.startswith("I;16"):
            pixels = _grey_values(image)
        else:
            pixels = _eight_bit(image)
    return _flatten(torch.from_numpy(_upright(pixels, orientation)), background)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return stored pixels [H,W,C] as they are meant to be seen (EXIF 2.32, Orientation)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _grey_values(image: "Image") -> np.ndarray:
    values = np.asarray(image)
    if values.dtype.kind == "f":
        raise ValueError(
            "image: holds floating-point grey values of unknown range. Save it as PNG."
        )
    return (values.astype(np.float32) / 65535.0).clip(0.0, 1.0)[..., None]


def _eight_bit(image: "Image") -> np.ndarray:
    transparent = "A" in image.getbands() or "transparency" in image.info
    plain = _to_srgb(image.convert("RGBA" if transparent else "RGB"), image)
    return np.asarray(plain).astype(np.float32) / 255.0


def _to_srgb(image: "Image", source: "Image") -> "Image":
    """Return `image` converted from the colour profile embedded in `source`, if it has one."""
    from PIL import ImageCms

    profile = source.info.get("icc_profile")
    if not profile or source.mode in ("CMYK", "L", "LA"):
        return image
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, embedded, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError) as error:
        _log.warning("The picture's colour profile is unreadable (%s); taken as sRGB.", error)
        return image
    return image if converted is None else converted


def _is_deep_png(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(26)
    return head.startswith(_PNG_SIGNATURE) and head[24] == 16 and head[25] in _PNG_COLOUR_TYPES


def _decode_deep_png(path: Path) -> np.ndarray:
    import av

    decoder = av.CodecContext.create("png", "r")
    try:
        frame = decoder.decode(av.Packet(path.read_bytes()))[0]
    except (av.error.FFmpegError, IndexError) as error:
        raise ValueError(f"{path.name}: damaged or cut off ({error}). Export it again.") from error
    return frame.to_ndarray().astype(np.float32) / 65535.0


def _flatten(pixels: Tensor, background: float) -> Tensor:
    if pixels.shape[-1] == 4:
        color, alpha = pixels[..., :3], pixels[..., 3:]
        return color * alpha + background * (1.0 - alpha)
    return pixels.expand(-1, -1, 3).contiguous()


def write_image(path: str | Path, image: Tensor, bits: int = 8) -> None:
    """Write a picture; PNG in 8 or 16 bits for each channel, other kinds (.jpg, …) in 8.

    Args:
        path: where to; the suffix chooses the kind.
        image: [H,W,3] or [1,H,W,3], sRGB; clipped to 0…1.
        bits: 8 or 16.

    Raises:
        ValueError: another shape, another number of bits, an unknown suffix, or 16 bits where
            the kind has none.
    """
    from PIL import Image

    target = Path(path)
    pixels = image[0] if image.ndim == 4 and image.shape[0] == 1 else image
    check_image(pixels, pattern="H W 3")
    check_picture_name(target, bits)
    levels = quantize(pixels, bits)
    with whole_file(target) as part:
        if bits == 16:
            part.write_bytes(_encode_deep_png(levels))
        else:
            Image.fromarray(levels).save(part, quality=95)  # heeded by lossy kinds only


def check_picture_name(path: Path, bits: int = 8) -> None:
    """Check that a picture of `bits` for each channel can be written under a name.

    Raises:
        ValueError: another number of bits, an unknown suffix, or 16 bits where the kind has none.
    """
    from PIL import Image

    suffix = path.suffix.lower()
    if bits not in (8, 16) or (bits == 16 and suffix != ".png"):
        raise ValueError(
            f"bits: expected 8, or 16 with .png, found {bits} with {path.suffix!r}. "
            "Name the file .png for 16 bits."
        )
    if suffix not in Image.registered_extensions():
        raise ValueError(f"{path.name}: unknown kind of picture. Name it .png or .jpg.")


def quantize(values: Tensor, bits: int) -> np.ndarray:
    """Return values 0…1 as the nearest of 2^bits − 1 steps, uint8 or uint16, same shape."""
    top = 2**bits - 1
    steps = (values.detach().cpu().double().clamp(0, 1) * top).round()
    return steps.numpy().astype(np.uint8 if bits == 8 else np.uint16)


def _encode_deep_png(levels: np.ndarray) -> bytes:
    import av

    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = levels.shape[:2]
    encoder.pix_fmt = "rgb48be"
    encoder.time_base = Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(levels, format="rgb48be")
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
