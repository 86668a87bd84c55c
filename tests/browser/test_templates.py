"""The pack's templates in ComfyUI's own page: their order, and how they open in Nodes 2.0."""

import json
import os

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from comfyui_server import PACK
from graph_files import NAMES, load

pytest_plugins = ["browser_fixtures"]
pytestmark = [pytest.mark.comfyui, pytest.mark.slow]


def test_the_first_template_to_try_is_the_first_of_the_cards(opened):
    listed = opened.evaluate("async () => (await app.api.getWorkflowTemplates())")
    assert listed[PACK] == sorted(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name[:2] in ("01", "11")])
def test_a_lens_in_nodes_2_is_as_high_as_what_it_shows(opened, shoot, name):
    graph = load(name)
    stored = next(one for one in graph["nodes"] if one["type"] == "RenderBokeh")
    opened.evaluate("async (graph) => { await empty(); await app.loadGraphData(graph); }", graph)
    opened.wait_for_timeout(800)
    height = opened.evaluate("() => lens().size[1]")
    shoot(f"template-{name[:2]}")
    saved = opened.evaluate("() => JSON.stringify(app.graph.serialize())")
    kept = [
        one["properties"].get("height in Nodes 2.0")
        for one in json.loads(saved)["nodes"]
        if one["type"] == "RenderBokeh"
    ]
    if opened.kind == "classic":
        assert height >= stored["size"][1] - 1
        assert kept[0] == stored["properties"]["height in Nodes 2.0"]
    else:
        assert height < stored["size"][1] - 200
        assert kept == [None] * len(kept)
