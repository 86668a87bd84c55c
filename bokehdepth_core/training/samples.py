"""One sample of a manifest as tensors: photo, depth, stack, and where depth is known."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..files.depth.reading import read_depth_file
from ..files.pictures.images import read_image
from ..resample import fit_depth
from .manifest import Entry


@dataclass(frozen=True, eq=False)
class Sample:
    """A photo, its depth and its stack.

    Attributes:
        pictures: [1+N,H,W,3], sRGB, 0…1; the photo and the frames of its stack.
        strengths: [1+N], px·m; 0 for the photo.
        disparity: [H,W], 1/m, or normalised where `metric` is False; 0 is infinitely far.
        known: [H,W] bool, where the disparity was measured.
        focus_disparity: of the plane that is sharp in the frames, in the unit of `disparity`;
            NaN where nobody knows.
        metric: True where the disparity is of metres.
    """

    pictures: Tensor
    strengths: Tensor
    disparity: Tensor
    known: Tensor
    focus_disparity: float = float("nan")
    metric: bool = True


def load_sample(entry: Entry, *, nan_is_unknown: bool = False) -> Sample:
    """Return the pictures and the depth of one entry, at the photo's size.

    Depth of another size is brought to the photo's. What is 0 or not measured is not known.

    Args:
        entry: with depth; its stack may be empty.
        nan_is_unknown: take NaN in the depth for "not measured" instead of refusing the file.

    Raises:
        ValueError: unusable or missing files, frames of another size, or NaN depth; the message
            names the manifest's line.
    """
    if entry.depth is None:
        raise ValueError(f"{entry.where}: no depth. Add it, or make it with bokehdepth stack.")
    try:
        photo = read_image(entry.reference)
        found = read_depth_file(entry.depth, entry.depth_scale)
        frames = [read_image(one) for one in entry.frames]
    except (ValueError, OSError) as error:
        raise ValueError(f"{entry.where}: {error}") from error
    if found.nan_pixels and not nan_is_unknown:
        raise ValueError(
            f"{entry.where}: {entry.depth.name} holds NaN in {found.nan_pixels} pixels. Repair it, "
            "or take NaN for not measured with --nan-depth unknown."
        )
    for file, frame in zip(entry.frames, frames, strict=True):
        if frame.shape != photo.shape:
            raise ValueError(
                f"{entry.where}: {file.name} is {frame.shape[0]}x{frame.shape[1]}, its photo "
                f"{photo.shape[0]}x{photo.shape[1]}. Make the frames from the same photo."
            )
    depth = fit_depth(found.depth, (photo.shape[0], photo.shape[1]))
    confidence = depth.confidence
    # A pixel that is interpolated half from a hole is none that was measured.
    known = torch.ones_like(depth.depth, dtype=torch.bool)
    if confidence is not None:
        known = confidence > (0.0 if depth is found.depth else 0.5)
    return Sample(
        torch.stack([photo, *frames]),
        torch.tensor([0.0, *entry.strengths]),
        depth.disparity[0],
        known[0],
        float("nan") if entry.focus_depth is None else 1 / entry.focus_depth,
        depth.metric,
    )
