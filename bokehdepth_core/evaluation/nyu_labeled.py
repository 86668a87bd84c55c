"""The labelled part of NYU Depth V2 as its authors give it out: one HDF5 file, and the split's.

    NYUv2/nyu_depth_v2_labeled.mat    MATLAB 7.3, which is HDF5; stored with all axes reversed:
                                      images [N,3,w,h] uint8, rawDepths [N,w,h] m, 0 where the
                                      sensor measured nothing
    NYUv2/splits.mat                  MATLAB 5: testNdxs, counted from 1

Depth is what the sensor measured, not what its authors painted into its holes (`depths`).

Silberman et al., "Indoor segmentation and support inference from RGBD images", ECCV 2012;
cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html.
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

LABELED, SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"
MOST_PIXELS = 4 * 480 * 640  # of one photo; the set's have 480 x 640
MOST_PHOTOS = 100_000
_LARGEST_PIECE = 1 << 26  # bytes, unpacked at once
_INSTALL = "Install what reads it: pip install h5py scipy; or unpack the split as pictures."


def official_test_photos(file: Path) -> list[int]:
    """Return the photos of the official test split, counted from 0.

    Args:
        file: the labelled set; `splits.mat` lies beside it.

    Raises:
        FileNotFoundError: no `splits.mat`.
        ValueError: one that is no split of this set, or nothing installed that reads them.
    """
    beside = file.with_name(SPLITS)
    if not beside.is_file():
        raise FileNotFoundError(
            f"{beside}: not there; it tells which photos are for testing. Get it from the page of "
            f"{LABELED}."
        )
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ValueError(f"{beside}: {_INSTALL}") from error
    try:
        with beside.open("rb") as opened:
            numbers = np.asarray(loadmat(opened, variable_names=["testNdxs"])["testNdxs"])
    except Exception as error:  # scipy raises many kinds, and for strangers' files any
        raise ValueError(f"{beside}: no testNdxs in it ({error}). Get the file again.") from error
    with _opened(file) as data:
        count = len(_table(data, file, "images", 4))
    if numbers.dtype.kind not in "ui" or not numbers.size or numbers.size > MOST_PHOTOS:
        raise ValueError(f"{beside}: testNdxs holds no numbers of photos. Get the file again.")
    found = [int(one) - 1 for one in numbers.flatten()]
    if min(found) < 0 or max(found) >= count:
        raise ValueError(
            f"{beside}: testNdxs runs from {min(found) + 1} to {max(found) + 1}, {file.name} holds "
            f"{count} photos. Get both files again."
        )
    return sorted(found)


def read_labeled(file: Path, index: int) -> tuple[Tensor, Tensor]:
    """Return a photo [H,W,3], sRGB 0…1, and its depth [H,W], m, 0 where not measured.

    Raises:
        ValueError: not such a file, or nothing installed that reads it.
    """
    with _opened(file) as data:
        images, depths = _table(data, file, "images", 4), _table(data, file, "rawDepths", 3)
        size = tuple(images.shape[2:])
        if images.shape[1] != 3 or size != tuple(depths.shape[1:]) or len(depths) != len(images):
            raise ValueError(
                f"{file}: images {tuple(images.shape)} and rawDepths {tuple(depths.shape)} do not "
                "belong together. Get the file again."
            )
        if not 0 < size[0] * size[1] <= MOST_PIXELS:
            raise ValueError(f"{file}: photos of {size[1]}x{size[0]} px. Get the file again.")
        try:
            photo, depth = np.asarray(images[index]), np.asarray(depths[index])
        except OSError as error:
            raise ValueError(f"{file}: photo {index + 1}: {error}. Get the file again.") from error
    if photo.dtype != np.uint8 or depth.dtype.kind != "f":
        raise ValueError(
            f"{file}: expected images of uint8 and rawDepths of floats, found {photo.dtype} and "
            f"{depth.dtype}. Get the file again."
        )
    light = torch.from_numpy(photo.transpose(2, 1, 0).astype(np.float32) / 255)
    return light, torch.from_numpy(depth.T.astype(np.float32))


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as error:
        raise ValueError(f"{file}: {_INSTALL}") from error
    with contextlib.ExitStack() as stack:
        try:
            data = stack.enter_context(h5py.File(stack.enter_context(file.open("rb")), "r"))
        except OSError as error:
            raise ValueError(f"{file}: no HDF5 file ({error}). Get the file again.") from error
        yield data


def _table(data: Any, file: Path, name: str, axes: int) -> Any:
    """Return a table that lies in the file itself, in pieces that memory holds."""
    import h5py

    link = data.get(name, getlink=True)
    found = data.get(name) if isinstance(link, h5py.HardLink) else None
    inside = isinstance(found, h5py.Dataset) and not found.external and not found.is_virtual
    if found is None or not inside or found.ndim != axes:
        raise ValueError(f"{file}: no table {name} of {axes} axes in it. Get the file again.")
    piece = math.prod(found.chunks or (1,)) * found.dtype.itemsize
    if piece > _LARGEST_PIECE:
        raise ValueError(
            f"{file}: {name} is packed in pieces of {piece} bytes, expected {_LARGEST_PIECE} at "
            "most. Get the file again."
        )
    return found
