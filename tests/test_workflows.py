"""The example graphs: whole, readable, and made of frozen nodes and ComfyUI's own only."""

import itertools
import json
import re
from pathlib import Path

import pytest
from graph_files import CORE, FOLDER, MODEL_FILE, NAMES, ROOT, SCHEMAS, load
from graph_geometry import crossings, hidden, over_titles
from PIL import Image

# What is left, mostly forced by the order of sockets: one photo goes above and below a link.
CROSSINGS = {"03": 2, "07": 2, "09": 1, "10": 4, "11": 1}
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


def test_the_first_to_try_comes_first_and_every_name_has_its_place():
    assert NAMES[0] == "01 Portrait bokeh from one photo"
    assert all(re.match(r"\d\d ", name) for name in NAMES)
    assert max(map(len, NAMES)) <= 34  # what a card of the template browser shows in one line


@pytest.mark.parametrize("name", NAMES)
def test_only_our_nodes_and_core_ones_are_used(name):
    assert {node["type"] for node in load(name)["nodes"]} <= CORE | SCHEMAS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_link_joins_the_sockets_it_names(name):
    graph = load(name)
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert graph["links"]
    for link, source, output, target, slot, kind in graph["links"]:
        assert link in nodes[source]["outputs"][output]["links"]
        assert nodes[target]["inputs"][slot]["link"] == link
        assert kind in nodes[target]["inputs"][slot]["type"].split(",")


@pytest.mark.parametrize("name", NAMES)
def test_widget_values_follow_the_frozen_order(name):
    for node in load(name)["nodes"]:
        if node["type"] in SCHEMAS:
            wanted = [one[1] for one in SCHEMAS[node["type"]]["inputs"] if one[2] in WIDGETS]
            found = [one["name"] for one in node["inputs"] if "widget" in one]
            assert found == wanted
            # What becomes of a seed after the run is a value of its own.
            assert len(node["widgets_values"]) == len(wanted) + ("seed" in wanted)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_is_offered_for_download_and_named_in_a_note(name):
    graph = load(name)
    notes = " ".join(
        node["widgets_values"][0] for node in graph["nodes"] if node["type"] == "MarkdownNote"
    )
    assert notes
    for node in graph["nodes"]:
        values = [one for one in node.get("widgets_values", []) if isinstance(one, str)]
        files = {one for one in values if MODEL_FILE.search(one) and one != "your_lora.safetensors"}
        if node["type"] == "MarkdownNote":
            continue
        offered = node["properties"].get("models", [])
        assert {one["name"] for one in offered} == files
        for one in offered:
            assert one["url"].startswith("https://huggingface.co/")
            assert one["url"].endswith("/" + one["name"])
            assert one["directory"]
            assert one["url"] in notes


@pytest.mark.parametrize("name", NAMES)
def test_nodes_lie_within_groups_and_beside_each_other(name):
    graph = load(name)
    boxes = {
        node["id"]: (
            *node["pos"],
            node["pos"][0] + node["size"][0],
            node["pos"][1] + node["size"][1],
        )
        for node in graph["nodes"]
    }
    notes = {node["id"] for node in graph["nodes"] if node["type"] == "MarkdownNote"}
    groups = [(x, y, x + w, y + h) for x, y, w, h in (one["bounding"] for one in graph["groups"])]
    for key, (left, top, right, bottom) in boxes.items():
        inside = [  # below the group's title
            x <= left and y + 40 <= top - 30 and right <= x2 and bottom <= y2
            for x, y, x2, y2 in groups
        ]
        assert sum(inside) == (key not in notes), key
    for a, b in itertools.combinations(boxes.values(), 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    for a, b in itertools.combinations(groups, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@pytest.mark.parametrize("name", NAMES)
def test_links_go_from_left_to_right(name):
    graph = load(name)
    left = {node["id"]: node["pos"][0] for node in graph["nodes"]}
    backwards = [one for one in graph["links"] if left[one[1]] > left[one[3]]]
    assert backwards == []


@pytest.mark.parametrize("name", NAMES)
def test_no_link_passes_behind_a_node_or_over_a_title_and_few_cross(name):
    graph = load(name)
    assert hidden(graph) == []
    assert over_titles(graph) == []
    assert len(crossings(graph)) <= CROSSINGS.get(name[:2], 0)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_a_small_picture(name):
    file = FOLDER / f"{name}.jpg"
    with Image.open(file) as card:
        assert card.size == (480, 320)
    assert file.stat().st_size < 120_000


def test_every_file_is_a_template_or_its_card():
    stems = {file.stem for file in Path(FOLDER).iterdir()}
    assert stems == set(NAMES)
    assert {file.suffix for file in Path(FOLDER).iterdir()} == {".json", ".jpg"}


def test_the_graphs_are_those_that_the_script_writes(monkeypatch, tmp_path):
    from benchmarks import templates

    before = {name: load(name) for name in NAMES}
    (tmp_path / "workflows").mkdir()
    monkeypatch.setattr(templates.graphs, "ROOT", tmp_path)
    for make in (*templates.ALL, templates.blueprint):
        make()
    made = {
        file.stem: json.loads(file.read_text(encoding="utf-8"))
        for file in tmp_path.glob("workflows/*")
    }
    assert len(made) == len(templates.ALL)
    assert {name: before[name] for name in made} == made
    (subgraph,) = (ROOT / "subgraphs").iterdir()
    assert (tmp_path / "subgraphs" / subgraph.name).read_text(
        encoding="utf-8"
    ) == subgraph.read_text(encoding="utf-8")
