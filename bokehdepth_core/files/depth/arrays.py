"""NumPy files: the one array that is depth, found by its name and shape before it is unpacked."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..exr import MAX_PIXELS
from ..names import shown
from ..zips import open_zip
from .raw import DISPARITY, METRES, RawDepth, likely_quantity

DEPTH_NAMES = (
    *("depth", "metric_depth", "depth_metric", "depth_m", "depth_metres", "depth_meters"),
    *("depth_map", "depthmap", "depths", "pred_depth", "predicted_depth", "depth_pred", "z"),
    *("zdepth", "depth_mm", "dmap", "distance", "distance_to_image_plane", "distance_to_camera"),
    *("range", "disparity", "disp", "inverse_depth", "inv_depth", "pred", "prediction"),
    *("data", "values", "array", "image", "img", "arr", "arr_0"),
)
_CAMERAS = ("intrinsics", "intrinsic", "k", "camera_matrix", "cam_k", "camera", "intrinsics_matrix")
_CONFIDENCES = ("confidence", "conf", "confidence_map")
_MASKS = ("mask", "valid", "valid_mask", "depth_mask")
_OTHERS = (*_CAMERAS, *_CONFIDENCES, *_MASKS, "metric")
_SMALL = 4096  # bytes that a camera or a flag may take
_MOST_ARRAYS = 20_000
_USUAL_HEADER = 256  # bytes; most arrays have 128
_MOST_HEADERS = 1 << 20  # bytes beyond that of all arrays' headers


@dataclass(frozen=True)
class _Array:
    """An array in a file: how it is called, and what its header declares."""

    name: str
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=object))


def read_npy(source: Path) -> RawDepth:
    """Return the numbers of an .npy file.

    Raises:
        ValueError: damaged, Python objects, too large, or an array that is no single map.
    """
    with _plain_errors(source), source.open("rb") as file:
        head = _header(source.stem, file)
        values = _unpack(source, head, file, source.stat().st_size - file.tell())
    return RawDepth(
        _one_map(source, head.name, values),
        likely=likely_quantity(source.stem),
        top=_top(values.dtype),
    )


def read_npz(source: Path, channel: str = "") -> RawDepth:
    """Return the depth array of an .npz file; no other array of its size is unpacked.

    Args:
        source: the file.
        channel: name of the array; empty takes the first known name, or the only map.

    Raises:
        ValueError: damaged, Python objects, too large, or no array that is clearly the depth.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.npz"
        >>> np.savez(path, depth_map=np.ones((1, 2, 3)), rgb=np.ones((2, 3, 3)))
        >>> read_npz(path).values.shape
        (2, 3)
    """
    with _plain_errors(source), open_zip(source) as archive:
        arrays = _headers(source, archive)
        name = _chosen(source, arrays, channel)

        def load(one: str) -> np.ndarray:
            with archive.open(f"{one}.npy") as file:
                head = _header(one, file)
                return _unpack(source, head, file, archive.getinfo(f"{one}.npy").file_size)

        values = load(name)
        plane = _one_map(source, name, values)
        others = {
            one: load(one)
            for one, head in arrays.items()
            if one != name
            and one.lower() in _OTHERS
            and (head.bytes <= _SMALL or _map_shape(head.shape) == plane.shape)
        }
    return _described(source, name, values, plane, others, sorted(arrays))


def _headers(source: Path, archive: zipfile.ZipFile) -> dict[str, _Array]:
    """Return what the headers of all arrays in an archive declare, by name."""
    members = [one for one in archive.namelist() if one.endswith(".npy")]
    if len(members) > _MOST_ARRAYS:
        raise _TooLargeError(
            f"{source.name}: holds {len(members)} arrays, more than {_MOST_ARRAYS}. Save those "
            "that are needed alone."
        )
    arrays, size = {}, 0
    for member in members:
        with archive.open(member) as file:
            arrays[member[:-4]] = _header(member[:-4], file)
            size += max(0, file.tell() - _USUAL_HEADER)
        if size > _MOST_HEADERS:
            raise ValueError("its arrays' headers are too long")
    return arrays


def _described(
    source: Path,
    name: str,
    values: np.ndarray,
    plane: np.ndarray,
    others: dict[str, np.ndarray],
    names: list[str],
) -> RawDepth:
    lower = {one.lower(): array for one, array in others.items()}
    metric = _flag(source, lower.get("metric"), plane.shape)  # as write_depth says it
    quantity = METRES if metric else None
    confidence = _plane_of(lower, _CONFIDENCES, plane.shape)
    mask = _plane_of(lower, _MASKS, plane.shape)
    camera = next((lower[one] for one in _CAMERAS if one in lower), None)
    if metric is not None and quantity is None:  # reciprocal of normalised disparity
        with np.errstate(divide="ignore"):
            plane = np.reciprocal(plane.astype(np.float64))
        quantity = DISPARITY
    spare = [one for one in names if one != name and one.lower() not in _OTHERS]
    said = f"array {shown([name])} taken"
    if spare:
        said += f"; others: {shown(spare)}; `channel` names one"
    return RawDepth(
        plane,
        quantity,
        likely_quantity(name) or likely_quantity(source.stem),
        1.0 if quantity == DISPARITY else _top(values.dtype),
        measured=None if mask is None else mask > 0,
        confidence=confidence,
        intrinsics=camera,
        notes=() if name == "depth" and not spare else (said,),
    )


def _flag(source: Path, written: np.ndarray | None, shape: tuple[int, ...]) -> bool | None:
    """Return what the array named metric says; None where there is none, or it is another map.

    Raises:
        ValueError: neither yes nor no.
    """
    if written is None or _map_shape(written.shape) == shape != (1, 1):
        return None
    if written.size != 1 or written.reshape(-1)[0] not in (0, 1):
        raise ValueError(
            f"{source.name}: metric: expected true or false, found {str(written.tolist())[:40]}. "
            "Save it again."
        )
    return bool(written.reshape(-1)[0])


def _plane_of(
    arrays: dict[str, np.ndarray], names: tuple[str, ...], shape: tuple[int, ...]
) -> np.ndarray | None:
    for name in names:
        if name in arrays and _map_shape(arrays[name].shape) == shape:
            return arrays[name].reshape(shape)
    return None


def _chosen(source: Path, arrays: dict[str, _Array], channel: str) -> str:
    """Return the name of the depth array.

    Raises:
        ValueError: no such array, or none that is clearly the depth.
    """
    listed = shown(sorted(arrays)) or "none"
    lower = {name.lower(): name for name in reversed(arrays)}
    if channel:
        if channel.lower() not in lower:
            raise ValueError(
                f"{source.name}: no array named {shown([channel])}; found {listed}. `channel` "
                "names one."
            )
        return channel if channel in arrays else lower[channel.lower()]
    for known in DEPTH_NAMES:
        if known in lower:
            return lower[known]
    maps = [
        name
        for name, head in arrays.items()
        if _map_shape(head.shape) is not None and name.lower() not in _OTHERS
    ]
    named = [name for name in maps if "depth" in name.lower() or "disp" in name.lower()]
    if len(maps) == 1 or len(named) == 1:
        return (named or maps)[0]
    raise ValueError(
        f"{source.name}: no array named depth; found {listed}. Name one with `channel`."
    )


def _map_shape(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return (height, width) of an array that is one map, with or without axes of length 1."""
    if len(shape) < 2 or 0 in shape:
        return None
    if len(shape) == 2:
        return shape[0], shape[1]
    long = [length for length in shape if length != 1]
    if len(long) == 2:
        return long[0], long[1]
    if shape[-1] == 1 and set(shape[:-3]) <= {1}:  # [1,W,1] and [H,1,1]
        return shape[-3], shape[-2]
    return (shape[-2], shape[-1]) if set(shape[:-2]) <= {1} else None


