"""Manifests: one JSON object a line says where a photo, its depth and its bokeh stack lie.

The lines are those of the published trainers, `{"ref": …, "depth": …, "stack": […], "k": […]}`.
Whatever is wrong is named with the file and the line; the caller chooses between stopping there and
going on without it.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..checks import check_number, check_strengths
from ..files.atomic import whole_file

REFUSE, SKIP = "refuse", "skip"
ON_BAD = (REFUSE, SKIP)
_LONGEST_LINE = 1 << 20  # characters
_MOST_FRAMES = 64
Report = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """One line of a manifest.

    Attributes:
        reference: the sharp photo.
        depth: its depth file; None where there is none.
        frames: N pictures of its stack; empty where there is none.
        strengths: N bokeh strengths K, px·m.
        focus_depth: depth of the plane that is sharp in the frames, in the unit of the depth, > 0;
            None where nobody knows.
        depth_scale: metres for one unit of the depth file's numbers; None as the file says.
        where: "file:line", for messages.
    """

    reference: Path
    depth: Path | None
    frames: tuple[Path, ...] = ()
    strengths: tuple[float, ...] = ()
    focus_depth: float | None = None
    depth_scale: float | None = None
    where: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the line names."""
        depth = () if self.depth is None else (self.depth,)
        return (self.reference, *depth, *self.frames)


def read_manifest(
    path: str | Path,
    *,
    on_bad: str = REFUSE,
    outside: bool = False,
    report: Report = lambda line: None,
) -> list[Entry]:
    """Return the entries of a manifest whose lines are whole and whose files are there.

    Args:
        path: text file, one JSON object a line; empty lines are passed over.
        on_bad: "refuse" raises at the first bad line; "skip" reports it and goes on.
        outside: allow paths that lead out of the manifest's folder.
        report: called with a line for each entry that was skipped.

    Raises:
        FileNotFoundError: no such manifest, or with "refuse" a file that it names.
        ValueError: nothing usable in it, or with "refuse" a bad line.

    Reference:
        The keys `ref`, `depth`, `stack` and `k` are those of the trainers published with arXiv
        2512.12425; `focus_depth` and `depth_scale` are additions that may be left out.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("a.png", "a.npy", "a10.png"):
        ...     _ = (folder / name).write_bytes(b"")
        >>> line = '{"ref": "a.png", "depth": "a.npy", "stack": ["a10.png"], "k": [10]}'
        >>> _ = (folder / "data.jsonl").write_text(line)
        >>> read_manifest(folder / "data.jsonl")[0].strengths
        (10.0,)
    """
    check_on_bad(on_bad)
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such manifest. Check the path.")
    entries, folder = [], _Folder(source.parent, outside)
    for number, line in _lines(source):
        where = f"{source.name}:{number}"
        try:
            entries.append(_entry(line, where, folder))
        except (ValueError, OSError) as error:
            if on_bad == REFUSE:
                raise
            report(f"skipped {error}")
    if not entries:
        raise ValueError(f"{source.name}: no usable line. Each is one JSON object with ref, depth.")
    return entries


def check_on_bad(on_bad: str) -> str:
    """Return what is to be done with bad data after checking that it is one of `ON_BAD`.

    Raises:
        ValueError: another word.
    """
    if on_bad not in ON_BAD:
        raise ValueError(f"on_bad: expected refuse or skip, found {on_bad!r}.")
    return on_bad


def write_manifest(path: str | Path, entries: Sequence[Entry]) -> None:
    """Write a manifest, whole or not at all; its paths are relative to its folder.

    Raises:
        ValueError: a file of an entry lies outside the folder.
        OSError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> entry = Entry(folder / "a.png", None, (folder / "f.png",), (10.0,))
        >>> write_manifest(folder / "data.jsonl", [entry])
        >>> print((folder / "data.jsonl").read_text().strip())
        {"ref": "a.png", "depth": null, "stack": ["f.png"], "k": [10.0]}
    """
    target = Path(path)
    lines = [json.dumps(_record(entry, target.parent), ensure_ascii=False) for entry in entries]
    with whole_file(target) as part:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _record(entry: Entry, folder: Path) -> dict[str, object]:
    def relative(file: Path) -> str:
        try:
            return file.resolve().relative_to(folder.resolve()).as_posix()
        except ValueError:
            raise ValueError(
                f"{file}: lies outside of {folder}, the manifest's folder. Write it elsewhere."
            ) from None

    record: dict[str, object] = {
        "ref": relative(entry.reference),
        "depth": None if entry.depth is None else relative(entry.depth),
        "stack": [relative(frame) for frame in entry.frames],
        "k": list(entry.strengths),
    }
    for name in ("focus_depth", "depth_scale"):
        if getattr(entry, name) is not None:
            record[name] = getattr(entry, name)
    return record


