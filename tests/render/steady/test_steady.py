"""Clips whose depth was guessed frame by frame."""

import pytest
import torch
from torch.nn import functional

from bokehdepth_core import focus_track, render_bokeh, render_focus_pull, steady_depth
from bokehdepth_core.render.steady import FrameDepth
from bokehdepth_core.render.steady.holding import NOISE, PATIENCE

HEIGHT, WIDTH = 48, 64
NEAR, FAR = 0.8, 0.2  # 1/m


def texture(seed=0):
    noise = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(noise, (HEIGHT, WIDTH), mode="bicubic")[0].movedim(0, -1)


def scene(left=20):
    """Return a photo and disparity of a red square before a coloured wall."""
    photo, disparity = 0.6 * texture().clamp(0, 1), torch.full((HEIGHT, WIDTH), FAR)
    photo[14:34, left : left + 20] = torch.tensor([0.9, 0.2, 0.1])
    disparity[14:34, left : left + 20] = NEAR
    return photo, disparity


def softened(disparity):
    small = functional.avg_pool2d(disparity[None, None], 4)
    return functional.interpolate(small, (HEIGHT, WIDTH), mode="bilinear")[0, 0]


def noisy(disparity, frames, jitter=1, stray=0.01, wobble=0.02):
    """Return depth [frames,H,W] as a network gives it, each frame with errors of its own."""
    random, out = torch.Generator().manual_seed(1), []
    for _ in range(frames):
        dy, dx = torch.randint(-jitter, jitter + 1, (2,), generator=random).tolist()
        smooth = torch.randn(1, 1, 4, 5, generator=random)
        smooth = functional.interpolate(smooth, (HEIGHT, WIDTH), mode="bicubic")[0, 0]
        own = torch.randn(HEIGHT, WIDTH, generator=random)
        moved = softened(disparity.roll((dy, dx), (0, 1)))
        out.append(moved * (1 + wobble * smooth + stray * own).clamp(0.5, 1.5))
    return torch.stack(out).reciprocal()


@pytest.fixture(scope="module")
def static():
    photo, disparity = scene()
    return photo.expand(6, -1, -1, -1), noisy(disparity, 6)


def spread(clip):
    return float(255 * (clip.amax(0) - clip.amin(0)).max())


def test_a_static_photo_with_six_noisy_depths_stands_still(static):
    photo, depth = static
    plain = render_bokeh(photo, depth, 12.0, 1.25, quality="draft")
    steady = render_bokeh(photo, depth, 12.0, 1.25, quality="draft", steady=1.0)
    assert spread(plain) > 35
    assert spread(steady) <= 8
    assert torch.equal(steady[0], plain[0])


def test_frame_by_frame_is_the_same_as_all_at_once(static):
    photo, depth = static
    whole = render_bokeh(photo, depth, 12.0, 1.25, quality="draft", steady=0.7)
    track = focus_track(depth[:1], "0: 1.25 m; 5: 1.25 m")
    frames = render_focus_pull(photo, depth, 12.0, track, quality="draft", steady=0.7)
    assert torch.equal(torch.cat(list(frames)), whole)


def test_one_frame_and_one_depth_are_as_without(static):
    photo, depth = static
    options = {"strength": 12.0, "focus_depth": 1.25, "quality": "draft"}
    alone = render_bokeh(photo[:1], depth[1:2], **options)
    assert torch.equal(render_bokeh(photo[:1], depth[1:2], **options, steady=1.0), alone)
    several = render_bokeh(photo[:3], depth[1:2], **options, steady=1.0)
    assert all(torch.equal(one, alone[0]) for one in several)


def test_a_cut_begins_anew_and_nothing_of_the_scene_before_is_left(static):
    photo, depth = static
    other, disparity = texture(5).clamp(0, 1), scene(36)[1]
    after = noisy(disparity, 2)
    clip = torch.cat([photo[:3], other.expand(2, -1, -1, -1)])
    held = steady_depth(clip, torch.cat([depth[:3], after]))
    assert torch.equal(held[3], after[0])
    assert torch.equal(held[4], steady_depth(other[None], after)[1])


