"""Windows lets nobody rename, replace or remove a file that is open: emulated here by refusals."""

import errno
import os
from pathlib import Path

import pytest
import torch

from bokehdepth_core import read_depth, read_image
from bokehdepth_core.files import atomic
from bokehdepth_core.files.atomic import whole_file, whole_folder
from bokehdepth_core.training.generator.cache import Cache, key_of


@pytest.fixture
def held(monkeypatch):
    """Let `held(name, times)` refuse so many times to do to any file what Path's method does."""

    def refuse(name, times):
        true, left = getattr(Path, name), [times]

        def refusing(self, *arguments, **options):
            if left[0]:
                left[0] -= 1
                raise PermissionError(errno.EACCES, "Access is denied", str(self))
            return true(self, *arguments, **options)

        monkeypatch.setattr(Path, name, refusing)

    monkeypatch.setattr(atomic, "_TRIES", 3)
    monkeypatch.setattr(atomic, "_PAUSE_S", 0.0)
    return refuse


def write(path):
    with whole_file(path) as part:
        part.write_bytes(b"new")


def test_a_file_that_a_scanner_holds_for_a_moment_gets_its_name(tmp_path, held):
    (tmp_path / "a.png").write_bytes(b"old")
    held("replace", 2)
    write(tmp_path / "a.png")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("a.png", b"new")]


def test_a_file_that_stays_open_is_kept_and_the_message_says_what_to_do(tmp_path, held):
    (tmp_path / "a.png").write_bytes(b"old")
    held("replace", 3)
    with pytest.raises(OSError, match=r"a\.png: .* \(Access is denied\)\. Close it in other progr"):
        write(tmp_path / "a.png")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("a.png", b"old")]


def test_the_files_of_a_folder_get_their_names_too(tmp_path, held):
    held("replace", 2)
    with whole_folder(tmp_path / "frames") as part:
        (part / "0.png").write_bytes(b"new")
    assert (tmp_path / "frames" / "0.png").read_bytes() == b"new"


def test_what_failed_is_said_although_the_part_is_still_open(tmp_path, held):
    held("unlink", 1)
    with pytest.raises(ValueError, match="the codec's own word"), whole_file(tmp_path / "a.png"):
        raise ValueError("the codec's own word")


def test_a_disk_that_is_read_only_is_said_with_the_name_of_the_file(tmp_path, monkeypatch):
    def refusing(self, *arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    for name in ("open", "unlink"):  # such a disk refuses to remove what is not there, too
        monkeypatch.setattr(Path, name, refusing)
    with pytest.raises(OSError, match=r"a\.png: cannot be written \(Read-only file system\)"):
        write(tmp_path / "a.png")


def test_a_disk_that_fails_to_read_is_said_with_the_name_of_the_file(tmp_path, monkeypatch):
    class Failing:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def read(self, _size=-1):
            raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "a.png").write_bytes(b"old")
    monkeypatch.setattr(Path, "open", lambda *_: Failing())
    for read in (read_image, read_depth):
        with pytest.raises(ValueError, match=r"^a\.png: .*Input/output error"):
            read(tmp_path / "a.png")


@pytest.mark.skipif(os.name == "nt", reason="there it waits")
def test_elsewhere_a_missing_right_is_said_at_once():
    assert atomic._TRIES == 1


def test_an_entry_of_the_cache_that_another_process_reads_stays(tmp_path, held):
    cache = Cache(tmp_path, limit=0)
    for name in ("a", "b"):
        cache.write(key_of(name), {"x": torch.zeros(4)})
    held("unlink", 1)
    cache.make_room([], before=float("inf"))
    assert len(list(tmp_path.iterdir())) == 1
