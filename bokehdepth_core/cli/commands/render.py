"""`bokehdepth render`: a photo in, with its depth or a person in it; through a lens out."""

import argparse
import math
import sys
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...color import convert_color
from ...datatypes import DepthMap
from ...devices import kth_smallest
from ...files.clip_reading import is_clip
from ...files.exif import read_photo_lens
from ...files.pictures.images import Photo, check_picture_name, read_image
from ...optics.camera import focal_length_px_from_35mm, intrinsics_from_focal_length
from ...optics.focus.controls import (
    STRENGTH_UNITS,
    FocusControls,
    controlled_defocus,
    strength_in_px,
)
from ...optics.focus.track import FocusTrack
from ...optics.thin_lens import LENS_NUMBERS, bokeh_strength_from_lens
from ...render.highlights import BOOST_FROM
from ...render.lens_look import render_lens_look
from ...render.panorama import panorama_doubts
from ..clip import render_clip
from ..contradictions import check_render_options
from ..focus_pull import options_of_frames, track_of, write_focus_pull
from ..inputs import depth_of, focus_plane, photo_and_depth
from ..lens_options import look_of
from ..options import check_folder, controls_of
from ..photos import check_coc_name, read_photo_for, write_coc, write_photo
from ..progress import progress_bar

VISIBLE_BLUR = 0.02  # of the width: the radius that a portrait lens gives its background


