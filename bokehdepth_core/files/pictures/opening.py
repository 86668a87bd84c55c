"""Opening pictures with Pillow: named kinds alone, and one line for each of its many errors."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..exr import MAX_PIXELS
from .png import check_chunks

if TYPE_CHECKING:
    from PIL.Image import Image

# The only kinds that Pillow may take a file for: an .eps would start Ghostscript.
_PILLOW_FORMATS = (
    *("PNG", "JPEG", "MPO", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000", "GIF", "BMP", "DIB"),
    *("PPM", "TGA", "PCX", "SGI", "QOI", "ICO", "PSD"),
)
_JPEG_PIXELS_A_BYTE = 512  # at most: each block of 64 px has a code of its own, of 1 bit or more


@contextmanager
def open_image(path: str | Path) -> "Iterator[Image]":
    """Open a picture with Pillow, turning its many errors into clear ones.

    Yields:
        The picture, its pixels not yet decoded; errors while decoding in the block are covered.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, cut off, or of a size meant to exhaust memory.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> path = tempfile.mkdtemp() + "/grey.png"
        >>> Image.new("L", (3, 2)).save(path)
        >>> with open_image(path) as image:
        ...     image.size
        (3, 2)
    """
    from PIL import Image

    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such picture. Check the path.")
    _allow_heic()
    Image.init()  # without it the kinds that are loaded at need are not known by name
    formats = [name for name in _PILLOW_FORMATS if name in Image.OPEN]
    with source.open("rb") as file, plain_errors(source), warnings.catch_warnings():
        # From 89 million pixels Pillow warns and from 179 it refuses: only the latter matters. Of
        # metadata that it cannot read it warns and goes on, as is done here.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module=r"PIL\.")
        check_chunks(file)
        with Image.open(file, formats=formats) as image:
            pixels, size = image.width * image.height, source.stat().st_size
            if image.format in ("JPEG", "MPO") and pixels > _JPEG_PIXELS_A_BYTE * size:
                raise OSError(f"{size} bytes for {image.width}x{image.height} px")
            yield image


@contextmanager
def plain_errors(source: Path) -> Iterator[None]:
    """Turn what decoders raise into one line that names the file."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except UnidentifiedImageError:
        raise ValueError(f"{source.name}: cannot be read as a picture. {_hint(source)}") from None
    except Image.DecompressionBombError:
        limit = MAX_PIXELS // 1_000_000
        raise ValueError(
            f"{source.name}: larger than {limit} million pixels. Scale it down first."
        ) from None
    except (OSError, SyntaxError, EOFError, OverflowError, struct.error, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{source.name}: damaged or cut off ({reason}). Export it again."
        ) from error
    except ValueError as error:  # of our own readers, which do not know the name
        if str(error).startswith(source.name):
            raise
        raise ValueError(f"{source.name}: {' '.join(str(error).split())}") from error


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
