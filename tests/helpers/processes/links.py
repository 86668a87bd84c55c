"""Links to folders that every system lets a test make."""

import os
from pathlib import Path

import pytest


def link_folder(link: Path, target: Path) -> None:
    """Make `link` lead to the folder `target`: on Windows a junction, which needs no rights."""
    if os.name == "nt":
        import _winapi

        _winapi.CreateJunction(str(target), str(link))
    else:
        link.symlink_to(target, target_is_directory=True)


def link_file(link: Path, target: Path) -> None:
    """Make `link` lead to the file `target`; skip the test where the system forbids it."""
    try:
        link.symlink_to(target)
    except OSError as error:
        pytest.skip(f"this system does not let a test link a file: {error}")
