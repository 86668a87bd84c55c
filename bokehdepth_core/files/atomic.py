"""Whole files or none: every write goes to a neighbour first and takes its name at the end."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its suffix; rename it when the block succeeds.

    An error or interrupt inside the block leaves an earlier file untouched and nothing new.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: `path` is a folder.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{target.name}: folder {target.parent} does not exist. Create it, or give another."
        )
    if target.is_dir():
        raise IsADirectoryError(f"{target}: expected a file, found a folder. Give a file name.")
    # The same folder, so that the rename stays on one disk; the same suffix, so that writers
    # which choose the format by it still do. A plain name, so that the usual permissions apply.
    part = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.part{target.suffix}")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
