"""What Render Bokeh does to a clip, frame by frame. Needs a ComfyUI."""

import importlib

import pytest
import torch
from comfyui_pack import NAME

lens = importlib.import_module(f"{NAME}.nodes.lens")
pulls = importlib.import_module(f"{NAME}.nodes.render.focus_pull")
core = importlib.import_module(f"{NAME}.bokehdepth_core")
pytestmark = pytest.mark.comfyui
FRAMES, HEIGHT, WIDTH = 3, 40, 56


@pytest.fixture(scope="module")
def clip():
    """Photos [B,H,W,3] that differ, and the depth of each: the left half near, the right far."""
    generator = torch.Generator().manual_seed(3)
    photos = torch.rand(FRAMES, HEIGHT, WIDTH, 3, generator=generator)
    depth = torch.full((FRAMES, HEIGHT, WIDTH), 4.0)
    for index in range(FRAMES):
        depth[index, :, : 20 + 2 * index] = 1.5
    return photos, depth


def rendered(photos, depth, **more):
    inputs = {"strength": 9.0, "focus_x": 0.1, "focus_y": 0.5, "focus_distance": 0.0} | more
    return lens.RenderBokeh.execute(image=photos, depth=core.DepthMap(depth), **inputs).args


def test_a_clip_is_its_frames_one_by_one(clip):
    photos, depth = clip
    together = rendered(photos, depth)
    for index in range(FRAMES):
        alone = rendered(photos[index : index + 1], depth[index : index + 1])
        assert torch.equal(together[0][index], alone[0][0])
        assert torch.equal(together[2][index], alone[2][0])


def test_one_photo_serves_every_depth_of_a_clip(clip):
    photos, depth = clip
    together = rendered(photos[:1], depth)[0]
    assert together.shape == (FRAMES, HEIGHT, WIDTH, 3)
    alone = rendered(photos[:1], depth[2:])[0]
    assert torch.equal(together[2], alone[0])


def test_keyed_strength_is_the_strength_of_each_frame(clip):
    photos, depth = clip
    keys = "0: 0.1,0.5 strength 3; 2: 0.1,0.5 strength 12"
    track = pulls.FocusPull.execute(depth=core.DepthMap(depth), keyframes=keys, frames=FRAMES)
    together = rendered(photos, depth, focus=track.args[0])
    for index, strength in ((0, 3.0), (2, 12.0)):
        one = {"strength": strength}
        alone = rendered(photos[index : index + 1], depth[index : index + 1], **one)[0]
        assert torch.allclose(together[0][index], alone[0], atol=1e-6)
    assert together[2].abs().amax((1, 2)).diff().gt(0).all()


def test_a_steady_clip_of_one_photo_changes_less_than_its_depths(clip):
    photos, depth = clip
    generator = torch.Generator().manual_seed(5)
    shaken = depth[:1] * (1 + 0.02 * torch.randn(FRAMES, HEIGHT, WIDTH, generator=generator))

    def flicker(steady):
        frames = rendered(photos[:1], shaken, steady=steady)[0]
        return float((frames.amax(0) - frames.amin(0)).max())

    assert flicker(1.0) < 0.1 * flicker(0.0)


@pytest.mark.parametrize("steady", [0.0, 1.0])
def test_a_cancel_between_frames_leaves_the_next_run_right(clip, steady, monkeypatch):
    photos, depth = clip
    before = rendered(photos, depth, steady=steady)[0]

    class CancelledError(Exception):
        """Stands for ComfyUI's own."""

    calls = iter(range(1000))

    def stop_in_the_second_frame():
        if next(calls) >= 12:
            raise CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(lens.services, "check_cancelled", stop_in_the_second_frame)
        with pytest.raises(CancelledError):
            rendered(photos, depth, steady=steady)
    assert torch.equal(rendered(photos, depth, steady=steady)[0], before)
