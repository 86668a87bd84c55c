"""Clips whose focus moves."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.memory import peak_bytes
from bokehdepth_core import focus_track, render_bokeh, render_focus_pull
from bokehdepth_core.files.clips import write_clip


@pytest.fixture(scope="module")
def scene():
    torch.manual_seed(0)
    depth = torch.full((1, 32, 40), 4.0)
    depth[:, 8:28, 10:26] = 1.0
    return torch.rand(1, 32, 40, 3), depth


def test_a_track_of_one_value_is_the_plain_render_to_the_last_bit(scene):
    photo, depth = scene
    track = focus_track(depth, "0: 0.4,0.5; 2: 0.4,0.5 ease")
    frames = list(render_focus_pull(photo, depth, 7.0, track))
    plain = render_bokeh(photo, depth, 7.0, 1.0)
    assert len(frames) == 3
    assert all(torch.equal(frame, plain) for frame in frames)


def test_each_frame_is_the_plain_render_with_its_own_focus_and_strength(scene):
    photo, depth = scene
    track = focus_track(depth, "0: 1 m strength 3; 3: inf strength 9")
    frames = list(render_focus_pull(photo, depth, 0.0, track))
    for index, plane in enumerate((1.0, 1.5, 3.0, float("inf"))):
        wanted = render_bokeh(photo, depth, (3.0, 5.0, 7.0, 9.0)[index], plane)
        # The plane between keyframes is rounded once more.
        torch.testing.assert_close(frames[index], wanted, atol=2e-5, rtol=0)


def test_a_clip_takes_one_picture_for_each_frame_and_other_numbers_are_refused(scene):
    photo, depth = scene
    clip = torch.cat([photo, photo.flip(2), photo])
    track = focus_track(depth, "0: 1 m; 2: 4 m")
    frames = list(render_focus_pull(clip, depth, 5.0, track))
    assert torch.equal(frames[1], render_bokeh(clip[1:2], depth, 5.0, track.focus_depth[1]))
    with pytest.raises(ValueError, match="image: 2 for a focus track of 3 frames"):
        next(render_focus_pull(clip[:2], depth, 5.0, track))


def test_progress_covers_the_clip_and_cancelling_stops_it(scene):
    photo, depth = scene
    track, seen = focus_track(depth, "0: 1 m; 3: 4 m"), []

    def on_progress(done, total):
        seen.append(done / total)

    list(render_focus_pull(photo, depth, 5.0, track, on_progress=on_progress))
    assert seen == sorted(seen)
    assert seen[-1] == 1

    def cancel():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(render_focus_pull(photo, depth, 5.0, track, check_cancelled=cancel))


def test_frames_of_a_clip_of_an_hour_come_one_by_one(scene):
    track = focus_track(scene[1], "0: 1 m; 99999: 4 m")
    frames = render_focus_pull(*scene, 8.0, track)
    one, three = (
        peak_bytes(lambda n=n: [None for _ in itertools.islice(frames, n)]) for n in (1, 3)
    )
    assert three < 1.5 * one < 1e8  # bytes; all frames would take 1000 times as much


def test_a_track_without_focus_needs_one(scene):
    photo, depth = scene
    track = focus_track(depth, "0: strength 1; 1: strength 5")
    with pytest.raises(ValueError, match="focus_depth: the track keys the strength alone"):
        next(render_focus_pull(photo, depth, 5.0, track))
    assert len(list(render_focus_pull(photo, depth, 5.0, track, 1.0))) == 2


def test_clips_are_written_whole(tmp_path):
    av = pytest.importorskip("av")
    frames = [torch.full((31, 40, 3), one / 5) for one in range(5)]
    assert write_clip(tmp_path / "a.mp4", frames, 25) == 5
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert file.streams.video[0].average_rate == 25
        found = [one.to_ndarray(format="rgb24") for one in file.decode(video=0)]
    assert [one.shape for one in found] == [(30, 40, 3)] * 5  # H.264 takes even sides
    means = [one.mean() / 255 for one in found]
    assert np.allclose(means, [one / 5 for one in range(5)], atol=0.02)  # limited range, 8 bit
    assert write_clip(tmp_path / "a.gif", iter(frames)) == 5
    assert Image.open(tmp_path / "a.gif").n_frames == 5

    def broken():
        yield frames[0]
        raise KeyboardInterrupt

    for name in ("b.mp4", "b.gif"):
        with pytest.raises(KeyboardInterrupt):
            write_clip(tmp_path / name, broken())
    with pytest.raises(ValueError, match="frames: expected 31x40 like the first, found 8x8"):
        write_clip(tmp_path / "b.gif", [frames[0], torch.zeros(8, 8, 3)])
    with pytest.raises(ValueError, match="frames: none"):
        write_clip(tmp_path / "b.mp4", [])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.gif", "a.mp4"]
