"""Clips from disk, frame by frame: a folder of pictures, or a video file.

Frames come one at a time, so that a clip of any length takes the memory of one frame.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from .exr import MAX_PIXELS
from .pictures.images import Photo, read_photo

# Which demuxer reads a file of each name: others could open further files that it names.
VIDEO_FORMATS = {".mp4": "mov", ".m4v": "mov", ".mov": "mov", ".mkv": "matroska"}
VIDEO_FORMATS |= {".webm": "matroska", ".avi": "avi"}
LONGEST = 200_000  # frames of a folder: 2 h at 24 a second


@dataclass(frozen=True)
class Clip:
    """A clip on disk.

    Attributes:
        path: a folder or a video file.
        files: of a folder, one a frame, in their order; empty for a video.
        count: number of frames; of a video as far as the file says, else 0.
    """

    path: Path
    files: tuple[Path, ...]
    count: int

    def frames(self) -> Iterator[Photo]:
        """Yield the frames as photos.

        Raises:
            ValueError: a damaged frame, or one of another size than the first.
        """
        shape = None
        for index, photo in enumerate(map(read_photo, self.files) if self.files else self._video()):
            found = tuple(photo.image.shape[:2])
            shape = shape or found
            if found != shape:
                raise ValueError(
                    f"{self.path.name}: frame {index} is {found[0]}x{found[1]}, the first "
                    f"{shape[0]}x{shape[1]}. Give frames of one size."
                )
            yield photo

    def _video(self) -> Iterator[Photo]:
        import av

        kind = VIDEO_FORMATS[self.path.suffix.lower()]
        with self.path.open("rb") as file, _opened(self.path, file, kind) as container:
            empty = True
            try:
                for frame in container.decode(video=0):
                    empty = False
                    levels = torch.from_numpy(frame.to_ndarray(format="rgb24"))
                    turned = torch.rot90(levels, round(frame.rotation / 90))  # as phones say
                    yield Photo(turned.float() / 255, None, "sRGB")
            except (av.error.FFmpegError, OSError) as error:
                raise ValueError(f"{self.path.name}: damaged video ({error}).") from error
            if empty:
                raise ValueError(f"{self.path.name}: damaged video, without any picture.")


def is_clip(path: Path) -> bool:
    """Return whether a path is a folder or has the name of a video.

    Example:
        >>> is_clip(Path("a.mp4")), is_clip(Path("a.png"))
        (True, False)
    """
    return path.is_dir() or path.suffix.lower() in VIDEO_FORMATS


def open_clip(path: str | Path) -> Clip:
    """Return the clip that a folder of numbered files, or a video, holds.

    Args:
        path: a folder, whose files are taken by their names, 2 before 10; or .mp4, .mov, .mkv,
            .webm or .avi.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: an empty folder, a link in it that leads nowhere, or no video inside.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("10.png", "2.png"):
        ...     (folder / name).touch()
        >>> [one.name for one in open_clip(folder).files]
        ['2.png', '10.png']
    """
    path = Path(path)
    if path.is_dir():
        found = list(itertools.islice(filter(_is_frame, path.iterdir()), LONGEST + 1))
        if len(found) > LONGEST:
            raise ValueError(f"{path}: more than {LONGEST} files. Give a folder with fewer frames.")
        if not found:
            raise ValueError(f"{path}: no files. Give a folder with one for each frame.")
        files = sorted(found, key=lambda one: _natural(one.name))
        return Clip(path, tuple(files), len(files))
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file. Check the path.")
    if path.suffix.lower() not in VIDEO_FORMATS:
        kinds = ", ".join(VIDEO_FORMATS)
        raise ValueError(f"{path.name}: is no clip. Give a folder of frames, or {kinds}.")
    kind = VIDEO_FORMATS[path.suffix.lower()]
    with path.open("rb") as file, _opened(path, file, kind) as container:
        return Clip(path, (), container.streams.video[0].frames)


def _is_frame(path: Path) -> bool:
    """Tell whether something in a folder is a frame: a file that is not hidden.

    Raises:
        ValueError: a link to a file that is not there, which would leave a frame out.
    """
    if path.name.startswith("."):
        return False
    if path.is_symlink() and not path.exists():
        raise ValueError(
            f"{path}: the link leads nowhere, so a frame would be missing. Mend or remove it."
        )
    return path.is_file()


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts names by the numbers in them."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _opened(path: Path, file: BinaryIO, kind: str) -> Any:  # of PyAV, which may be absent
    """Return an open container with a video of a size that can be held.

    Raises:
        ValueError: damaged, without a video, or too large.
    """
    import av

    try:
        container = av.open(file, format=kind)
    except (av.error.FFmpegError, OSError) as error:  # PyAV raises either
        raise ValueError(f"{path.name}: no readable video ({error}).") from error
    found = container.streams.video
    if not found:
        container.close()
        raise ValueError(f"{path.name}: holds no video. Give another file.")
    codec = found[0].codec_context  # None where the file does not say how it is packed
    if codec is None:
        container.close()
        raise ValueError(f"{path.name}: a video of unknown packing. Give another file.")
    width, height = codec.width, codec.height
    if not 0 < width * height <= MAX_PIXELS:
        container.close()
        raise ValueError(f"{path.name}: frames of {width}x{height} px are too large.")
    return container
