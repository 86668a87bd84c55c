"""Render Bokeh without depth in a real ComfyUI: people are found, and the node says it guessed.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import os

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from comfyui_server import ComfyServer

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"))
    yield server
    server.stop()


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def render(image, **changes):
    inputs = {"strength": 20.0, "focus_x": 0.5, "focus_y": 0.5, "focus_distance": 0.0}
    return node("RenderBokeh", image=image, quality="draft", **(inputs | changes))


def graph(image, **changes):
    return {
        "photo": node("BokehDepthExample"),
        "wall": node("EmptyImage", width=64, height=48, batch_size=1, color=8421504),
        "render": render(image, **changes),
        "see": node("PreviewImage", images=["render", 0]),
    }


def test_a_photo_of_somebody_is_enough(server):
    run = server.run(graph(["photo", 0], focus_mode="automatic"))
    assert run.error == ""
    assert run.outputs["render"]["text"][0].startswith("Depth is a rough guess from people")
    assert run.outputs["see"]["images"]


def test_nobody_in_it_is_an_error_whose_first_words_are_the_remedy(server):
    run = server.run(graph(["wall", 0]))
    assert "no person found to guess it. Give a depth map" in run.error[:120]


def test_depth_that_is_connected_is_not_called_a_guess(server):
    run = server.run(graph(["photo", 0], depth=["photo", 2]))
    assert run.error == ""
    assert "text" not in run.outputs.get("render", {})
