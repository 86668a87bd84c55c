"""`bokehdepth render` with a clip: folders of frames, videos, and depth for them."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from bokehdepth_core.cli import clip as cli_clip
from bokehdepth_core.cli import main
from bokehdepth_core.datatypes import DepthMap
from bokehdepth_core.files.clips import write_clip
from bokehdepth_core.files.depth_maps import write_depth
from bokehdepth_core.files.pictures.images import read_image, write_image

FRAMES = 3
LENS = ("--strength", "8", "--focus-distance", "1", "--quality", "draft")


@pytest.fixture(autouse=True)
def ctrl_c():
    """Let Ctrl-C reach these tests even where a shell started them in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A clip of one photo three times, and depth that differs a little in each frame."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    photo, depth = torch.rand(24, 32, 3), torch.full((24, 32), 4.0)
    depth[6:18, 8:20] = 1.0
    (folder / "frames").mkdir()
    (folder / "depths").mkdir()
    for index in range(FRAMES):
        write_image(folder / "frames" / f"{index + 8}.png", photo)  # 8, 9, 10
        own = depth * (1 + 0.02 * torch.randn(24, 32))
        write_depth(folder / "depths" / f"{index + 8}.npz", DepthMap(own[None], metric=True))
    write_clip(folder / "frames.mp4", [photo] * FRAMES)
    return folder


def render(files, image, depth, out, *more):
    named = [str(files / one) for one in (image, depth)]
    return main(["render", *named, "-o", str(files / out), *LENS, *more])


def pictures(files, out):
    return [read_image(one) for one in sorted((files / out).iterdir())]


def test_a_folder_is_rendered_frame_by_frame_and_steady_holds_it(files):
    assert render(files, "frames", "depths", "plain") == 0
    assert render(files, "frames", "depths", "steady", "--steady", "1") == 0
    plain, steady = pictures(files, "plain"), pictures(files, "steady")
    assert len(plain) == len(steady) == FRAMES
    assert render(files, "frames/9.png", "depths/9.npz", "alone.png") == 0
    assert torch.equal(plain[1], read_image(files / "alone.png"))
    assert not torch.equal(plain[0], plain[2])
    assert torch.equal(steady[0], steady[2])


def test_a_video_is_read_and_written(files, capsys):
    assert render(files, "frames.mp4", "depths/8.npz", "out.gif") == 0
    assert "out.gif: 3 frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("image", "depth", "more", "message"),
    [
        ("frames", "depths", ("--focus-pull", "0: 1 m"), "focus_pull: is for one photo"),
        ("frames", "depths", ("--steady", "2"), "steady: expected 0 to 1"),
        ("frames", "one", (), "depth: 1 for a clip of 3 frames"),
        ("broken.mp4", "depths", (), "broken.mp4: no readable video"),
    ],
)
def test_unusable_clips_give_one_line(files, capsys, image, depth, more, message):
    (files / "broken.mp4").write_bytes(np.arange(99, dtype=np.uint8).tobytes())
    (files / "one").mkdir(exist_ok=True)
    (files / "one" / "8.npz").write_bytes((files / "depths" / "8.npz").read_bytes())
    assert render(files, image, depth, "bad", *more) == 2
    assert message in capsys.readouterr().err
    assert not (files / "bad").exists()


def contents(folder):
    return {one: one.read_bytes() for one in folder.rglob("*") if one.is_file()}


@pytest.mark.parametrize("out", ["new", "old", "old.mp4", "new.gif"])
def test_ctrl_c_between_frames_leaves_what_was_there_and_no_part_of_a_clip(
    files, capsys, monkeypatch, tmp_path, out
):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "notes.txt").write_bytes(b"beside an earlier clip")
    (tmp_path / "old.mp4").write_bytes(b"an earlier clip")
    before, rendered, render_one = contents(tmp_path), [], cli_clip.render_lens_look

    def stopped(*args, **options):
        rendered.append(None)
        if len(rendered) == 2:
            signal.raise_signal(signal.SIGINT)
        return render_one(*args, **options)

    monkeypatch.setattr(cli_clip, "render_lens_look", stopped)
    assert render(files, "frames", "depths", tmp_path / out) == 130
    assert "bokehdepth: interrupted" in capsys.readouterr().err
    assert contents(tmp_path) == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["old", "old.mp4"]


def test_ctrl_c_within_a_frame_ends_it_and_progress_covers_the_clip(files, monkeypatch, tmp_path):
    seen = []

    @contextmanager
    def bar(label):
        def on_progress(done, total):
            seen.append(done / total)
            if len(seen) == stop_at:
                signal.raise_signal(signal.SIGINT)

        yield on_progress

    monkeypatch.setattr(cli_clip, "progress_bar", bar)
    stop_at = 0
    assert render(files, "frames", "depths", tmp_path / "whole") == 0
    assert seen == sorted(seen)
    assert seen[-1] == 1
    ends = {index / FRAMES for index in range(1, FRAMES + 1)}
    assert len(set(seen) - ends) > FRAMES  # it moves within frames as well
    stop_at = 1 + next(at for at, share in enumerate(seen) if 1 / FRAMES < share < 2 / FRAMES)
    seen.clear()
    assert render(files, "frames", "depths", tmp_path / "stopped") == 130
    assert len(seen) == stop_at
    assert [one.name for one in tmp_path.iterdir()] == ["whole"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="tells no peak of memory")
def test_the_memory_of_a_clip_does_not_grow_with_its_frames():
    script = Path(__file__).parents[2] / "benchmarks" / "clip_memory.py"
    asked = ["--frames", "3", "9", "--size", "192x108"]
    returned = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "16384"}
    lines = subprocess.check_output(
        [sys.executable, script, *asked], env=os.environ | returned, text=True
    ).splitlines()
    growth = float(lines[-1].split(": ")[1].split()[0])
    # A frame that stays is 3 numbers a pixel, and its depth one more; pages are 4 KiB of 81.
    assert growth < 1.5
