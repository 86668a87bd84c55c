"""The pack's templates in ComfyUI's own page: their order, and how they open in Nodes 2.0."""

import json
import os

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from browser_page import eventually
from comfyui_server import PACK
from graph_files import NAMES, load
from template_inputs import give_inputs, loads_exr

pytest_plugins = ["browser_fixtures"]
DRAFTS = """() => {
  for (const node of nodesOf(app.graph).filter((one) => one.comfyClass === 'RenderBokeh')) {
    node.widgets.find((one) => one.name === 'quality').value = 'draft';
  }
}"""
BOTTOMS = """() => {
  const { scale } = app.canvas.ds;
  return nodesOf(app.graph).map((node) => {
    const element = document.querySelector(`[data-node-id="${node.id}"]`);
    const drawn = element ? element.offsetHeight - 30 : node.size[1];
    return [node.title, ...node.pos, node.pos[1] + drawn];
  });
}"""
SHOWN = "() => Object.values(app.nodeOutputs ?? {}).some((one) => one?.images?.length)"
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
        opened.evaluate("() => lookAt(lens(), 0.5)")
        if not eventually(opened, opened.get_by_text("Show advanced inputs").count):
            pytest.skip("this front end folds no advanced inputs in Nodes 2.0")
        assert height < stored["size"][1] - 200
        assert kept == [None] * len(kept)


@pytest.mark.parametrize("name", [name for name in NAMES if name[:2] in ("01", "05", "06", "09")])
def test_what_a_run_shows_stays_in_the_groups(opened, server, shoot, name):
    graph = load(name)
    if "render.exr" in json.dumps(graph) and not loads_exr(server):
        pytest.skip("this ComfyUI's Load Image reads no EXR")
    give_inputs(server)
    opened.evaluate("async (graph) => { await empty(); await app.loadGraphData(graph); }", graph)
    opened.evaluate("() => { app.canvas.ds.scale = 0.5; app.canvas.ds.offset = [40, 300]; }")
    opened.evaluate(DRAFTS)
    ended = opened.evaluate(
        "async () => { const end = ended(); await app.queuePrompt(0, 1); return (await end)[0]; }"
    )
    assert ended == "execution_success"
    assert eventually(opened, lambda: opened.evaluate(SHOWN))
    opened.wait_for_timeout(6000)  # what nodes say comes back up to 5 s after the end of a run
    shoot(f"ran-{name[:2]}")
    groups = [one["bounding"] for one in graph["groups"]]
    for title, left, top, bottom in opened.evaluate(BOTTOMS):
        within = [y + h for x, y, w, h in groups if x <= left < x + w and y <= top < y + h]
        assert not within or bottom <= within[0], title
