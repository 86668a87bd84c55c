"""Advanced inputs of nodes made by hand are folded in the classic canvas; files look as before."""

import itertools
import os

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from browser_page import eventually, prompt_inputs, undo, values

pytest_plugins = ["browser_fixtures"]
pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.slow,
    pytest.mark.parametrize("opened", [False], indirect=True, ids=["classic"]),
]
MARK = "advanced inputs"
ALWAYS = "Comfy.Node.AlwaysShowAdvancedWidgets"
EVERYDAY = ("strength", "focus_mode", "aperture_blades", "highlight_boost", "quality")
ADVANCED = ("cat_eye", "anamorphic", "refine_depth", "color_space", "tilt")
ROWS = """(node) => {
  const shown = node.isWidgetRowVisible ?? node.isWidgetVisible;
  return node.widgets.filter((one) => shown.call(node, one))
    .map((one) => ({ name: one.name, y: one.y, height: one.computedHeight }));
}"""


@pytest.fixture
def page(opened):
    """The page with a lens made by hand."""
    opened.ours.clear()
    opened.evaluate("async () => { await empty(); put('RenderBokeh', 0, 0); }")
    look(opened)
    yield opened
    assert not [error for error in opened.ours if "bokeh" in error.lower()]


@pytest.fixture
def folding(page):
    """The same page, where the front end can fold."""
    if not page.evaluate("() => Boolean(lens().getLayoutWidgets)"):
        pytest.skip("this front end would leave folded rows empty, so they are shown")
    return page


def look(page, which: str = "lens()") -> None:
    """Put a node where nothing of the page lies over it."""
    page.wait_for_timeout(500)
    page.evaluate(f"() => {{ lookAt({which}, 0.6); app.canvas.ds.offset[1] += 120; }}")
    page.wait_for_timeout(500)


def rows(page, which: str = "lens()") -> dict[str, tuple[float, float]]:
    """Return top and height of each row that a node shows, px, by name."""
    found = page.evaluate(f"() => ({ROWS})({which})")
    return {one["name"]: (one["y"], one["height"]) for one in found}


def is_folded(page, which: str = "lens()") -> bool:
    shown = rows(page, which)
    assert set(EVERYDAY) <= set(shown)
    assert set(ADVANCED).isdisjoint(shown) or set(ADVANCED) <= set(shown)
    return set(ADVANCED).isdisjoint(shown)


def assert_no_gaps(page) -> None:
    places = list(rows(page).values())
    for (top, height), (following, _) in itertools.pairwise(places):
        assert following == pytest.approx(top + height, abs=0.5)
    top, height = places[-1]
    assert top + height <= page.evaluate("() => lens().size[1]") + 0.5


def set_value(page, name: str, value) -> None:
    page.evaluate(
        """([name, value]) => {
          const widget = lens().widgets.find((one) => one.name === name);
          widget.value = value;
          widget.callback?.(value);
          app.canvas.setDirty(true, true);
        }""",
        [name, value],
    )
    page.wait_for_timeout(300)


def title_at(page, right: float) -> list[float]:
    """Return where a lens's title is on the page, px, some px of the node from its right end."""
    return page.evaluate(
        """(right) => {
          const { offset, scale } = app.canvas.ds;
          const box = app.canvas.canvas.getBoundingClientRect();
          const { pos: [x, y], size: [width] } = lens();
          return [box.left + (x + width - right + offset[0]) * scale,
            box.top + (y - 15 + offset[1]) * scale];
        }""",
        right,
    )


def choose(page, words: str) -> None:
    """Choose a line of the node's own menu."""
    page.mouse.click(*title_at(page, 200), button="right")
    page.get_by_text(words, exact=True).last.click()
    page.wait_for_timeout(500)


def saved(page) -> dict:
    return page.evaluate("() => JSON.parse(JSON.stringify(app.graph.serialize()))")


def load(page, graph: dict) -> None:
    page.evaluate("async (graph) => { await empty(); await app.loadGraphData(graph); }", graph)
    look(page)


def test_the_oldest_front_end_shows_every_input(page):
    if page.evaluate("() => Boolean(lens().getLayoutWidgets)"):
        pytest.skip("this front end can fold rows")
    assert not is_folded(page)
    assert MARK not in page.evaluate("() => lens().properties")


def test_a_node_made_by_hand_is_folded_and_its_menu_unfolds_it(folding, shoot):
    shoot("folded")
    assert is_folded(folding)
    assert_no_gaps(folding)
    height = folding.evaluate("() => lens().size[1]")
    picker = rows(folding)["focus picker"][1]
    choose(folding, "Show Advanced")
    shoot("unfolded")
    assert not is_folded(folding)
    assert_no_gaps(folding)
    assert rows(folding)["focus picker"][1] == pytest.approx(picker, abs=1)
    choose(folding, "Hide Advanced")
    assert is_folded(folding)
    assert_no_gaps(folding)
    assert folding.evaluate("() => lens().size[1]") == pytest.approx(height, abs=1)


def test_the_arrow_in_the_title_unfolds_it(folding):
    for folded in (False, True):
        folding.mouse.click(*title_at(folding, 17))
        folding.wait_for_timeout(500)
        assert is_folded(folding) is folded


def test_a_row_whose_value_was_changed_is_never_folded(folding):
    choose(folding, "Show Advanced")
    set_value(folding, "cat_eye", 0.5)
    choose(folding, "Hide Advanced")
    assert "cat_eye" in rows(folding)
    assert "anamorphic" not in rows(folding)
    assert_no_gaps(folding)
    load(folding, saved(folding))
    assert "cat_eye" in rows(folding)
    assert "anamorphic" not in rows(folding)
    set_value(folding, "cat_eye", 0.0)
    assert is_folded(folding)


