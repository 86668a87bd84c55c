"""A killed writer's part goes with the next write in its folder; that of a live one stays."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from links import link_file

from bokehdepth_core.files import atomic
from bokehdepth_core.files.atomic import whole_file, whole_folder

# The module alone, without torch, so that the process starts at once.
WRITER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("atomic", sys.argv[1])
atomic = importlib.util.module_from_spec(spec)
spec.loader.exec_module(atomic)
with atomic.whole_file(sys.argv[2]) as part:
    part.write_bytes(b"half")
    print("begun", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def writer(tmp_path):
    """A process that has written half of `theirs.png` and waits for a line."""
    command = [sys.executable, "-c", WRITER, atomic.__file__, str(tmp_path / "theirs.png")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        yield process
        process.kill()


FOLDER_WRITER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("atomic", sys.argv[1])
atomic = importlib.util.module_from_spec(spec)
spec.loader.exec_module(atomic)
with atomic.whole_folder(sys.argv[2], inside=sys.argv[3] == "inside") as part:
    (part / "0.png").write_bytes(b"half")
    print("begun", flush=True)
    sys.stdin.readline()
"""


def write_ours(folder):
    with whole_file(folder / "ours.png") as part:
        part.write_bytes(b"whole")


def names(folder):
    return sorted(re.sub(r"^\..*part", "*", one.name) for one in folder.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows tells no other process's end; age decides")
def test_the_part_of_a_killed_process_goes_and_that_of_a_live_one_stays(tmp_path, writer):
    write_ours(tmp_path)
    assert names(tmp_path) == ["*.png", "ours.png"]
    (part,) = tmp_path.glob(".*")
    os.utime(part, (0, 0))  # a live process keeps its part, however long it writes nothing
    write_ours(tmp_path)
    assert part.exists()
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert part.exists()
    write_ours(tmp_path)
    assert names(tmp_path) == ["ours.png"]


def test_a_live_write_ends_whole_beside_others(tmp_path, writer):
    for _ in range(3):
        write_ours(tmp_path)
    writer.communicate(b"\n", timeout=20)
    assert writer.returncode == 0
    assert names(tmp_path) == ["ours.png", "theirs.png"]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        (".0123456789abcdef.part.png", True),  # of an earlier version
        (".0123456789abcdef-00000000-1.part.exr", True),  # of another machine
        (".0123456789abcdef-00000000-1.part", True),
        (".0123456789abcdeX.part.png", False),
        ("0123456789abcdef.part.png", False),
        (".0123456789abcdef.partial", False),
        (".photo.part.png", False),
    ],
)
def test_by_age_only_what_has_the_name_of_a_part_goes(tmp_path, name, left):
    path = tmp_path / name
    path.write_bytes(b"half")
    write_ours(tmp_path)
    assert path.exists()  # too young
    day_ago = time.time() - 90_000
    os.utime(path, (day_ago, day_ago))
    write_ours(tmp_path)
    assert path.exists() is not left


@pytest.mark.skipif(os.name == "nt", reason="Windows tells no other process's end; age decides")
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("next_one", ["file", "folder"])
def test_the_folder_of_a_killed_process_goes_with_the_next_write(tmp_path, inside, next_one):
    target = tmp_path / "out"
    target.mkdir()
    place = target if inside else tmp_path
    where = "inside" if inside else "beside"
    command = [sys.executable, "-c", FOLDER_WRITER, atomic.__file__, str(target), where]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        (part,) = place.glob(".*")
        write_ours(place)
        assert (part / "0.png").exists()  # of a live process
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (part / "0.png").exists()
    if next_one == "file":
        write_ours(place)
    else:
        with whole_folder(target, inside=inside) as own:
            (own / "0.png").write_bytes(b"whole")
        assert (target / "0.png").read_bytes() == b"whole"
    assert list(place.glob(".*")) == []


@pytest.mark.skipif(
    os.utime not in os.supports_follow_symlinks, reason="Windows dates no link, only its target"
)
def test_folders_and_links_of_that_name_stay(tmp_path):
    folder, link = (tmp_path / f".{digit * 16}.part" for digit in "ab")
    folder.mkdir()
    link_file(link, tmp_path / "away")
    os.utime(folder, (0, 0))
    os.utime(link, (0, 0), follow_symlinks=False)
    write_ours(tmp_path)
    assert folder.is_dir()
    assert link.is_symlink()
