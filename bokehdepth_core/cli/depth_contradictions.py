"""Options of `depth` that contradict each other, or would do nothing: refused before the work."""

import argparse

from ..weights.published import BUILT_IN
from .inputs import READING_FLAGS, is_set
from .lens_options import SHAPE_OPTIONS, check_shape_used


def check_depth_options(options: argparse.Namespace) -> None:
    """Refuse options of `depth` that contradict each other, or would do nothing.

    Raises:
        ValueError: they do; it names the option.
    """
    if options.subject is None:
        if options.separation is not None:
            raise _unused("separation", "it goes with a mask, --subject")
        if not options.ground:
            raise _unused("no_ground", "it goes with a mask, --subject")
    if options.focal_length_px is not None and options.focal_length_35mm is not None:
        raise _unused("focal_length_35mm", "--focal-length-px is given")
    if options.focus_distance is not None and not options.focus_distance > 0:
        raise ValueError(
            f"focus_distance: must be above 0, found {options.focus_distance:g}. It is in metres."
        )
    check_shape_used(options)
    made = options.stack or options.focus_stack or options.subject is not None
    if made or options.model != BUILT_IN:
        for name, flag in READING_FLAGS.items():
            if is_set(options, name):
                raise _unused(f"depth_{name}", "no depth file is read", flag)


def check_file_alone(options: argparse.Namespace) -> None:
    """Refuse what is about a stack where depth comes from a file.

    Raises:
        ValueError: such an option is given.
    """
    for name in ("focus", "focus_distance", "calibration", *SHAPE_OPTIONS):
        if getattr(options, name) not in (None, False):
            raise _unused(name, "depth comes from the file, and no stack is given")
    if not options.align:
        raise _unused("no_align", "depth comes from the file, and no stack is given")


def _unused(name: str, reason: str, flag: str = "") -> ValueError:
    flag = flag or f"--{name.replace('_', '-')}"
    return ValueError(f"{name}: leave {flag} out; {reason}.")
