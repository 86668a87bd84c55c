"""The example graphs: whole, and made of frozen nodes and ComfyUI's own only."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCHEMAS = json.loads((ROOT / "tests" / "data" / "node_schemas.json").read_text())
AT_ONCE = ["Aperture bracket to depth and refocus", "Depth map to lens bokeh"]
WITH_FLUX = ["Kontext edit with bokeh control", "Photo to FLUX stack, depth and refocus"]
CORE = {"MarkdownNote", "PreviewImage"}


def load(name):
    return json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", AT_ONCE)
def test_only_our_nodes_and_core_ones_are_used(name):
    assert {node["type"] for node in load(name)["nodes"]} <= CORE | SCHEMAS.keys()


@pytest.mark.parametrize("name", AT_ONCE + WITH_FLUX)
def test_every_link_joins_the_sockets_it_names(name):
    graph = load(name)
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert graph["links"]
    for link, source, output, target, slot, kind in graph["links"]:
        assert link in nodes[source]["outputs"][output]["links"]
        assert nodes[target]["inputs"][slot]["link"] == link
        assert kind in nodes[target]["inputs"][slot]["type"].split(",")


@pytest.mark.parametrize("name", AT_ONCE + WITH_FLUX)
def test_widget_values_follow_the_frozen_order(name):
    widgets = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
    for node in load(name)["nodes"]:
        if node["type"] in SCHEMAS:
            wanted = [one[1] for one in SCHEMAS[node["type"]]["inputs"] if one[2] in widgets]
            found = [one["name"] for one in node["inputs"] if "widget" in one]
            assert found == wanted
            # What becomes of a seed after the run is a value of its own.
            assert len(node["widgets_values"]) == len(wanted) + ("seed" in wanted)
