"""Clips to disk, frame by frame: a folder of pictures is the command line's; here MP4 and GIF.

Frames come one at a time, so that a clip of any length takes the memory of one frame (a GIF that of
its small palette pictures). The file appears whole, or not at all.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch import Tensor

from ..checks import check_image, check_number
from .atomic import whole_file
from .pictures.writing import quantize

CLIP_SUFFIXES = (".mp4", ".gif")
CONSTANT_QUALITY = "16"  # of H.264: next to nothing is seen of the coding
LARGEST_SIDE = 65_535  # px, of a GIF
FASTEST = 240.0  # frames a second
FILM = 24.0


def check_clip_name(path: Path) -> None:
    """Check that a clip can be written under a name.

    Raises:
        ValueError: another kind.

    Example:
        >>> check_clip_name(Path("a.avi"))
        Traceback (most recent call last):
        ...
        ValueError: a.avi: clips of this kind are not written. Name it .mp4 or .gif, or a folder.
    """
    if path.suffix.lower() not in CLIP_SUFFIXES:
        raise ValueError(
            f"{path.name}: clips of this kind are not written. Name it .mp4 or .gif, or a folder."
        )


def check_fps(fps: float) -> float:
    """Return frames a second, above 0, up to 240.

    Raises:
        ValueError: another number.

    Example:
        >>> check_fps(1000)
        Traceback (most recent call last):
        ...
        ValueError: fps: expected above 0, up to 240, found 1000. Film has 24.
    """
    return check_number(fps, "fps", 0.0, FASTEST, above=0.0, hint="Film has 24.")


def written_fps(path: Path, fps: float) -> float:
    """Return the frames a second that a clip of this name has: a GIF holds steps of 1/100 s.

    Raises:
        ValueError: an unusable number.

    Example:
        >>> written_fps(Path("a.mp4"), 24.0), written_fps(Path("a.gif"), 24.0)
        (24.0, 25.0)
    """
    rate = check_fps(fps)
    return 100 / _hundredths(rate) if path.suffix.lower() == ".gif" else rate


def _hundredths(rate: float) -> int:
    """Return how long a frame of a GIF is shown, 1/100 s; viewers slow down what is below 2."""
    return max(2, round(100 / rate))


def write_clip(path: str | Path, frames: Iterable[Tensor], fps: float = FILM) -> int:
    """Write frames as a clip, and return how many: H.264 in .mp4, or .gif.

    A GIF has 256 colours a frame, and the speed of `written_fps`. H.264 takes even sides: of an odd
    one the last row or column is left out.

    Args:
        path: where to.
        frames: [H,W,3] or [1,H,W,3] each, sRGB, clipped to 0…1; taken one by one.
        fps: frames a second, above 0, up to 240.

    Raises:
        ValueError: another kind, no frames, frames of different sizes, or an unusable fps.
        OSError: the file cannot be written; nothing is left of it.

    Example:
        >>> import tempfile
        >>> import torch
        >>> target = Path(tempfile.mkdtemp()) / "a.gif"
        >>> write_clip(target, (torch.full((16, 16, 3), one / 4) for one in range(4)))
        4
    """
    target = Path(path)
    check_clip_name(target)
    rate = check_fps(fps)
    write = _write_gif if target.suffix.lower() == ".gif" else _write_mp4
    with whole_file(target) as part:
        return write(part, _pictures(frames), rate)


def _pictures(frames: Iterable[Tensor]) -> Iterable[np.ndarray]:
    """Yield 8-bit pictures of frames, all of one size.

    Raises:
        ValueError: no frames, or frames of different sizes.
    """
    shape: tuple[int, ...] = ()
    for frame in frames:
        picture = frame[0] if frame.ndim == 4 else frame
        check_image(picture, "frames", "H W 3")
        levels = quantize(picture, 8)
        shape = shape or levels.shape
        if levels.shape != shape:
            raise ValueError(
                f"frames: expected {shape[0]}x{shape[1]} like the first, found {levels.shape[0]}x"
                f"{levels.shape[1]}. Give frames of one size."
            )
        yield levels
    if not shape:
        raise ValueError("frames: none. Give at least one picture.")


def _write_gif(path: Path, pictures: Iterable[np.ndarray], rate: float) -> int:
    from PIL import Image

    pages = []
    for levels in pictures:
        if max(levels.shape[:2]) > LARGEST_SIDE:
            raise ValueError(f"frames: a GIF holds up to {LARGEST_SIDE} px a side. Use .mp4.")
        pages.append(Image.fromarray(levels).quantize(256, dither=Image.Dither.FLOYDSTEINBERG))
    pages[0].save(
        path,
        save_all=True,
        append_images=pages[1:],
        duration=10 * _hundredths(rate),  # ms
        loop=0,
    )
    return len(pages)


def _write_mp4(path: Path, pictures: Iterable[np.ndarray], rate: float) -> int:
    from fractions import Fraction

    import av

    count, stream = 0, None
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        for levels in pictures:
            even = np.ascontiguousarray(
                levels[: levels.shape[0] // 2 * 2, : levels.shape[1] // 2 * 2]
            )
            if stream is None:
                if 0 in even.shape:
                    raise ValueError("frames: H.264 needs 2 px a side or more. Use .gif.")
                stream = container.add_stream("libx264", Fraction(rate).limit_denominator(1001))
                stream.height, stream.width = even.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": CONSTANT_QUALITY}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    return count
