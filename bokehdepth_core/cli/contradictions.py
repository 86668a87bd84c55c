"""Options of `render` that contradict each other, or would do nothing: refused before the work."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from ..checks import check_number
from ..files.clip_reading import is_clip
from ..files.clips import CLIP_SUFFIXES, check_clip_name, check_fps
from ..optics.focus.keyframes import SUBJECT, Keyframe, parse_keyframes
from ..optics.lens import LENS_LOOKS
from .lens_options import check_shape_used

_FRAME = re.compile(r"frame_\d+\..*", re.IGNORECASE)


def makes_clip(options: argparse.Namespace) -> bool:
    """Return whether `render` makes a clip: of a clip, or of a photo with a focus pull."""
    return options.focus_pull is not None or is_clip(options.image)


def is_clip_file(output: Path) -> bool:
    """Return whether a clip of this name is a file, and not a folder of pictures."""
    return output.suffix.lower() in CLIP_SUFFIXES and not output.is_dir()


def check_render_options(options: argparse.Namespace) -> None:
    """Refuse options of `render` that contradict each other, or would do nothing.

    Raises:
        ValueError: they do; it names the options. Or keyframes that cannot be read, or an output
            that the frames cannot go to.
    """
    keys = () if options.focus_pull is None else _keyframes(options)
    _check_clip(options)
    _check_output(options)
    _check_focus(options, keys)
    _check_strength(options, keys)
    if options.highlight_threshold is not None and not options.highlight_boost:
        raise _refused("highlight_threshold", "without --highlight-boost nothing is boosted")
    check_shape_used(options, LENS_LOOKS[options.lens].aperture)
    for name in ("blades", "blade_curvature"):
        if options.aperture_image is not None and getattr(options, name) is not None:
            raise _refused(name, "--aperture-image is the opening, and has no blades")


def check_no_frames(folder: Path) -> None:
    """Refuse a folder with frames: those beyond the last would stay, others might be somebody's.

    Raises:
        ValueError: it holds some.
    """
    found = sorted(one.name for one in folder.glob("*") if _FRAME.fullmatch(one.name))
    if found:
        raise ValueError(
            f"{folder}: choose an empty folder, or remove its frames first. It holds {found[0]}"
            f"{f' and {len(found) - 1} more' if len(found) > 1 else ''}."
        )


def _refused(name: str, reason: str) -> ValueError:
    return ValueError(f"{name}: leave --{name.replace('_', '-')} out; {reason}.")


def _keyframes(options: argparse.Namespace) -> Sequence[Keyframe]:
    """Return the keyframes of the focus pull.

    Raises:
        ValueError: of a clip, unreadable, none, or with a subject that only masks can tell.
    """
    if is_clip(options.image):
        raise ValueError("focus_pull: is for one photo, not for a clip. Leave --focus-pull out.")
    try:
        keys = parse_keyframes(options.focus_pull)
    except ValueError as error:  # it names the input of the node
        raise ValueError(str(error).replace("keyframes:", "focus_pull:", 1)) from error
    if not keys:
        raise ValueError('focus_pull: is empty. Write such as "0: 1.2 m; 48: 4 m ease".')
    if any(key.focus == SUBJECT for key in keys):
        raise ValueError(
            'focus_pull: name a distance or a point in place of "subject". It is followed by '
            "masks, which the command line does not take; the node Focus Pull does."
        )
    return keys


def _check_clip(options: argparse.Namespace) -> None:
    """Refuse what only a clip has where there is none, and what a clip does not have.

    Raises:
        ValueError: such an option is given.
    """
    if options.frames and options.focus_pull is None:
        raise ValueError("frames: given without keyframes. Give --focus-pull as well.")
    if options.coc is not None and makes_clip(options):
        raise ValueError("coc: is written for one picture, not for a clip. Leave --coc out.")
    if check_number(options.steady, "steady", 0.0, 1.0):
        if not is_clip(options.image):
            raise _refused("steady", "it holds the depth of a clip's frames, and this is one photo")
        if options.depth is not None and not is_clip(options.depth) and not options.refine:
            raise _refused("steady", "one depth for all frames does not flicker with --no-refine")
    if options.fps is not None:
        check_fps(options.fps)
        if not makes_clip(options):
            raise _refused("fps", "one photo without --focus-pull is one picture")
        if not is_clip_file(options.output):
            raise _refused(
                "fps", f"{options.output} is a folder of pictures; .mp4 and .gif have it"
            )


def _check_output(options: argparse.Namespace) -> None:
    """Refuse an output that cannot take the picture, or the frames.

    Raises:
        ValueError: a folder for a picture, another kind of clip, 16 bits for one, or a folder that
            holds frames.
    """
    output: Path = options.output
    if not makes_clip(options):
        if output.is_dir():
            raise ValueError(f"{output}: is a folder. Name a picture in it, such as bokeh.png.")
        return
    if output.is_dir():
        check_no_frames(output)
    elif output.suffix:
        check_clip_name(output)
        if options.bits != 8:
            raise _refused("bits", f"{output.name} has 8 for each channel; a folder may have 16")


def _check_focus(options: argparse.Namespace, keys: Sequence[Keyframe]) -> None:
    """Refuse several options that say what is in focus.

    A point beside a distance is what tilt and swing turn the plane of focus about.

    Raises:
        ValueError: one of them would not be used.
    """
    focused = [key.focus for key in keys if key.focus is not None]
    automatic = options.focus_mode == "automatic"
    given = {"focus_distance": options.focus_distance is not None, "focus_mode": automatic}
    at_point, turns = options.focus_point is not None, options.tilt or options.swing
    if focused:
        for name in (name for name, one in given.items() if one):
            raise _refused(name, "--focus-pull says what is in focus")
        has_distance = any(isinstance(one, float) for one in focused)
        if at_point and not (turns and has_distance):
            raise _refused("focus_point", "--focus-pull says what is in focus")
    if automatic and (at_point or given["focus_distance"]):
        other = "--focus-point" if at_point else "--focus-distance"
        raise _refused("focus_mode", f"automatic looks for the subject, and {other} is given")
    if at_point and given["focus_distance"] and not turns:
        raise _refused("focus_point", "--focus-distance is given, and no --tilt turns about it")


def _check_strength(options: argparse.Namespace, keys: Sequence[Keyframe]) -> None:
    """Refuse several options that say how strong the blur is.

    Raises:
        ValueError: one of them would not be used.
    """
    for name in ("strength", "f_number", "focal_length_mm"):
        if getattr(options, name) is None:
            continue
        if any(key.strength is not None for key in keys):
            raise _refused(name, "--focus-pull keys the strength")
        if name == "focal_length_mm" and options.strength is not None:
            raise _refused(name, "it goes with --f-number, and --strength is given")