def test_a_link_shows_its_row_and_sockets_of_folded_rows_are_out_of_reach(folding, shoot):
    assert folding.evaluate(
        """() => {
          const number = put('PrimitiveFloat', -300, 0);
          number.connect(0, lens(), lens().inputs.findIndex((one) => one.name === 'cat_eye'));
          app.canvas.setDirty(true, true);
          return lens().inputs.some((one) => one.name === 'cat_eye' && one.link != null);
        }"""
    )
    folding.wait_for_timeout(500)
    shown = rows(folding)
    assert "cat_eye" in shown
    assert "anamorphic" not in shown
    assert_no_gaps(folding)
    socket = """(name) => lens().getInputPos(lens().inputs.findIndex((one) => one.name === name))[1]
      - lens().pos[1]"""
    top, height = shown["cat_eye"]
    assert top <= folding.evaluate(socket, "cat_eye") <= top + height
    assert folding.evaluate(socket, "anamorphic") < -10000
    shoot("linked")
    folding.evaluate(
        "() => lens().disconnectInput(lens().inputs.findIndex((one) => one.name === 'cat_eye'))"
    )
    folding.evaluate("() => app.canvas.setDirty(true, true)")
    folding.wait_for_timeout(300)
    assert is_folded(folding)


def test_a_file_without_the_mark_shows_what_it_showed(folding):
    graph = saved(folding)
    node = next(one for one in graph["nodes"] if one["type"] == "RenderBokeh")
    assert node["properties"].pop(MARK) == "folded"
    load(folding, graph)
    assert not is_folded(folding)
    assert (
        folding.evaluate(
            "() => lens().widgets.some((one) => one.advanced && "
            "(one.visibility?.surfaces.canvas ?? 'advanced') === 'advanced')"
        )
        is False
    )
    height = folding.evaluate("() => lens().size[1]")
    load(folding, saved(folding))
    assert not is_folded(folding)
    assert folding.evaluate("() => lens().size[1]") == height


@pytest.mark.parametrize("unfolded", [False, True])
def test_reload_undo_and_copies_keep_it(folding, unfolded):
    if unfolded:
        choose(folding, "Show Advanced")
    height = folding.evaluate("() => lens().size[1]")
    load(folding, saved(folding))
    assert is_folded(folding) is not unfolded
    assert folding.evaluate("() => lens().size[1]") == pytest.approx(height, abs=1)
    copies = folding.evaluate(
        """() => {
          app.canvas.selectNode?.(lens());
          app.canvas.copyToClipboard();
          app.canvas.pasteFromClipboard();
          const both = nodesOf(app.graph).filter((one) => one.comfyClass === 'RenderBokeh');
          app.canvas.deselectAll?.();
          app.graph.change?.();
          app.canvas.draw(true, true);
          window.copy = both[1];
          return both.length;
        }"""
    )
    assert copies == 2
    assert is_folded(folding, "copy") is not unfolded
    folding.evaluate("() => { app.graph.remove(copy); }")
    look(folding)
    folding.mouse.click(1200, 1100)
    folding.evaluate("() => { app.canvas.emitBeforeChange?.(); }")
    set_value(folding, "strength", 7)
    folding.evaluate("() => { app.canvas.emitAfterChange?.(); }")
    folding.wait_for_timeout(500)
    undo(folding)
    assert eventually(folding, lambda: values(folding)["strength"] == 3)
    assert eventually(folding, lambda: is_folded(folding) is not unfolded)


def test_in_a_subgraph_it_is_as_outside(folding, shoot):
    if not folding.evaluate("() => Boolean(app.graph.convertToSubgraph)"):
        pytest.skip("this front end has no subgraphs")
    try:
        folding.evaluate(
            """() => {
              const made = app.graph.convertToSubgraph(new Set([lens()]));
              window.inner = made.subgraph;
              window.outer = made.node;
              app.canvas.setGraph(inner);
            }"""
        )
        look(folding, "lens(inner)")
        shoot("folded-subgraph")
        assert is_folded(folding, "lens(inner)")
    finally:
        folding.evaluate("() => app.canvas.setGraph(app.graph.rootGraph ?? app.graph)")


def test_an_api_file_shows_every_input(folding):
    prompt = folding.evaluate("async () => (await app.graphToPrompt()).output")
    folding.evaluate("async (prompt) => { await app.loadApiJson(prompt, 'old'); }", prompt)
    look(folding)
    assert not is_folded(folding)


def test_who_wants_all_advanced_inputs_always_sees_them(folding):
    if folding.evaluate(f"() => app.extensionManager.setting.get('{ALWAYS}')") is None:
        pytest.skip("this front end has no such setting")
    put = "(on) => app.extensionManager.setting.set('" + ALWAYS + "', on)"
    folding.evaluate(put, True)
    try:
        folding.evaluate("() => app.canvas.setDirty(true, true)")
        folding.wait_for_timeout(500)
        assert not is_folded(folding)
    finally:
        folding.evaluate(put, False)
    folding.evaluate("() => app.canvas.setDirty(true, true)")
    folding.wait_for_timeout(500)
    assert is_folded(folding)


def test_folded_inputs_are_in_the_prompt(folding):
    inputs = prompt_inputs(folding)
    assert set(ADVANCED) <= set(inputs)
    choose(folding, "Show Advanced")
    assert prompt_inputs(folding) == inputs
