"""Outputs that would replace an input: refused before the work, whatever the command."""

import argparse
from pathlib import Path

from ..files.atomic import check_no_input

_OUTPUTS = ("output", "coc", "all_in_focus", "csv", "plot")
# Where weights lie, a data set, what is kept: files inside are inputs by their name.
_FOLDERS = ("folder", "cache")
_NAMED = ("model", "adapter", "base_model", "encoder", "source")  # a path, or a published name


def inputs_of(options: argparse.Namespace) -> list[Path]:
    """Return the files and folders that a command reads, as its options name them."""
    found = []
    for name, value in vars(options).items():
        if name in _NAMED and isinstance(value, str):
            found.append(Path(value))
        elif name not in (*_OUTPUTS, *_FOLDERS):
            several = value if isinstance(value, list | tuple) else (value,)
            found += [one for one in several if isinstance(one, Path)]
    return found


def check_outputs(options: argparse.Namespace) -> None:
    """Refuse an output that is an input, or another output.

    Raises:
        ValueError: it is.
    """
    outputs = [getattr(options, name, None) for name in _OUTPUTS]
    given = [one for one in outputs if isinstance(one, Path)]
    # A folder of photos may hold the folders of their stacks; of a clip the frames would be lost.
    clips = hasattr(options, "coc")
    inputs = [one for one in inputs_of(options) if clips or not one.is_dir()]
    for index, output in enumerate(given):
        check_no_input(output, inputs)
        if any(output.resolve() == other.resolve() for other in given[:index]):
            raise ValueError(f"{output.name}: is given for two outputs. Give each its own name.")
