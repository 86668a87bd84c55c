"""Whole files or none: every write goes to a neighbour first and takes its name at the end."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST_SUFFIX = 32  # bytes; what is longer is no suffix that a writer chooses its format by


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its suffix; rename it when the block succeeds.

    An error or interrupt inside the block leaves an earlier file untouched and nothing new.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: `path` is a folder.
        OSError: the file cannot be written: a full disk, a missing right. It names the file.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{target.name}: folder {target.parent} does not exist. Create it, or give another."
        )
    if target.is_dir():
        raise IsADirectoryError(f"{target}: expected a file, found a folder. Give a file name.")
    # The same folder, so that the rename stays on one disk; the same suffix, so that writers
    # which choose the format by it still do. A short plain name of its own: the wanted one may be
    # of the 255 bytes that a folder allows, or hold signs that a writer takes for a pattern.
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= _LONGEST_SUFFIX else ""
    part = target.with_name(f".{secrets.token_hex(8)}.part{suffix}")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        if error.errno is None:  # made by us or by a codec: it says what it is about
            raise
        raise OSError(
            f"{target}: cannot be written ({error.strerror}). Free space there, or give another "
            "place."
        ) from error
    finally:
        part.unlink(missing_ok=True)