def _lines(source: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbers, from 1, and texts of the lines that are not empty."""
    with source.open(encoding="utf-8-sig", errors="replace") as file:
        number = 0
        while text := file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(text) > _LONGEST_LINE:
                raise ValueError(
                    f"{source.name}:{number}: a line of more than {_LONGEST_LINE} characters. "
                    "A manifest holds one JSON object a line."
                )
            if text.strip():
                yield number, text


def _entry(line: str, where: str, folder: "_Folder") -> Entry:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(
            f'{where}: no JSON. Write {{"ref": …, "depth": …, "stack": […], "k": […]}}.'
        ) from None
    if not isinstance(found, dict):
        raise ValueError(f"{where}: expected a JSON object, found {type(found).__name__}.")

    def file(name: str, written: object) -> Path:
        return folder.file(written, f"{where}: {name}")

    stack = _list(found.get("stack"), f"{where}: stack")
    numbers = _list(found.get("k"), f"{where}: k")
    if len(stack) != len(numbers) or len(stack) > _MOST_FRAMES:
        raise ValueError(
            f"{where}: {len(stack)} frames in stack and {len(numbers)} strengths in k. Give one K "
            f"for each frame, at most {_MOST_FRAMES}."
        )
    given = [_number(one, f"{where}: k") for one in numbers]
    strengths = check_strengths(given, f"{where}: k") if given else ()
    return Entry(
        file("ref", found.get("ref")),
        None if found.get("depth") is None else file("depth", found["depth"]),
        tuple(file("stack", one) for one in stack),
        strengths,
        _positive(found, "focus_depth", where),
        _positive(found, "depth_scale", where),
        where,
    )


def _list(written: object, name: str) -> list[object]:
    if written is None:
        return []
    if not isinstance(written, list):
        raise ValueError(f"{name}: expected a list, found {type(written).__name__}.")
    return written


def _positive(found: dict[str, object], name: str, where: str) -> float | None:
    written = found.get(name)
    if written is None:
        return None
    return check_number(_number(written, f"{where}: {name}"), f"{where}: {name}", above=0.0)


def _number(written: object, name: str) -> float:
    if isinstance(written, bool) or not isinstance(written, int | float):
        raise ValueError(f"{name}: cannot read {str(written)[:40]!r} as a number.")
    try:
        return float(written)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf


class _Folder:
    """A manifest's folder, which looks up every folder below it once."""

    def __init__(self, folder: Path, outside: bool) -> None:
        self._folder, self._outside = folder, outside
        self._real = folder.resolve()
        self._inside: dict[Path, bool] = {}

    def file(self, written: object, name: str) -> Path:
        """Return the file that an entry names.

        Raises:
            ValueError: no file name, or one that leads out of the folder.
            FileNotFoundError: no such file.
        """
        if not isinstance(written, str) or not written or "\0" in written:
            raise ValueError(f"{name}: expected a file name, found {str(written)[:40]!r}.")
        shown = repr(written if len(written) <= 80 else written[:77] + "…")
        path = self._folder / written
        try:
            found = path.is_file()
            inside = self._outside or self._holds(path, found)
        except (OSError, ValueError):  # too long, or letters that no name can have
            raise ValueError(f"{name}: {shown} is no file name. Check the path.") from None
        if not inside:
            raise ValueError(
                f"{name}: {shown} leads out of the manifest's folder. Allow it with "
                "--outside-files if you trust the manifest."
            )
        if not found:
            raise FileNotFoundError(f"{name}: no file {shown[1:-1]}. Check the path.")
        return path

    def _holds(self, path: Path, is_file: bool) -> bool:
        if not is_file or path.is_symlink():
            return self._is_below(path)
        parent = path.parent
        if parent not in self._inside:
            self._inside[parent] = self._is_below(parent)
        return self._inside[parent]

    def _is_below(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._real)
