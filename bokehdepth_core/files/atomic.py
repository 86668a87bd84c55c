"""Whole files or none: every write goes to a neighbour first and takes its name at the end.

What a killed process left of such neighbours is removed by the next write in their folder. While a
command runs, its inputs can be kept from being written over.
"""

import contextlib
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_LONGEST_SUFFIX = 32  # bytes; what is longer is no suffix that a writer chooses its format by
_PART = re.compile(r"\.[0-9a-f]{16}(?:-([0-9a-f]{8})-(\d{1,10}))?\.part(?:\..*)?")
# Windows lets nobody rename a file that is open, and scanners open every new file for a moment.
_TRIES, _PAUSE_S = (20 if os.name == "nt" else 1), 0.1
_ABANDONED_S = 86_400.0  # no write leaves its part untouched for a day
_inputs: ContextVar[tuple[Path, ...]] = ContextVar("inputs", default=())


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its suffix; rename it when the block succeeds.

    An error or interrupt inside the block leaves an earlier file untouched and nothing new. Parts
    that killed processes left in the folder are removed.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: `path` is a folder.
        ValueError: `path` is an input that `inputs_kept` names.
        OSError: the file cannot be written: a full disk, a missing right. It names the file.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{target.name}: folder {target.parent} does not exist. Create it, or give another."
        )
    if target.is_dir():
        raise IsADirectoryError(f"{target}: expected a file, found a folder. Give a file name.")
    check_no_input(target, _inputs.get())
    _sweep(target.parent)
    # The same folder, so that the rename stays on one disk; the same suffix, so that writers
    # which choose the format by it still do. A short plain name of its own: the wanted one may be
    # of the 255 bytes that a folder allows, or hold signs that a writer takes for a pattern.
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= _LONGEST_SUFFIX else ""
    part = target.with_name(_part_name(suffix))
    try:
        yield part
        take_name(part, target)
    except OSError as error:
        if error.errno is None:  # made by us or by a codec: it says what it is about
            raise
        raise _unwritable(target, error) from error
    finally:
        # On Windows a writer that failed holds it open; a read-only disk says so again.
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path, *, inside: bool = False) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; when the block succeeds its files go there.

    `path` is made where it is missing, and keeps what else it holds. An error or interrupt inside
    the block leaves it as it was. Parts that killed processes left there are removed.

    Args:
        path: a folder, or where one is to be.
        inside: let the temporary folder lie in `path`, which exists, where its own folder may be
            another disk's or another user's.

    Raises:
        FileNotFoundError: the folder above does not exist.
        NotADirectoryError: `path` is a file.
        ValueError: a file would take the place of an input that `inputs_kept` names.
        OSError: it cannot be written: a full disk, a missing right. It names the folder.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "frames"
        >>> with whole_folder(folder) as part:
        ...     (part / "0.txt").touch()
        ...     folder.exists()
        False
        >>> [one.name for one in folder.iterdir()]
        ['0.txt']
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{target.name}: folder {target.parent} does not exist. Create it, or give another."
        )
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{target}: expected a folder, found a file. Give another name.")
    place = target if inside else target.parent
    _sweep(place)
    part = place / _part_name("")
    try:
        part.mkdir()
        yield part
        target.mkdir(exist_ok=True)
        made = sorted(part.iterdir())
        for one in made:
            check_no_input(target / one.name, _inputs.get())
        for one in made:
            take_name(one, target / one.name)
    except OSError as error:
        if error.errno is None:  # made by us or by a codec: it says what it is about
            raise
        raise _unwritable(target, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def inputs_kept(paths: Iterable[Path]) -> Iterator[None]:
    """Let `whole_file` refuse to write over any of these files inside the block.

    Example:
        >>> import tempfile
        >>> photo = Path(tempfile.mkdtemp()) / "photo.png"
        >>> photo.touch()
        >>> with inputs_kept([photo]), whole_file(photo):
        ...     pass
        Traceback (most recent call last):
        ...
        ValueError: photo.png: is an input as well and would be lost. Give another output.
    """
    token = _inputs.set((*_inputs.get(), *paths))
    try:
        yield
    finally:
        _inputs.reset(token)


def check_no_input(output: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that is one of the inputs, by whatever name or link.

    Raises:
        ValueError: it is.
    """
    if output.exists() and any(one.exists() and output.samefile(one) for one in inputs):
        raise ValueError(
            f"{output.name}: is an input as well and would be lost. Give another output."
        )


def take_name(part: Path, target: Path) -> None:
    """Give a part its name; on Windows wait until a virus scanner has let go of either file.

    Raises:
        OSError: it cannot have that name: a missing right, or a file there that stays open.
    """
    for left in reversed(range(_TRIES)):
        try:
            part.replace(target)
            return
        except PermissionError:
            if not left:
                raise
            time.sleep(_PAUSE_S)


def _unwritable(target: Path, error: OSError) -> OSError:
    """Return the error to raise for one of the system, which names a part that nobody knows."""
    remedy = "Free space there, or give another place."
    if isinstance(error, PermissionError):
        remedy = "Close it in other programs, get the right to write there, or give another place."
    return OSError(f"{target}: cannot be written ({error.strerror}). {remedy}")


def _part_name(suffix: str) -> str:
    return f".{secrets.token_hex(8)}-{_machine()}-{os.getpid()}.part{suffix}"


def _sweep(folder: Path) -> None:
    """Remove the parts in a folder whose writers are gone."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _PART.fullmatch(entry.name)
            # Another user's part, or one that Windows still holds open, stays.
            with contextlib.suppress(OSError):
                if not found or entry.is_symlink() or not _is_left(entry, found):
                    continue
                if entry.is_file(follow_symlinks=False):
                    Path(entry.path).unlink()
                elif found[1]:  # a folder of an earlier version names no process, and stays
                    shutil.rmtree(entry.path)


def _is_left(entry: "os.DirEntry[str]", name: "re.Match[str]") -> bool:
    """Tell whether a part's writer is gone: the process, or where it is not known here, by age."""
    machine, process = name.groups()
    # On Windows a signal of 0 would end the process that is asked for.
    if os.name != "nt" and machine == _machine():
        return not _is_running(int(process))
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_S


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's
        return True
    return True


@functools.cache
def _machine() -> str:
    """Return 8 digits for where process numbers are counted: a host, or a container on it."""
    space = ""
    with contextlib.suppress(OSError):  # Linux alone has it
        space = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]
