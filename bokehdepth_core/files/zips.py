"""ZIP archives of strangers: a table of contents of any length is refused before it is read.

`zipfile` makes an object of every entry: a table of 50 MB, a million entries, takes 6 s and 600 MB.
"""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_BYTES = 4 << 20  # of the table of contents: 40 000 entries with names of 60 letters


class _Bounded(io.BufferedReader):
    """A file of which no more than `most` bytes are read at once, until that is lifted."""

    most: int | None = MOST_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise zipfile.BadZipFile(
                f"its table of contents has {size / 1e6:.0f} MB, more than {self.most / 1e6:.0f}"
            )
        return super().read(size)


@contextmanager
def open_zip(source: Path) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP archive whose table of contents has at most `MOST_BYTES`.

    Raises:
        zipfile.BadZipFile: no archive, or a longer table.
        OSError: it cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.zip"
        >>> with zipfile.ZipFile(path, "w") as archive:
        ...     archive.writestr("a.txt", "a")
        >>> with open_zip(path) as archive:
        ...     archive.namelist()
        ['a.txt']
    """
    with _Bounded(io.FileIO(source)) as file, zipfile.ZipFile(file) as archive:
        file.most = None
        yield archive
