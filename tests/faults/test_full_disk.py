"""A disk that is full while a file is written: the old file stays, nothing else is left, and the
message names the file.

The system's limit on the size of files stands for the full disk: it meets Python and the libraries
below it alike.
"""

import contextlib

import pytest
import torch

from bokehdepth_core import DepthMap, write_depth, write_image
from bokehdepth_core.files.clips import write_clip
from bokehdepth_core.weights.reading import write_safetensors

resource = pytest.importorskip("resource", reason="Windows has no limit on the size of files")

ROOM = 200  # bytes
torch.manual_seed(0)
PICTURE = torch.rand(48, 64, 3)
DEPTH = DepthMap(
    1 + torch.rand(1, 48, 64), intrinsics=torch.tensor([[[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]])
)
WRITERS = {
    **{
        f"a{suffix}": lambda path: write_image(path, PICTURE)
        for suffix in (".png", ".jpg", ".tif", ".webp", ".exr", ".bmp", ".jp2", ".gif")
    },
    "deep.png": lambda path: write_image(path, PICTURE, 16),
    "deep.tif": lambda path: write_image(path, PICTURE, 16),
    **{
        f"depth{suffix}": lambda path: write_depth(path, DEPTH, PICTURE)
        for suffix in (".exr", ".png", ".npz", ".ply", ".jpg")
    },
    **{
        f"clip{suffix}": lambda path: write_clip(path, [PICTURE, 1 - PICTURE])
        for suffix in (".mp4", ".gif")
    },
    "a.safetensors": lambda path: write_safetensors(path, {"a": PICTURE}, {}),
}


@contextlib.contextmanager
def full_disk(room=ROOM):
    """Let no file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    with full_disk(), pytest.raises(OSError, match=name) as caught:
        WRITERS[name](path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == [name]
    WRITERS[name](path)  # and with room again it is written
    assert path.stat().st_size > ROOM
    assert [one.name for one in tmp_path.iterdir()] == [name]
