"""Depth and focus as the commands take them."""

import argparse
import math
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..checks import check_number
from ..datatypes import DepthMap
from ..depth.person.guess import guess_portrait_depth
from ..files.clip_reading import is_clip
from ..files.depth.portraits.writing import JPEG_SUFFIXES, is_jpeg
from ..files.depth.raw import VALUES
from ..files.depth.reading import HOLES, DepthFile, read_depth_file
from ..files.depth_maps import write_depth
from ..files.exif import read_photo_lens
from ..files.pictures.images import read_image
from ..optics.camera import focal_length_px_from_35mm
from ..optics.focus.subject import find_subject
from ..optics.thin_lens import focus_depth_at
from ..resample import fit_depth

READING_FLAGS = {
    name: f"--depth-{name}" for name in ("values", "scale", "channel", "holes", "invert")
}


def add_depth_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add how a depth file is to be read; all of it is found out where nothing is said."""
    group = parser.add_argument_group("how the depth file is read")
    add = group.add_argument
    add(
        "--depth-values",
        choices=VALUES,
        default="automatic",
        help="what its numbers are; distance is along the ray, in disparity near is white, in "
        "depth near is black",
    )
    add("--depth-scale", type=float, metavar="M", help="metres for one unit of its numbers")
    add("--depth-channel", default="", metavar="NAME", help="channel of an EXR, array of an NPZ")
    add("--depth-holes", choices=HOLES, default="fill", help="fill along the photo, or call far")
    add("--depth-invert", action="store_true", help="swap near and far")


@dataclass(frozen=True, eq=False)
class Given:
    """A photo with its depth, as a command takes them.

    Attributes:
        photo: [1,H,W,3], sRGB.
        depth: of the same size.
        subject: [1,H,W], 0…1, the people that depth was guessed from; None where it was not.
    """

    photo: Tensor
    depth: DepthMap
    subject: Tensor | None = None


def photo_and_depth(options: argparse.Namespace, image: Tensor, refined: bool = True) -> Given:
    """Return the photo and its depth: from the depth file, else from the photo, else guessed.

    Args:
        options: of a command with a depth file and `add_depth_reading_options`.
        image: the photo as it was read, [1,H,W,3].
        refined: as `fitted` takes it.

    Raises:
        ValueError: an unusable depth file; or none, and nobody in the photo to guess depth from.
    """
    if options.depth is not None:
        return Given(image, depth_of(options, options.depth, image, refined))
    missing = _lacks_depth(options)
    if missing:
        return _guessed(options, image, missing)
    found = said_depth(options, options.image, _camera_in_shares(options, image))
    photo = image if found.photo is None else found.photo[None]
    fit = fitted(options.image, found.depth, photo, refined, _wraps(options))
    return Given(photo, fit)


def _wraps(options: argparse.Namespace) -> bool:
    return bool(getattr(options, "wrap", False))  # of `render` alone


def _lacks_depth(options: argparse.Namespace) -> str:
    """Return why a photo carries no depth, empty where it does.

    Raises:
        ValueError: it carries none, though options say how its depth is to be read.
    """
    try:
        found = read_depth_file(options.image)
    except ValueError as error:
        reason = re.split(r"\. |, and ", str(error))[0]
    else:
        reason = f"{options.image.name}: no depth inside" if found.photo is None else ""
    reading = next((flag for name, flag in READING_FLAGS.items() if is_set(options, name)), None)
    if reason and reading:
        raise ValueError(f"{reading}: there is no depth to read. Give a depth file. {reason}.")
    return reason


def is_set(options: argparse.Namespace, name: str) -> bool:
    """Return whether an option of `add_depth_reading_options`, such as "values", was given."""
    return getattr(options, f"depth_{name}") not in (None, "", "automatic", "fill", False)


def _guessed(options: argparse.Namespace, image: Tensor, reason: str) -> Given:
    found = guess_portrait_depth(image)
    print(f"{reason}. {found.report}")
    return Given(image, found.depth, found.alpha)


def depth_of(
    options: argparse.Namespace, path: Path, image: Tensor, refined: bool = True, said: bool = True
) -> DepthMap:
    """Return the depth in a file, holes filled along the image [1,H,W,3], at the image's size."""
    found = said_depth(options, path, _camera_in_shares(options, image), image[0], said)
    return fitted(path, found.depth, image, refined, _wraps(options), said)


def said_depth(
    options: argparse.Namespace,
    path: Path,
    camera: Tensor | None = None,
    photo: Tensor | None = None,
    said: bool = True,
) -> DepthFile:
    """Return what a depth file holds, and say on the terminal how it was read where wanted.

    Raises:
        ValueError: an unusable file; options are named as on the command line.
    """
    try:
        found = read_depth_file(
            path,
            options.depth_scale,
            values=options.depth_values,
            channel=options.depth_channel,
            holes=options.depth_holes,
            invert=options.depth_invert,
            photo=photo,
            intrinsics=camera,
        )
    except ValueError as error:
        raise ValueError(_with_flags(str(error))) from error
    for line in found.report if said else ():
        print(f"{path.name}: {_with_flags(line)}")
    return found


