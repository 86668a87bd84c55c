"""What Render Bokeh assumes where a call leaves an input out. Needs a ComfyUI."""

import dataclasses
import importlib

import pytest
from comfyui_pack import NAME

lens = importlib.import_module(f"{NAME}.nodes.render.lens")
kept = importlib.import_module(f"{NAME}.nodes.host.kept")
steps = importlib.import_module(f"{NAME}.nodes.render.lens_steps")
pytestmark = pytest.mark.comfyui


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
