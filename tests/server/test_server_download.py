"""Choosing a published file that is not there yet, in a real ComfyUI, against a local hub.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import hashlib
import io
import os

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

import golden
import torch
from comfyui_server import PROBE_NODES, ComfyServer
from fake_hub import serving
from test_server_depth import graph

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
NAME = "DAV2_dsfa_release.pth"


@pytest.fixture(scope="module")
def hub():
    case, content = golden.manifest("dav2_dsfa"), io.BytesIO()
    torch.save(golden.recipe_state(case["parameters"], case["seed"]), content)
    with serving(content.getvalue(), NAME) as handler:
        yield handler


@pytest.fixture(scope="module")
def server(tmp_path_factory, hub):
    server = ComfyServer(
        tmp_path_factory.mktemp("comfyui"),
        PROBE_NODES,
        HF_ENDPOINT=hub.address,
    )
    yield server
    server.stop()


def entry(server):
    """The combo's entry for the file that is not there yet."""
    options = server.get("/object_info")["LoadBokehDepth"]["input"]["required"]["depth_checkpoint"]
    names = options[0] if isinstance(options[0], list) else options[1]["options"]
    return next(name for name in names if name.startswith(NAME))


def test_a_published_file_is_fetched_when_it_is_used_and_only_once(server, hub):
    folder = server.folder / "models" / "bokehdepth"
    hub.served_etag = hashlib.sha256(b"something else").hexdigest()
    failed = server.run(graph(entry(server)))
    assert NAME in failed.error
    assert not (folder / NAME).exists()  # what came is not what the hub named
    hub.served_etag = hashlib.sha256(hub.content).hexdigest()
    assert server.run(graph(entry(server))).error == ""
    assert (folder / NAME).read_bytes() == hub.content
    asked = len(hub.ranges)
    assert server.run(graph(NAME)).error == ""
    assert len(hub.ranges) == asked
