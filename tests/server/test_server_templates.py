"""Every example graph in a real ComfyUI: no node is unknown, and what needs no download runs.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it. ComfyUI 0.3.64 knows
neither Depth Anything 3 nor MoGe, and 0.26 not all of MoGe: those graphs need a later one.
"""

import os

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from comfyui_server import PACK, ComfyServer
from graph_files import NAMES, NEW_CORE, as_prompt, load, needs_models
from template_inputs import give_inputs, loads_exr

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
SMALL = {"quality": "draft"}  # the lens of every graph, for time


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"))
    give_inputs(server)
    yield server
    server.stop()


def test_every_template_is_served_with_its_card(server):
    assert set(server.get("/api/workflow_templates")[PACK]) == set(NAMES)
    for name in NAMES:
        path = f"/api/workflow_templates/{PACK}/{name}.jpg".replace(" ", "%20")
        assert server.get_bytes(path)[:2] == b"\xff\xd8", name


@pytest.mark.parametrize("name", NAMES)
def test_no_node_of_a_template_is_unknown(server, name):
    known = set(server.get("/object_info"))
    missing = {node["type"] for node in load(name)["nodes"]} - known - {"MarkdownNote"}
    assert missing <= NEW_CORE
    if missing and "MoGeGeometryToFOV" not in known:  # the newest of them
        pytest.skip(f"this ComfyUI is older than {', '.join(sorted(missing))}")
    assert missing == set()


@pytest.mark.parametrize("name", [name for name in NAMES if not needs_models(load(name))])
def test_a_template_without_models_runs(server, name):
    prompt = as_prompt(load(name))
    for node in prompt.values():
        if node["class_type"] == "RenderBokeh":
            node["inputs"] |= SMALL
        if node["inputs"].get("image") == "render.exr" and not loads_exr(server):
            pytest.skip("this ComfyUI's Load Image reads no EXR")
    run = server.run(prompt)
    assert run.error == ""
    assert sum(len(output.get("images", [])) for output in run.outputs.values()) >= 1


@pytest.mark.parametrize("name", [name for name in NAMES if needs_models(load(name))])
def test_a_template_with_models_lacks_nothing_but_their_files(server, name):
    known = set(server.get("/object_info"))
    prompt = as_prompt(load(name))
    if {node["class_type"] for node in prompt.values()} - known:
        pytest.skip("this ComfyUI is older than some of its nodes")
    status, answer = server.post("/prompt", {"prompt": prompt})
    assert status == 400
    for key, found in answer["node_errors"].items():
        files = {
            one["name"]
            for node in load(name)["nodes"]
            if str(node["id"]) == key
            for one in node["properties"].get("models", [])
        }
        for error in found["errors"]:
            assert error["type"] == "value_not_in_list", error
            told = error["extra_info"]["received_value"]
            assert told in files | {"your_lora.safetensors"}
