"""Focus Stack from Images and the prior of Defocus-Aware Depth, in process with ComfyUI.

COMFYUI_PATH names a ComfyUI checkout.
"""

import importlib

import comfyui_pack  # first: it sets ComfyUI up
import lens_sampled
import pytest
import torch

focus_stack = importlib.import_module(f"{comfyui_pack.NAME}.nodes.depth.focus_stack")
sockets = importlib.import_module(f"{comfyui_pack.NAME}.nodes.sockets")

pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]
PLANES = (1.05, 0.6)


@pytest.fixture(scope="module")
def frames():
    scene = lens_sampled.scene(64)
    return torch.stack([lens_sampled.photo(scene, 14.0, plane) for plane in PLANES])


def test_frames_become_a_focus_stack_and_a_picture_sharp_everywhere(frames):
    stacks, sharp = focus_stack.FocusStackFromImages.execute(
        frames, "0.952, 1.667", 14.0, False
    ).args
    (stack,) = stacks
    assert stack.focus_depths == (0.952, 1.667)
    assert stack.strengths == (14.0, 14.0)
    assert torch.equal(sharp[0], stack.reference)
    truth = lens_sampled.photo(lens_sampled.scene(64), 0.0, 1.0)
    error = (sharp[0] - truth).square().mean()
    # 2 dB closer than the best frame, borders included.
    assert error < 0.65 * (frames - truth).square().mean((1, 2, 3)).min()


def test_room_is_made_for_what_is_done(frames, monkeypatch):
    asked = []
    monkeypatch.setattr(focus_stack.services, "make_room", asked.append)
    focus_stack.FocusStackFromImages.execute(frames, "0.952, 1.667", 14.0, False)
    kinds = {"align": False, "measured": False, "moved": False}
    assert asked == [focus_stack.focus_stack_memory(*frames.shape[1:3], 2, **kinds)]
    focus_stack.FocusStackFromImages.execute(frames, "0.952, 1.667", 0.0, False)
    assert asked[1] > asked[0]  # the strength is measured


def test_a_frame_too_few_and_distances_too_few_are_named(frames):
    node = focus_stack.FocusStackFromImages
    with pytest.raises(ValueError, match=r"^frames: "):
        node.execute(frames[:1], "", 0.0, False)
    with pytest.raises(ValueError, match=r"^focus_distances: 1 given for 2 frames"):
        node.execute(frames, "1", 0.0, False)


def test_what_is_no_depth_is_told_under_the_name_of_its_input():
    with pytest.raises(TypeError, match=r"^prior: .*METRIC_DEPTH, IMAGE"):
        sockets.as_depth("far", name="prior")
