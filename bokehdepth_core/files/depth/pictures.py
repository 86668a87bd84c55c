"""Depth as a picture: PNG, TIFF, JPEG and the like, in 8, 16 or 32 bits, grey or equal channels."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...checks import check_number
from ..pictures.opening import open_image
from .colours import check_grey
from .raw import DISPARITY, METRES, RawDepth, likely_quantity, written_camera
from .tiff import TiffPlane, is_tiff, read_tiff

if TYPE_CHECKING:
    from PIL.Image import Image

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _GREY_ALPHA, _RGBA = 0, 2, 4, 6  # PNG specification, IHDR: colour types
_AV_LAYOUTS = {"ya16be": (2, ">u2"), "rgb48be": (3, ">u2"), "rgba64be": (4, ">u2")}
_ORIENTATION = 0x0112  # EXIF 2.32


def read_picture_depth(source: Path) -> RawDepth:
    """Return the grey values of a picture as they are stored, upright.

    Transparent pixels count as not measured.

    Raises:
        ValueError: no readable picture, or one in colour.
    """
    if is_tiff(source):
        plane = read_tiff(source)
        if plane is not None:
            return _from_tiff(source, plane)
    with open_image(source) as image:
        text = {str(k): str(v) for k, v in image.info.items() if str(k).startswith("bokehdepth.")}
        values, alpha, top = _decode(source, image)
        values = _upright(values, image)
        alpha = None if alpha is None else _upright(alpha, image)
    quantity, scale = _written_quantity(source, text)
    if quantity == METRES and top != 65535:
        raise ValueError(
            f"{source.name}: metres need a 16-bit grey picture, this one is of another kind. "
            "It was changed after it was written; save the depth again."
        )
    camera = text.get("bokehdepth.intrinsics")
    return RawDepth(
        values,
        quantity,
        likely_quantity(source.stem),
        top,
        scale,
        scale_is_fixed=quantity == METRES,
        measured=None if alpha is None or (alpha > 0).all() else alpha > 0,
        zero_is_sky=quantity == METRES,
        intrinsics=None if camera is None else written_camera(source, camera),
    )


def _from_tiff(source: Path, plane: TiffPlane) -> RawDepth:
    values = turned(plane.values, plane.orientation)
    return RawDepth(
        values,
        likely=likely_quantity(source.stem),
        top=_top(values),
        measured=None if plane.nodata is None else ~_equal(values, plane.nodata),
    )


def _equal(values: np.ndarray, number: float) -> np.ndarray:
    """Return where values are a number, as near to it as their type comes, [H,W] bool.

    >>> _equal(np.array([44], np.uint8), 300.0).tolist()  # and not 300 modulo 256
    [False]
    """
    if values.dtype.kind != "f":
        return np.asarray(values == number)
    with np.errstate(over="ignore"):
        return np.asarray(values == np.asarray(number).astype(values.dtype))


def _decode(source: Path, image: "Image") -> tuple[np.ndarray, np.ndarray | None, float | None]:
    """Return grey values [H,W], opacity [H,W] or None, and the value of white."""
    with source.open("rb") as file:
        head = file.read(26)
    if head.startswith(_PNG) and head[24] == 16 and head[25] in (_RGB, _GREY_ALPHA, _RGBA):
        image.load()  # Pillow finds what is cut off; it keeps 8 of the 16 bits
        return _split(source, _decode_16_bit(source), 65535.0)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        return values, None, _top(values)
    transparent = "A" in image.getbands() or "transparency" in image.info
    plain = np.asarray(image.convert("RGBA" if transparent else "RGB"))
    return _split(source, plain, 255.0)


def _split(
    source: Path, pixels: np.ndarray, top: float
) -> tuple[np.ndarray, np.ndarray | None, float]:
    """Return grey and opacity of [H,W,2…4] after checking that colour is grey."""
    channels = pixels.shape[-1]
    alpha = pixels[..., -1] if channels in (2, 4) else None
    if channels <= 2:
        return pixels[..., 0], alpha, top
    colour = pixels[..., :3]
    seen = colour if alpha is None else colour[alpha > 0][:, None]
    if not seen.size:
        raise ValueError(f"{source.name}: wholly transparent. Give a picture of depth.")
    if (seen == seen[..., :1]).all():
        return colour[..., 0], alpha, top
    check_grey(seen / top, source.name)
    return colour.mean(axis=-1), alpha, top


def _decode_16_bit(source: Path) -> np.ndarray:
    import av

    try:
        with source.open("rb") as file, av.open(file, "r", format="png_pipe") as container:
            frame = next(iter(container.decode(video=0)))
            channels, dtype = _AV_LAYOUTS[frame.format.name]
            plane = frame.planes[0]
            rows = np.frombuffer(bytes(plane), np.uint8).reshape(frame.height, plane.line_size)
    except (av.error.FFmpegError, StopIteration, KeyError) as error:
        raise ValueError(
            f"{source.name}: damaged or cut off ({error}). Export it again."
        ) from error
    used = np.ascontiguousarray(rows[:, : frame.width * channels * 2]).view(dtype)
    return used.reshape(frame.height, frame.width, channels).astype(np.uint16)


def _top(values: np.ndarray) -> float | None:
    """Return the value of white for integers; floats have none."""
    if values.dtype.kind == "f":
        return None
    return 255.0 if values.dtype.itemsize == 1 else 65535.0


def _upright(values: np.ndarray, image: "Image") -> np.ndarray:
    if image.format in ("TIFF", "HEIF", "AVIF"):  # turned by their readers already
        return values
    return turned(values, image.getexif().get(_ORIENTATION, 1))


def turned(values: np.ndarray, orientation: int) -> np.ndarray:
    """Return stored values [H,W] as they are meant to be seen (EXIF 2.32, Orientation).

    >>> turned(np.array([[1, 2]]), 6).tolist()
    [[1], [2]]
    """
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def _written_quantity(source: Path, text: dict[str, str]) -> tuple[str | None, float | None]:
    """Return what `write_depth` says the values are, and the metres of one step."""
    quantity = text.get("bokehdepth.quantity")
    if quantity != "depth":
        return (None, None) if quantity is None else (DISPARITY, None)
    try:
        return METRES, check_number(text.get("bokehdepth.scale"), "scale", above=0)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(
            f"{source.name}: holds depth, but how many metres a step is cannot be read ({error}) "
            "Save the depth again."
        ) from None
