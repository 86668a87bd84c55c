"""Outputs that would replace an input: refused before the work, whatever the command."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from ..files.atomic import check_no_input

_OUTPUTS = ("output", "coc", "all_in_focus", "csv", "plot", "json")
# Where weights lie, a data set, what is kept: files inside are inputs by their name.
_FOLDERS = ("folder", "cache")
# Paths, or published names.
_NAMED = ("model", "adapter", "base_model", "encoder", "source", "checkpoint", "base")
_REPORTS = ("csv", "plot", "json")


def inputs_of(options: argparse.Namespace) -> list[Path]:
    """Return the files and folders that a command reads, as its options name them."""
    found = []
    for name, value in vars(options).items():
        several = value if isinstance(value, list | tuple) else (value,)
        if name in _NAMED:
            found += [Path(one) for one in several if isinstance(one, str | Path)]
        elif name not in (*_OUTPUTS, *_FOLDERS):
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
    for name in _REPORTS:
        report = getattr(options, name, None)
        if report is not None:
            _check_in_no_folder(report, options)


def check_not_read(options: argparse.Namespace, read: Iterable[Path]) -> None:
    """Refuse a report that would replace a file which a manifest names.

    Args:
        options: of a command with reports: `csv`, `plot`.
        read: the files of the manifest's entries.

    Raises:
        ValueError: it would.
    """
    files = list(read)
    for name in _REPORTS:
        report = getattr(options, name, None)
        if report is not None:
            check_no_input(report, files)


def _check_in_no_folder(report: Path, options: argparse.Namespace) -> None:
    """Refuse a report that replaces a file of a data set; earlier .csv are read by nobody."""
    if not report.exists() or report.suffix.lower() == ".csv":
        return
    folders = [getattr(options, name, None) for name in (*_FOLDERS, "depth", "textures")]
    for folder in folders:
        if (
            isinstance(folder, Path)
            and folder.is_dir()
            and folder.resolve() in (report.resolve().parents)
        ):
            check_no_input(report, [report])