def test_a_cut_between_pictures_alike_is_seen_in_the_depth():
    white = torch.full((6, HEIGHT, WIDTH, 3), 0.9)
    depth = torch.cat([torch.full((3, HEIGHT, WIDTH), 2.0), torch.full((3, HEIGHT, WIDTH), 5.0)])
    assert torch.equal(steady_depth(white, depth), depth)


@pytest.mark.parametrize("step", [1, 3, 9])
def test_what_moves_neither_lags_nor_leaves_a_ghost(step):
    places = range(4, 40, step)
    photos, truth = map(torch.stack, zip(*map(scene, places), strict=True))
    stray = torch.randn(truth.shape, generator=torch.Generator().manual_seed(2))
    found = steady_depth(photos, (truth * (1 + 0.01 * stray)).reciprocal()).reciprocal()
    # Noise of 1 % reaches 4.5 % in one of 10^5 values; a ghost would be off by 75 or 300 %.
    assert float((found / truth - 1).abs().max()) < 0.06


def test_what_came_to_rest_is_held():
    places = [4, 10, 16, *[22] * 5]
    photos, truth = map(torch.stack, zip(*map(scene, places), strict=True))
    stray = torch.randn(truth.shape, generator=torch.Generator().manual_seed(2))
    found = steady_depth(photos, (truth * (1 + 0.01 * stray)).reciprocal())
    assert float((found[4:] / found[3] - 1).abs().max()) < 0.03


def test_another_surface_that_stays_is_believed_after_a_few_frames():
    photo, disparity = scene()
    changed = disparity.clone()
    changed[4:10, 4:10] = NEAR
    frames = torch.stack([disparity] * 3 + [changed] * (PATIENCE + 3)).reciprocal()
    held = steady_depth(photo[None], frames)
    there = held[:, 6, 6].reciprocal()
    assert torch.allclose(there[: PATIENCE + 3], torch.tensor(FAR))
    assert torch.allclose(there[PATIENCE + 4 :], torch.tensor(NEAR))


def test_a_surface_without_texture_that_comes_nearer_is_followed():
    gray = torch.full((1, HEIGHT, WIDTH, 3), 0.5)
    disparity = 0.2 * 1.02 ** torch.arange(30.0)
    depth = disparity.reciprocal()[:, None, None].expand(-1, HEIGHT, WIDTH)
    lag = 1 - steady_depth(gray, depth)[:, 0, 0].reciprocal() / disparity
    # Following at full speed begins at three times the noise, and sees the mean of 5 frames.
    assert float(lag.min()) >= 0
    assert float(lag.max()) < 3 * NOISE


def test_grain_of_the_photo_does_not_throw_edges_about():
    photo, disparity = scene(21)
    photo[disparity == FAR] = torch.tensor([0.8, 0.25, 0.15])  # hardly another colour
    grain = torch.randn(8, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(3))
    clip, depth = photo + 0.02 * grain, softened(disparity).reciprocal()
    changes = []
    for steady in (0.0, 1.0):
        frames = FrameDepth(steady)
        refined = torch.stack([frames.next(one, depth) for one in clip])
        changes.append(int((refined.amax(0) != refined.amin(0)).sum()))
    assert changes[0] >= 5
    assert changes[1] == 0


def test_memory_is_the_same_after_three_frames_and_after_thirty(static):
    photo, depth = static

    def kept(frames):
        held = [frames._parts, frames._depth, frames._edges]
        tensors = (one for part in held for one in vars(part).values())
        return sum(one.untyped_storage().nbytes() for one in tensors if torch.is_tensor(one))

    frames, sizes = FrameDepth(1.0), []
    for index in range(30):
        frames.next(photo[index % 6], depth[index % 6])
        sizes.append(kept(frames))
    assert sizes[2] == sizes[29]


def test_values_out_of_range_are_refused(static):
    with pytest.raises(ValueError, match=r"steady: expected 0 to 1, found 1\.5"):
        render_bokeh(*(one[:1] for one in static), 12.0, 1.25, steady=1.5)
    with pytest.raises(ValueError, match="image: expected"):
        steady_depth(static[0][:, :-1], static[1])