def run_render(options: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        ValueError: unusable options or files.
        FileNotFoundError: no such file.
    """
    check_folder(options.output)
    check_render_options(options)
    shown = options_of_frames(options)
    check_picture_name(shown.output, shown.bits)
    check_coc_name(options.coc)
    if is_clip(options.image):
        render_clip(options, _lens_of)
        return
    photo = read_photo_for(shown)
    seen = convert_color(photo.image, photo.color_space, "sRGB")[None]
    given = photo_and_depth(options, seen, options.refine)
    depth = given.depth
    if given.photo.shape != seen.shape:  # the photo beside its depth may be of another size
        photo = Photo(given.photo[0], None, "sRGB")
    image = photo.image[None]
    track = track_of(options, depth)
    seen = convert_color(image, photo.color_space, "sRGB")
    if options.wrap:
        _doubt_panorama(seen)
    planes, point = _focus_planes(options, depth, seen, given.subject, track)
    lens = _lens_of(options, photo, depth, planes[:1], point)
    if track is not None:
        if track.strengths is None:
            track = replace(track, strengths=_strengths(options, depth, planes, image))
        write_focus_pull(options, photo, track, lens | {"look": look_of(options)})
        return
    (strength,) = _strengths(options, depth, planes, image)
    with progress_bar("render") as on_progress:
        blurred = render_lens_look(
            look_of(options), strength=strength, on_progress=on_progress, **lens
        )
    write_photo(options, photo, blurred[0])
    if options.coc is not None:
        turning = {name: lens[name] for name in ("intrinsics", "focus_point", "controls")}
        write_coc(options.coc, controlled_defocus(depth.depth, strength, planes, **turning)[0])
    unit = " m" if depth.metric else " (unit-free)"
    print(f"{options.output}: strength {strength:g}, focus at {float(planes):.3g}{unit}")


def _focus_planes(
    options: argparse.Namespace,
    depth: DepthMap,
    seen: Tensor,
    subject: Tensor | None,
    track: FocusTrack | None,
) -> tuple[Tensor, Tensor]:
    """Return the depth of the focus plane, [1], of a keyed pull of each frame, and the point [1,2].

    Args:
        options: of `render`.
        depth: of the photo.
        seen: the photo, [1,H,W,3], sRGB.
        subject: [1,H,W], 0…1, people that depth was guessed from; None for none.
        track: of the focus; None for none.
    """
    if track is None or track.focus_depth is None:
        return focus_plane(options, depth, seen, subject)
    return track.focus_depth, torch.tensor([options.focus_point or (0.5, 0.5)])


def _doubt_panorama(seen: Tensor) -> None:
    said = panorama_doubts(seen)
    if said:
        print(said, file=sys.stderr)


def _lens_of(
    options: argparse.Namespace, photo: Photo, depth: DepthMap, focus_depth: Tensor, point: Tensor
) -> dict[str, Any]:
    """Return the arguments of `render_bokeh` but for strength and aperture."""
    image, controls = photo.image[None], controls_of(options)
    background, behind = _background(options, depth, image, photo.color_space)
    return {
        "image": image.to(options.device),
        "depth": depth.depth.to(options.device),
        "focus_depth": focus_depth,
        "highlight_boost": options.highlight_boost,
        "highlight_threshold": BOOST_FROM
        if options.highlight_threshold is None
        else options.highlight_threshold,
        "controls": controls,
        "grain": options.grain,
        "quality": options.quality,
        "refine_depth": options.refine,
        "wrap": options.wrap,
        "background": background,
        "background_depth": behind,
        "color_space": photo.color_space,
        "alpha": None if photo.alpha is None else photo.alpha[None].to(options.device),
        "premultiplied": photo.premultiplied,
        "hold_out": _hold_out(options, image),
        "intrinsics": _camera(options, depth, image, controls),
        "focus_point": point,
    }


def _hold_out(options: argparse.Namespace, image: Tensor) -> Tensor | None:
    """Return the mask [1,H,W] of what is to stay as it is; None where none is given."""
    if options.hold_out is None:
        return None
    mask = read_image(options.hold_out).mean(dim=-1)[None]
    if mask.shape[1:] != image.shape[1:3]:
        raise ValueError(
            f"{options.hold_out}: {mask.shape[1]}x{mask.shape[2]}, the image is "
            f"{image.shape[1]}x{image.shape[2]}. Draw the mask on the same picture."
        )
    return mask.to(options.device)


def _background(
    options: argparse.Namespace, depth: DepthMap, image: Tensor, color_space: str
) -> tuple[Tensor | None, Tensor | None]:
    """Return what is known of the background: its picture [1,H,W,3] and its depth [1,H,W]."""
    picture = hidden = None
    if options.background is not None:
        picture = convert_color(read_image(options.background), "sRGB", color_space)
        picture = picture[None].to(options.device)
    if options.background_depth is not None:
        found = depth_of(options, options.background_depth, image, refined=False)
        if found.metric != depth.metric:
            raise ValueError(
                f"{options.background_depth}: one of the two depths is in metres and the other is "
                "not. Give two of a kind."
            )
        hidden = found.depth.to(options.device)
    return picture, hidden


def _camera(
    options: argparse.Namespace, depth: DepthMap, image: Tensor, controls: FocusControls
) -> Tensor | None:
    """Return intrinsics, [1,3,3], px, of the depth, the options or EXIF; None where not needed.

    Raises:
        ValueError: a turned plane of focus, and depth without metres.
    """
    if not (controls.tilt or controls.swing):
        return None
    if not depth.metric:
        name = "tilt" if controls.tilt else "swing"
        raise ValueError(
            f"{name}: turning the plane of focus needs metres, and this depth is normalised "
            "disparity. Leave it out, or give metric depth."
        )
    if depth.intrinsics is not None:
        return depth.intrinsics
    focal_35 = options.focal_length_35mm
    if focal_35 is None and not is_clip(options.image):
        focal_35 = read_photo_lens(options.image).focal_length_35mm
    if focal_35 is None:
        raise ValueError("tilt: no camera is known. Give --focal-length-35mm as well.")
    height, width = image.shape[1:3]
    focal_px = focal_length_px_from_35mm(focal_35, width, height)
    return intrinsics_from_focal_length(focal_px, width, height)


def _strengths(
    options: argparse.Namespace, depth: DepthMap, planes: Tensor, image: Tensor
) -> tuple[float, ...]:
    """Return K for each of the focus planes [B], px·m: as given, of a lens, or one that shows.

    Raises:
        ValueError: a unit without a strength.
    """
    if options.strength is not None:
        given = strength_in_px(options.strength, options.strength_unit, image.shape[2])
        return (given,) * len(planes)
    if options.strength_unit != STRENGTH_UNITS[0]:
        raise ValueError("strength_unit: given without a strength. Give --strength as well.")
    return _chosen_strengths(options, depth, planes, image)


def _chosen_strengths(
    options: argparse.Namespace, depth: DepthMap, planes: Tensor, image: Tensor
) -> tuple[float, ...]:
    """Return K of the lens where anything of it is known, else one that shows, and say so."""
    lens = read_photo_lens(options.image)
    names = ("f_number", "focal_length_mm", "focal_length_35mm")
    asked = any(getattr(options, name) is not None for name in names)
    known = depth.metric and all(getattr(lens, name) is not None for name in names)
    if asked or known:
        return _lens_strengths(options, depth, planes, image)
    width = image.shape[2]
    strength = strength_for_radius(depth.depth, planes[:1], VISIBLE_BLUR * width)
    print(
        f"strength: {strength:.3g} chosen, for no lens is known: its blur reaches "
        f"{100 * VISIBLE_BLUR:g} % of the width; --strength changes that"
    )
    return (strength,) * len(planes)


def strength_for_radius(depth: Tensor, focus_depth: Tensor, radius: float) -> float:
    """Return the K whose blur reaches a radius, px, at nearly the most defocused of the depth.

    Args:
        depth: [B,H,W], m or unit-free.
        focus_depth: [B], the same unit.
        radius: px, reached at the 99th percentile; a stray pixel does not count.

    >>> import torch
    >>> depth = torch.tensor([[[1.0, 2.0]]]).expand(1, 50, 2)
    >>> strength_for_radius(depth, torch.tensor([1.0]), 10.0)
    20.0
    """
    offsets = (1 / depth - 1 / focus_depth[:, None, None]).abs().flatten()
    farthest = float(kth_smallest(offsets, max(1, round(0.99 * offsets.numel()))))
    return radius / farthest if farthest > 0 else 0.0


def _lens_strengths(
    options: argparse.Namespace, depth: DepthMap, planes: Tensor, image: Tensor
) -> tuple[float, ...]:
    """Return K of each plane from the lens options, with EXIF for what they leave out."""
    if not depth.metric:
        raise ValueError(
            "f_number: a lens needs depth in metres and this one is normalised disparity. "
            "Give --strength instead."
        )
    lens = read_photo_lens(options.image)
    names = ("f_number", "focal_length_mm", "focal_length_35mm")
    given = {name: getattr(options, name) for name in names}
    values = {name: getattr(lens, name) if one is None else one for name, one in given.items()}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        flags = ", ".join("--" + name.replace("_", "-") for name in missing)
        raise ValueError(
            "strength: not given, and the photo's EXIF lacks the lens. "
            f"Give --strength, or {flags}."
        )
    height, width = image.shape[1:3]
    # As far as that a lens is focused at infinity; a pull towards it comes close.
    distances = [one if one < LENS_NUMBERS[1] else math.inf for one in planes.tolist()]
    return tuple(
        bokeh_strength_from_lens(**values, focus_distance_m=one, width=width, height=height)
        for one in distances
    )
