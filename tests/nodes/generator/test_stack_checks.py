"""Generate Bokeh Stack: frames aligned, strengths measured and corrected, in process with ComfyUI.

COMFYUI_PATH names a ComfyUI checkout.
"""

import importlib

import comfyui_pack  # first: it sets ComfyUI up
import pytest
import torch
from torch.nn.functional import interpolate

core = importlib.import_module(f"{comfyui_pack.NAME}.bokehdepth_core")
stack_nodes = importlib.import_module(f"{comfyui_pack.NAME}.nodes.generator.stack")
stack_checks = importlib.import_module(f"{comfyui_pack.NAME}.nodes.generator.stack_checks")
loader = importlib.import_module(f"{comfyui_pack.NAME}.nodes.generator.loader")
handles = importlib.import_module(f"{comfyui_pack.NAME}.nodes.handles")

pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]
SIZE = (180, 240)


class WeakGenerator:
    """Makes frames that show 0.7 of the last strength, and lie two pixels to the right."""

    is_built_in = False

    def generate(self, image, strengths, **options):
        depth = scene_depth()
        shown = [*strengths[:-1], 0.7 * strengths[-1]]
        frames = [core.render_bokeh(image[None], depth, value, 1.0)[0] for value in shown]
        frames = torch.stack(frames).roll(options["seed"], dims=2)
        return core.BokehStack(image, frames, strengths)


def scene_depth():
    """A card at 1 m before walls at 2 m and 4 m: three depths tell where the focus is."""
    depth = torch.full((1, *SIZE), 2.0)
    depth[:, :, 160:] = 4.0
    depth[:, 60:, 80:150] = 1.0
    return depth


def photo():
    noise = torch.rand(1, 3, 90, 120, generator=torch.Generator().manual_seed(0))
    return (0.15 + 0.7 * interpolate(noise, SIZE, mode="bicubic").movedim(1, -1)).clamp(0, 1)


def generated(monkeypatch, shift=0, **options):
    monkeypatch.setattr(stack_nodes.sockets, "check_kind", lambda *_: None)
    result = stack_nodes.GenerateBokehStack.execute(
        *(photo(), WeakGenerator(), "4, 8, 12", 1, 1.0, shift, False), **options
    )
    return result.args


def test_room_is_made_for_the_calibration(monkeypatch):
    asked = []
    monkeypatch.setattr(comfyui_pack.host, "make_room", asked.append)
    (stack,) = generated(monkeypatch)[0]
    assert asked == []
    generated(monkeypatch, check_calibration=True)
    assert asked == [stack_checks.calibration_memory(stack)]


def test_strengths_stay_as_asked_for_unless_they_are_to_be_corrected(monkeypatch):
    (stack,), _, report, strengths = generated(monkeypatch, check_calibration=True)
    assert stack.strengths == (4, 8, 12)
    assert strengths == "4, 8, 12"
    assert report.startswith("R²")
    assert "Measured against one another, K 4 came out as " in report
    assert "\n" not in report


def test_corrected_strengths_are_those_that_the_frames_show(monkeypatch):
    (stack,), _, _, strengths = generated(monkeypatch, correct_strengths=True)
    assert stack.settings["asked_strengths"] == (4, 8, 12)
    small, _, large = stack.strengths
    # 4 and 8.4: half of the ratio that was asked for, plus what candidates half a pixel apart cost.
    assert large / small == pytest.approx(0.7 * 3, rel=0.1)
    assert strengths == ", ".join(f"{one:.4g}" for one in stack.strengths)
    depth = core.DepthMap(scene_depth())
    (stack,), *_ = generated(monkeypatch, correct_strengths=True, depth=depth)
    assert stack.strengths == pytest.approx((4, 8, 8.4), rel=0.1)  # px·m, by the depth


def test_frames_are_brought_onto_the_photo_when_asked_for(monkeypatch):
    (moved,), frames, *_ = generated(monkeypatch, shift=2)
    (stack,), aligned, report, _ = generated(monkeypatch, shift=2, align=True)
    assert "moved by up to 2.0" in report
    assert "alignment" in stack.settings
    assert "alignment" not in moved.settings
    (_,), true, *_ = generated(monkeypatch)
    inner = (slice(None), slice(8, -8), slice(8, -8))
    error, before = ((one - true)[inner].square().mean() for one in (aligned, frames))
    assert error < 0.05 * before