def _with_flags(text: str) -> str:
    """Return a line of the reader with the names that options have on the command line."""
    return re.sub(r"`(\w+)`", lambda found: READING_FLAGS.get(found[1], found[1]), text)


def _camera_in_shares(options: argparse.Namespace, image: Tensor) -> Tensor | None:
    """Return intrinsics [3,3] in shares of the picture, from the options or the photo's EXIF."""
    height, width = image.shape[1:3]
    focal_px = getattr(options, "focal_length_px", None)
    if focal_px is None:
        focal_35 = getattr(options, "focal_length_35mm", None)
        if focal_35 is None and not is_clip(options.image):
            focal_35 = read_photo_lens(options.image).focal_length_35mm
        if focal_35 is None:
            return None
        focal_px = focal_length_px_from_35mm(focal_35, width, height)
    return torch.tensor(
        [[focal_px / width, 0.0, 0.5], [0.0, focal_px / height, 0.5], [0.0, 0.0, 1.0]]
    )


def fitted(
    path: Path,
    depth: DepthMap,
    image: Tensor,
    refined: bool = True,
    wraps: bool = False,
    said: bool = True,
) -> DepthMap:
    """Return depth at the size of the image [1,H,W,3]; tell where it had another."""
    size = (image.shape[1], image.shape[2])
    found = (depth.depth.shape[1], depth.depth.shape[2])
    if found != size and said:
        note = (
            f"{path.name}: depth of {found[0]}x{found[1]} made {size[0]}x{size[1]} like the image"
        )
        print(note, file=sys.stderr)
    return fit_depth(depth, size, soft_edges=refined, wraps=wraps)


def carried_depth(options: argparse.Namespace) -> DepthFile | None:
    """Return the depth that `depth`'s photo carries or its depth file holds; None for photos.

    With `--photo` the file is a depth file for sure, and its holes are filled along that photo.
    """
    if options.photo is not None:
        photo = read_image(options.photo)
        return replace(said_depth(options, options.image, photo=photo), photo=photo)
    if options.image.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
        try:
            found = read_depth_file(options.image)
        except ValueError:
            return None
        if found.photo is None and not found.depth.metric:
            return None
    return said_depth(options, options.image)


def save_depth(options: argparse.Namespace, depth: DepthMap, image: Tensor | None) -> None:
    """Write `depth`'s output; a .jpg becomes a copy of the photo, if that is a JPEG, with depth.

    Args:
        options: of `depth`.
        depth: one map.
        image: the photo [H,W,3], of a focus stack the picture that is sharp everywhere; None where
            there is none.
    """
    photo = None
    if options.output.suffix.lower() in JPEG_SUFFIXES:
        source = options.photo or options.image
        photo = source if source is not None and is_jpeg(source) else None
        if photo is None and source is not None and image is not None:
            print(f"{options.output.name}: {source.name} is no JPEG; its picture is encoded anew")
    write_depth(options.output, depth, image, photo=photo)


def need_metres(depth: DepthMap) -> None:
    """Refuse depth without metres where a distance in metres is asked for.

    Raises:
        ValueError: relative depth.
    """
    if not depth.metric:
        raise ValueError(
            "focus_distance: the depth holds no metres, only normalised disparity. "
            "Give --focus-point instead."
        )


def given_distance(options: argparse.Namespace, depth: DepthMap) -> Tensor:
    """Return the distance that the options give as a focus plane, [1], m; infinity is allowed.

    Raises:
        ValueError: relative depth, or a distance that is not above zero.
    """
    need_metres(depth)
    if options.focus_distance == math.inf:  # a lens can be focused there
        return torch.tensor([math.inf])
    return torch.tensor([check_number(options.focus_distance, "focus_distance", above=0)])


def focus_plane(
    options: argparse.Namespace, depth: DepthMap, seen: Tensor, subject: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the depth of the focus plane, [B], and the focus point, [1,2], (x, y) in shares.

    The depth is the distance that was given, that of the subject, or that at the point. Where
    depth was guessed from people they are in focus, unless something else is asked for.

    Args:
        options: of `render`.
        depth: of the photo.
        seen: the photo, [1,H,W,3], sRGB.
        subject: [1,H,W], 0…1, people that depth was guessed from; None for none.

    Raises:
        ValueError: a distance for relative depth, or one that is not above zero.
    """
    point = torch.tensor([options.focus_point or (0.5, 0.5)])
    if options.focus_distance is not None:
        return given_distance(options, depth), point
    if subject is not None and options.focus_point is None:
        print("focus: on the people found in the photo; --focus-point changes that")
        return focus_depth_at(depth.depth, 0.5, 0.5, subject), point
    if options.focus_mode == "automatic":
        found = find_subject(seen, depth.depth)
        x, y = found.point[0].tolist()
        print(f"focus: on the subject found around {x:.2f},{y:.2f}")
        return found.focus_depth, found.point
    return focus_depth_at(depth.depth, *point[0].tolist()), point
