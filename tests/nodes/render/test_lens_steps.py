"""What Render Bokeh assumes where a call leaves an input out. Needs a ComfyUI."""

import dataclasses
import importlib
import time

import pytest
import torch
from comfyui_pack import NAME

lens = importlib.import_module(f"{NAME}.nodes.lens")
kept = importlib.import_module(f"{NAME}.nodes.host.kept")
steps = importlib.import_module(f"{NAME}.nodes.render.lens_steps")
pytestmark = pytest.mark.comfyui
POINT = {"focus_x": 0.5, "focus_y": 0.5, "focus_distance": 0.0}


def test_a_call_and_the_schema_have_the_same_inputs_and_defaults():
    fields = {one.name: one.default for one in dataclasses.fields(steps.Inputs)}
    shown = {one.id: one for one in lens.RenderBokeh.define_schema().inputs}
    assert set(fields) == set(shown)
    left_out = {name for name, default in fields.items() if default is not dataclasses.MISSING}
    assert left_out == {name for name, one in shown.items() if one.optional}
    wanted = {name: getattr(shown[name], "default", None) for name in left_out}
    assert {name: fields[name] for name in left_out} == wanted


def test_a_clip_that_the_cache_cannot_hold_is_rendered_without():
    held = kept.LARGEST // (kept.EACH_PIXEL * 720 * 1280)
    assert kept.preparation(held, (720, 1280)) is kept.preparation(1, (720, 1280))
    assert kept.preparation(held + 1, (720, 1280)) is None
    assert kept.preparation(1, (16384, 16384)) is not None  # it leaves out what it cannot hold


def test_a_clip_whose_results_no_memory_holds_is_refused_before_any_is_taken():
    pull = importlib.import_module(f"{NAME}.nodes.render.focus_pull")
    core = importlib.import_module(f"{NAME}.bokehdepth_core")
    image, depth = torch.rand(1, 1080, 1920, 3), core.DepthMap(torch.rand(1, 1080, 1920) + 1)
    keys = "0: 0.1,0.1; 99999: 0.9,0.9 strength 40"
    track = pull.FocusPull.execute(depth, keys, 0).args[0]
    assert track.frames == 100_000
    begin = time.monotonic()
    with pytest.raises(ValueError, match=r"^focus: take fewer frames in Focus Pull: 100000 ") as no:
        lens.RenderBokeh.execute(image=image, depth=depth, strength=5.0, focus=track, **POINT)
    assert "1920x1080 px need 7465.0 GB of memory" in str(no.value)
    assert time.monotonic() - begin < 5


def test_a_batch_that_memory_does_not_hold_is_refused_by_name(monkeypatch):
    core = importlib.import_module(f"{NAME}.bokehdepth_core")
    mm = importlib.import_module("comfy.model_management")
    image, depth = torch.rand(3, 40, 50, 3), core.DepthMap(torch.rand(1, 40, 50) + 1)
    with monkeypatch.context() as patched:
        patched.setattr(mm, "get_free_memory", lambda *_: 3 * 40 * 50 * 36 - 1)
        with pytest.raises(ValueError, match=r"^image: take fewer frames at once: 3 pict"):
            lens.RenderBokeh.execute(image=image, depth=depth, strength=5.0, **POINT)
    done = lens.RenderBokeh.execute(image=image, depth=depth, strength=5.0, **POINT)
    assert done.args[0].shape == image.shape