def _one_map(source: Path, name: str, values: np.ndarray) -> np.ndarray:
    shape = _map_shape(values.shape)
    if shape is None:
        raise ValueError(
            f"{source.name}: expected depth [H,W], found {list(values.shape)} in {shown([name])}. "
            "Give one map."
        )
    if values.dtype.kind == "b":
        raise ValueError(
            f"{source.name}: expected distances, found yes and no (bool) in {shown([name])}. "
            "Give the depth; this is a mask."
        )
    return values.reshape(shape)


def _top(dtype: np.dtype[Any]) -> float | None:
    """Return what would be white in integers of this kind."""
    if dtype.kind not in "iu":
        return None
    return 255.0 if dtype.itemsize == 1 else 65535.0


def _header(name: str, file: IO[bytes]) -> _Array:
    """Return what the header of an .npy stream declares, leaving the stream at its numbers."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    return _Array(name, shape, fortran, dtype)


def _unpack(source: Path, head: _Array, file: IO[bytes], available: int) -> np.ndarray:
    """Return the numbers of one array; its size was declared and is checked before."""
    if head.dtype.hasobject:
        raise ValueError("it holds Python objects, which could run code")
    if head.dtype.kind not in "fiub":
        raise ValueError(f"{head.name} holds {head.dtype}, no real numbers")
    pixels = int(np.prod(head.shape, dtype=object))
    if pixels > MAX_PIXELS:
        raise _TooLargeError(
            f"{source.name}: {shown([head.name])} declares {str(list(head.shape))[:60]}, more than "
            f"{MAX_PIXELS // 1_000_000} million values. Scale it down first."
        )
    if available < head.bytes:
        raise ValueError("cut off")
    content = file.read(head.bytes)
    if len(content) != head.bytes:
        raise ValueError("cut off")
    flat = np.frombuffer(content, head.dtype)
    return flat.reshape(head.shape, order="F" if head.fortran else "C")


class _TooLargeError(ValueError):
    """An array that would take too much memory."""


@contextmanager
def _plain_errors(source: Path) -> Iterator[None]:
    """Turn what NumPy and zipfile raise for damaged files into one line."""
    try:
        yield
    except _TooLargeError:
        raise
    except (ValueError, OSError, EOFError, RuntimeError, NotImplementedError, KeyError) as error:
        if str(error).startswith(f"{source.name}: "):
            raise
        raise _damaged(source, error) from error
    except (zipfile.BadZipFile, zlib.error, SyntaxError, TypeError, OverflowError) as error:
        raise _damaged(source, error) from error


def _damaged(source: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split())[:200]
    return ValueError(f"{source.name}: damaged NumPy file ({reason}). Save it again.")
