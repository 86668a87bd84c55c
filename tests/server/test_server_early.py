"""Mistakes that are known before a run: ComfyUI marks them at the widget, with the remedy first.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import os
import re
from pathlib import Path

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from comfyui_server import ComfyServer

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
REMEDY = re.compile(r"\b([Uu]se|[Cc]onnect|[Cc]hoose|[Gg]ive|[Ww]rite|[Uu]pload)\b")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"))
    yield server
    server.stop()


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


POINT = {"strength": 20.0, "focus_x": 0.5, "focus_y": 0.5, "focus_distance": 0.0}
LENS = {"focal_length_mm": 50.0, "focal_length_35mm": 50.0, "f_number": 1.8, "focus_distance": 0.04}
LOOK = dict.fromkeys(("f_number", "focal_length_mm", "focal_length_35mm"), 0.0)
BUILT_IN = dict.fromkeys(("bokeh_adapter", "base_model", "depth_checkpoint"), "built-in")
LOAD = node("LoadBokehDepth", **BUILT_IN, precision="auto")
CASES = {
    "aperture_blades": node("RenderBokeh", image=["photo", 0], **POINT, aperture_blades=2),
    "focus_distance": node("LensBokehStrength", image=["photo", 0], **LENS),
    "strengths": node(
        "BokehStackFromImages", reference=["photo", 0], frames=["photo", 1], strengths=""
    ),
    "cat_eye": node("RenderBokeh", image=["photo", 0], **POINT, wrap=True, cat_eye=0.5),
    "tilt": node("RenderBokeh", image=["photo", 0], **POINT, wrap=True, tilt=-10.0),
    "swing": node("RenderBokeh", image=["photo", 0], **POINT, wrap=True, swing=5.0),
    "keyframes": node("FocusPull", depth=["photo", 2], keyframes="0: nowhere", frames=0),
    "focus_distances": node(
        "FocusStackFromImages",
        frames=["photo", 1],
        focus_distances="near, far",
        strength=0.0,
        align=True,
    ),
    "f_number": node("BokehLens", preset="plain disc", **(LOOK | {"f_number": 1.4})),
    "focal_length_mm": node("BokehLens", preset="plain disc", **(LOOK | {"f_number": 999.0})),
    "bokeh_adapter": node(
        "LoadBokehDepth", **BUILT_IN | {"bokeh_adapter": "x.bin"}, precision="auto"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_marked_before_the_run(server, name):
    graph = {"photo": node("BokehDepthExample"), "it": CASES[name]}
    graph["see"] = node("PreviewAny", source=["it", 0])
    status, answer = server.post("/prompt", {"prompt": graph})
    assert status == 400
    errors = answer["node_errors"]["it"]["errors"]
    assert name in {one["extra_info"]["input_name"] for one in errors}
    said = errors[0]["details"].split(" - ", 1)[1]
    assert REMEDY.search(said[:80]), said


def test_a_part_of_flux_that_is_missing_is_said_before_the_run(server):
    load = node("LoadBokehDepth", **LOAD["inputs"], vae=["empty", 0])
    graph = {"empty": node("VAELoader", vae_name="pixel_space"), "it": load}
    graph["see"] = node("PreviewAny", source=["it", 0])
    status, answer = server.post("/prompt", {"prompt": graph})
    assert status == 400
    told = " ".join(one["details"] for one in answer["node_errors"]["it"]["errors"])
    assert "model, clip: not connected. Connect model, clip and vae together" in told


def test_another_type_than_a_part_of_flux_is_refused(server):
    load = node("LoadBokehDepth", **LOAD["inputs"], vae=["photo", 0])
    graph = {"photo": node("BokehDepthExample"), "it": load}
    graph["see"] = node("PreviewAny", source=["it", 0])
    status, answer = server.post("/prompt", {"prompt": graph})
    assert status == 400
    told = " ".join(one["details"] for one in answer["node_errors"]["it"]["errors"])
    assert "vae: connect a VAE. A IMAGE is connected." in told


@pytest.mark.parametrize("name", ["check_calibration", "correct_strengths"])
def test_one_strength_is_not_measured(server, name):
    generate = node(
        "GenerateBokehStack",
        **{"image": ["photo", 0], "generator": ["load", 0], "strengths": "20", name: True},
        **{"steps": 1, "guidance": 1.0, "seed": 0, "match_color": True},
    )
    graph = {"photo": node("BokehDepthExample"), "load": LOAD, "it": generate}
    graph["see"] = node("PreviewAny", source=["it", 2])
    status, answer = server.post("/prompt", {"prompt": graph})
    assert status == 400
    told = " ".join(one["details"] for one in answer["node_errors"]["it"]["errors"])
    assert "strengths: found 1 different value, a line needs two. Give frames of" in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "JPEG portrait"}, "image: connect the photo. A JPEG portrait is the photo"),
        ({"format": "BMP"}, "format: unknown kind 'BMP'. Use one of EXR, 16-bit PNG"),
        ({"format": "EXR", "image": ["strength", 0]}, "image: connect IMAGE. FLOAT is connected."),
    ],
)
def test_a_save_that_cannot_be_is_said_before_the_run(server, changes, message):
    lens = LENS | {"focus_distance": 2.0}
    graph = {
        "photo": node("BokehDepthExample"),
        "strength": node("LensBokehStrength", image=["photo", 0], **lens),
        "it": node("SaveMetricDepth", depth=["photo", 2], filename_prefix="early/d", **changes),
    }
    status, answer = server.post("/prompt", {"prompt": graph})
    assert status == 400
    told = " ".join(one["details"] for one in answer["node_errors"]["it"]["errors"])
    assert message in told


def test_a_jpeg_with_its_photo_is_saved(server):
    links = {"depth": ["photo", 2], "image": ["photo", 0]}
    save = node("SaveMetricDepth", **links, filename_prefix="early/d", format="JPEG portrait")
    run = server.run({"photo": node("BokehDepthExample"), "it": save})
    assert run.error == ""
    assert run.outputs["it"]["text"] == [str(Path("early") / "d_00001_.jpg")]


def test_what_is_right_still_runs(server):
    graph = {"photo": node("BokehDepthExample"), "load": LOAD}
    graph["lens"] = node("LensBokehStrength", image=["photo", 0], **LENS | {"focus_distance": 2.0})
    graph["see"] = node("PreviewAny", source=["lens", 0])
    graph["loaded"] = node("PreviewAny", source=["load", 0])
    run = server.run(graph)
    assert run.error == ""
    assert run.outputs["lens"]["text"][0].startswith("K = ")
