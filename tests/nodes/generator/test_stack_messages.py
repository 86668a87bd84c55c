"""Warnings of the core reach the node that caused them. Needs a ComfyUI."""

import importlib
import logging

import comfyui_pack
import pytest
import torch

stack = importlib.import_module(f"{comfyui_pack.NAME}.nodes.generator.stack")
core = importlib.import_module(f"{comfyui_pack.NAME}.bokehdepth_core")
pytestmark = pytest.mark.comfyui


class Generator(stack.sockets.BokehGenerator):
    """Makes frames at once, and warns as the core does where memory is short."""

    def generate(self, image, strengths, **_):
        core_log = f"{comfyui_pack.NAME}.bokehdepth_core.generator.batches"
        logging.getLogger(core_log).warning("3 strengths did not fit: made one by one")
        frames = image.expand(len(strengths), -1, -1, -1).clone()
        return core.BokehStack(image, frames, tuple(strengths))


def test_a_warning_of_the_core_is_shown_on_the_node(monkeypatch):
    shown = []
    monkeypatch.setattr(stack.services, "show_text", shown.append)
    generator = Generator(adapter="some.safetensors", base_model="flux", precision="auto")
    options = {"steps": 1, "guidance": 1.0, "seed": 0, "match_color": False}
    photo = torch.full((1, 16, 16, 3), 0.5)
    out = stack.GenerateBokehStack.execute(photo, generator, "10, 20, 30", **options)
    assert shown == ["3 strengths did not fit: made one by one"]
    assert "made one by one" in str(out.ui)
