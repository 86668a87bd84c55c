"""`bokehdepth render --focus-pull`: one photo in, a clip out whose focus moves."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ..checks import counted
from ..color import convert_color
from ..datatypes import DepthMap
from ..files.atomic import whole_folder
from ..files.clips import FILM, write_clip, written_fps
from ..files.pictures.images import Photo
from ..optics.focus.controls import strength_in_px
from ..optics.focus.track import FocusTrack, focus_track
from ..render.focus_pull import render_focus_pull
from .contradictions import check_no_frames, is_clip_file, makes_clip
from .photos import write_photo
from .progress import progress_bar


def add_focus_pull_options(parser: argparse.ArgumentParser) -> None:
    """Add what makes a clip of a photo."""
    group = parser.add_argument_group(
        "a clip whose focus moves; -o is then .mp4, .gif, or a folder",
        "Frames go into a folder as frame_00000.png and on (.exr of linear light). It may hold "
        "other files, but no frames yet: none is replaced.",
    )
    add = group.add_argument
    add("--focus-pull", metavar="KEYS", help='"0: 1.2 m; 48: 4 m ease", or points: "0: 0.3,0.5"')
    add("--frames", type=int, default=0, metavar="N", help="of the clip; else up to the last key")
    add("--fps", type=float, help=f"frames a second of .mp4 and .gif; else {FILM:g}")
    group = parser.add_argument_group(
        "a clip, its depth a folder of as many files, a video of them, or one; -o is as above"
    )
    held = "hold depth and edges where the frames do not change, against flicker"
    group.add_argument("--steady", type=float, default=0.0, metavar="0…1", help=held)


def options_of_frames(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options of `render`, their output a picture: of a clip, one of its frames."""
    if not makes_clip(options):
        return options
    output: Path = options.output
    # As a JPEG, a clip in a file keeps no transparency.
    frame = output.with_name("frame.jpg") if is_clip_file(output) else output / "frame.png"
    return argparse.Namespace(**{**vars(options), "output": frame})


def track_of(options: argparse.Namespace, depth: DepthMap) -> FocusTrack | None:
    """Return the focus of the clip; None where a picture is wanted."""
    if options.focus_pull is None:
        return None
    track = focus_track(depth.depth, options.focus_pull, options.frames, metric=depth.metric)
    if track.strengths is None:
        return track
    width = depth.depth.shape[2]
    keyed = (strength_in_px(one, options.strength_unit, width) for one in track.strengths)
    return replace(track, strengths=tuple(keyed))


def write_focus_pull(
    options: argparse.Namespace, photo: Photo, track: FocusTrack, lens: dict[str, Any]
) -> None:
    """Render a clip frame by frame, and write each as it comes.

    Args:
        options: of `render`.
        photo: that the clip is made of.
        track: of the focus, with the strength of each frame, px·m.
        lens: the other arguments of `render_focus_pull`, picture and depth among them.
    """
    with progress_bar("render") as on_progress:
        frames = render_focus_pull(strength=0.0, track=track, on_progress=on_progress, **lens)
        write_frames(options, photo, frames)


def write_frames(options: argparse.Namespace, photo: Photo, frames: Iterator[Tensor]) -> None:
    """Write frames [1,H,W,C], each as it comes, as the output of `render` says: all, or none.

    Args:
        options: of `render`.
        photo: of the kind that the frames were made of.
        frames: one by one.
    """
    if is_clip_file(options.output):
        seen = (convert_color(one[..., :3], photo.color_space, "sRGB") for one in frames)
        fps = FILM if options.fps is None else options.fps
        count, written = write_clip(options.output, seen, fps), written_fps(options.output, fps)
        speed = f", written as {written:.4g} fps: GIF holds steps of 1/100 s, which {fps:g} is not"
        speed = "" if written == fps else speed
    else:
        count, speed = _write_pictures(options, photo, frames), ""
    print(f"{options.output}: {counted(count, 'frame')}{speed}")


def _write_pictures(options: argparse.Namespace, photo: Photo, frames: Iterator[Tensor]) -> int:
    """Write frames as numbered pictures into a folder, PNG, or EXR of light; return how many."""
    count, suffix = 0, ".png" if photo.color_space == "sRGB" else ".exr"
    with whole_folder(options.output) as folder:
        for index, frame in enumerate(frames):
            named = folder / f"frame_{index:05d}{suffix}"
            own = argparse.Namespace(**{**vars(options), "output": named})
            write_photo(own, photo, frame[0])
            count = index + 1
        check_no_frames(options.output)  # another run may have written there meanwhile
    return count
