"""`bokehdepth render CLIP DEPTH`: a clip in, with depth for its frames; a clip out."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..callbacks import OnProgress
from ..checks import counted
from ..color import convert_color
from ..datatypes import DepthMap
from ..files.clip_reading import Clip, is_clip, open_clip
from ..files.pictures.images import Photo
from ..optics.focus.controls import strength_in_px
from ..optics.focus.subject import find_subject
from ..optics.thin_lens import focus_depth_at
from ..render.lens_look import render_lens_look
from ..render.steady import FrameDepth
from .focus_pull import write_frames
from .inputs import depth_of, fitted, given_distance
from .lens_options import look_of
from .progress import progress_bar

LensOf = Callable[[argparse.Namespace, Photo, DepthMap, Tensor, Tensor], dict[str, Any]]


def render_clip(options: argparse.Namespace, lens_of: LensOf) -> None:
    """Render a clip frame by frame, and write each as it comes; memory holds one frame.

    Args:
        options: of `render`, whose image is a clip.
        lens_of: returns the arguments of `render_bokeh` for a photo, as one photo has them.

    Raises:
        ValueError: unusable options or files.
    """
    _check(options)
    clip = open_clip(options.image)
    depths = _depth_source(options, clip)
    photo = next(clip.frames())
    with progress_bar("render") as on_progress:
        frames = _rendered(options, clip, depths, lens_of, on_progress)
        write_frames(options, photo, frames)


def _check(options: argparse.Namespace) -> None:
    """Refuse a clip whose depth or strength is left out.

    Raises:
        ValueError: it is.
    """
    if options.depth is None:
        raise ValueError(
            "depth: a clip needs some. Give a folder of depth files, one for each frame, a video "
            "of them (near is white), or one file for all."
        )
    if options.strength is None:
        raise ValueError("strength: is the same for all frames of a clip. Give --strength.")


def _depth_source(options: argparse.Namespace, clip: Clip) -> Clip | Path:
    """Return the clip of depths, or the file that stands for all frames.

    Raises:
        ValueError: another number of depths than of frames.
    """
    if not is_clip(options.depth):
        return Path(options.depth)
    depths = open_clip(options.depth)
    if clip.count and depths.count and clip.count != depths.count:
        raise ValueError(
            f"depth: {depths.count} for a clip of {counted(clip.count, 'frame')}. Give one for "
            "all, or one for each frame."
        )
    return depths


def _depths(options: argparse.Namespace, source: Clip | Path, like: Tensor) -> Iterator[DepthMap]:
    """Yield the depth of each frame, at the size of the photos `like`, [1,H,W,3]; never ends early.

    How a file was read is said for the first one.
    """
    if isinstance(source, Path):
        yield from repeat(depth_of(options, source, like, options.refine))
    elif source.files:
        for index, path in enumerate(source.files):
            yield depth_of(options, path, like, options.refine, said=index == 0)
    else:
        for index, photo in enumerate(source.frames()):
            grey = photo.image.mean(dim=-1)[None]
            disparity = 1 - grey if options.depth_invert else grey
            found = DepthMap.from_normalized_disparity(disparity)
            yield fitted(source.path, found, like, options.refine, options.wrap, said=index == 0)


def _rendered(
    options: argparse.Namespace,
    clip: Clip,
    source: Clip | Path,
    lens_of: LensOf,
    on_progress: OnProgress,
) -> Iterator[Tensor]:
    """Yield the frames through the lens, [1,H,W,C] each."""
    holding = FrameDepth(options.steady, refine=False)
    edges = FrameDepth(options.steady, hold=False, refine=options.refine, wraps=options.wrap)
    look, depths = look_of(options), None
    lens: dict[str, Any] = {}
    point = torch.tensor([options.focus_point or (0.5, 0.5)])
    for index, photo in enumerate(clip.frames()):
        image = photo.image[None].to(options.device)
        seen = convert_color(image, photo.color_space, "sRGB")
        depths = depths or _depths(options, source, seen)
        depth = next(depths, None)
        if depth is None:
            raise ValueError(f"{options.depth}: {counted(index, 'frame')}, the clip has more.")
        held = holding.next(seen[0], depth.depth[0].to(options.device))[None]
        focus = _focus(options, replace(depth, depth=held), seen)
        lens = lens or lens_of(options, photo, depth, focus, point)
        alpha = None if photo.alpha is None else photo.alpha[None].to(options.device)
        own = {"image": image, "depth": held, "focus_depth": focus, "alpha": alpha}

        def in_clip(done: int, total: int, first: int = index) -> None:
            count = max(clip.count, first + 1)
            on_progress(first * total + done, count * total)

        yield render_lens_look(
            look,
            strength=strength_in_px(options.strength, options.strength_unit, image.shape[2]),
            grain_seed=index,
            on_progress=in_clip,
            **edges.prepared(lens | own),
        )


def _focus(options: argparse.Namespace, depth: DepthMap, seen: Tensor) -> Tensor:
    """Return the depth of the focus plane of a frame, [1].

    Raises:
        ValueError: a distance for relative depth, or one that is not above zero.
    """
    if options.focus_distance is not None:
        return given_distance(options, depth)
    if options.focus_mode == "automatic":
        return find_subject(seen, depth.depth).focus_depth
    return focus_depth_at(depth.depth, *(options.focus_point or (0.5, 0.5)))
