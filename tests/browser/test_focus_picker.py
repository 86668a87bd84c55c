"""The focus picker in ComfyUI's own page: classic canvas and Nodes 2.0, in a headless Chromium."""

import os

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from browser_page import (
    drag,
    enter_app,
    eventually,
    has_app_mode,
    leave_app,
    picker,
    picture_box,
    prompt_inputs,
    run,
    undo,
    values,
)

pytest_plugins = ["browser_fixtures"]
pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
START = {"strength": 3, "strength_unit": "% of width", "focus_mode": "automatic"}
SCHEMA = {"strength": 30, "strength_unit": "px·m", "focus_mode": "point"}


@pytest.fixture
def page(opened):
    """The page with a photo, its depth, a lens made by hand, and a preview behind it."""
    opened.ours.clear()
    opened.evaluate("async () => { await lensGraph({ depth: true, quality: 'default' }); }")
    opened.wait_for_timeout(800)  # some front ends first fit the view to the graph
    opened.evaluate("() => lookAt(lens(), 1)")
    opened.wait_for_timeout(500)
    yield opened
    assert not [error for error in opened.ours if "bokeh" in error.lower()]


def picture(page) -> str:
    """Return what the picker's canvas shows, as text."""
    page.mouse.move(5, 400)
    page.wait_for_timeout(700)
    return picker(page)[0].evaluate("(canvas) => canvas.toDataURL()")


def chosen(page, names=("strength", "strength_unit", "focus_mode")) -> dict:
    found = values(page)
    return {name: found[name] for name in names}


def test_a_drag_writes_the_point_and_the_picture_follows(page, shoot):
    before = picture(page)
    run(page)
    after_run = picture(page)
    assert after_run != before
    shoot("automatic")
    drag(page, (0.8, 0.2), (0.75, 0.5))
    found = values(page)
    assert found["focus_mode"] == "point"
    assert found["focus_x"] == pytest.approx(0.75, abs=0.01)
    assert found["focus_y"] == pytest.approx(0.5, abs=0.01)
    inputs = prompt_inputs(page)
    assert {name: inputs[name] for name in ("focus_x", "focus_y", "focus_mode")} == {
        name: found[name] for name in ("focus_x", "focus_y", "focus_mode")
    }
    assert not [name for name in inputs if "picker" in name]
    zone = picture(page)
    assert zone != after_run
    shoot("point")
    run(page)
    page.keyboard.down("b")
    page.wait_for_timeout(300)
    held = picker(page)[0].evaluate("(canvas) => canvas.toDataURL()")
    shoot("held")
    page.keyboard.up("b")
    assert held != zone


def test_the_ring_sets_the_strength_and_leaves_the_point(page):
    run(page)
    drag(page, (0.9, 0.1), (0.5, 0.5))
    before = values(page)
    side = picture_box(page)[2]
    assert picker(page)[0].evaluate("(c) => c.getBoundingClientRect().width / c.clientWidth") == 1
    # the ring of 3 %: 15 px at 0, half of the side at most, half-way at 4 %
    ring = 15 + (side / 2 - 15) * 3 / 7
    drag(page, (0.5, 0.5 + ring / side), (0.5, 0.5 + 0.8 * ring / side))
    after = values(page)
    way = (0.8 * ring - 15) / (side / 2 - 15)
    assert after["strength"] == pytest.approx(4 * way / (1 - way), abs=0.15)
    assert {k: v for k, v in after.items() if k != "strength"} == {
        k: v for k, v in before.items() if k != "strength"
    }


def test_the_key_finds_the_subject_and_a_click_takes_over(page):
    run(page)
    drag(page, (0.9, 0.1), (0.9, 0.1))
    assert values(page)["focus_mode"] == "point"
    page.keyboard.press("s")
    assert values(page)["focus_mode"] == "automatic"
    drag(page, (0.2, 0.3), (0.2, 0.3))
    assert values(page)["focus_mode"] == "point"


def test_undo_gives_the_values_back_and_keeps_the_picture(page):
    run(page)
    page.wait_for_timeout(500)
    drag(page, (0.9, 0.1), (0.2, 0.8))
    assert values(page)["focus_x"] == pytest.approx(0.2, abs=0.01)
    page.wait_for_timeout(500)
    undo(page)
    assert eventually(page, lambda: values(page)["focus_x"] == 0.5)
    assert values(page)["focus_mode"] == "automatic"
    page.evaluate("() => lookAt(lens(), 1)")
    page.wait_for_timeout(800)
    assert "Run once" not in page.locator(".bokeh-focus-text").first.inner_text()
    hold = page.locator(".bokeh-focus.open button", has_text="Hold").first
    assert eventually(page, hold.is_enabled)  # its pictures are fetched again


def test_a_saved_file_brings_its_values_back_and_holds_nothing_of_the_picker(page):
    drag_nothing = values(page)
    page.evaluate(
        "() => { const w = lens().widgets.find((w) => w.name === 'focus_x'); w.value = 0.25; }"
    )
    saved = page.evaluate("() => JSON.parse(JSON.stringify(app.graph.serialize()))")
    node = next(one for one in saved["nodes"] if one["type"] == "RenderBokeh")
    assert len(node["widgets_values"]) == len(drag_nothing) - 1
    page.evaluate("async (saved) => { await empty(); await app.loadGraphData(saved); }", saved)
    page.wait_for_timeout(500)
    again = values(page)
    assert again["focus_x"] == 0.25
    assert again == drag_nothing | {"focus_x": 0.25}


def test_files_without_these_inputs_keep_what_they_meant(page):
    saved = page.evaluate("() => JSON.parse(JSON.stringify(app.graph.serialize()))")
    node = next(one for one in saved["nodes"] if one["type"] == "RenderBokeh")
    node["widgets_values"] = [30, 0.5, 0.25]  # strength, focus_x, focus_y: as the first files had
    node["properties"].pop("focus picker")
    page.evaluate("async (saved) => { await empty(); await app.loadGraphData(saved); }", saved)
    page.wait_for_timeout(500)
    assert chosen(page) == SCHEMA
    assert values(page)["focus_y"] == 0.25
    assert page.locator(".bokeh-focus.open").count() == 0


def test_an_api_file_without_these_inputs_keeps_what_it_meant(page):
    prompt = page.evaluate("async () => (await app.graphToPrompt()).output")
    for one in prompt.values():
        if one["class_type"] == "RenderBokeh":
            for name in SCHEMA:
                del one["inputs"][name]
    page.evaluate("async (prompt) => { await app.loadApiJson(prompt, 'old'); }", prompt)
    page.wait_for_timeout(500)
    assert chosen(page) == SCHEMA


def test_a_node_made_by_hand_starts_flattering_and_a_copy_is_a_copy(page):
    assert chosen(page) == START
    drag_values = page.evaluate(
        """() => {
          const node = lens();
          for (const [name, value] of Object.entries(
              { strength: 7, focus_mode: 'point', focus_x: 0.1 })) {
            node.widgets.find((w) => w.name === name).value = value;
          }
          app.canvas.selectNode?.(node);
          app.canvas.copyToClipboard();
          app.canvas.pasteFromClipboard();
          const both = nodesOf(app.graph).filter((n) => n.comfyClass === 'RenderBokeh');
          return both.map(valuesOf);
        }"""
    )
    assert len(drag_values) == 2
    assert drag_values[0] == drag_values[1]
    assert drag_values[1]["strength"] == 7


def test_linked_inputs_are_left_alone(page):
    linked = page.evaluate(
        """() => {
          const number = put('PrimitiveFloat', 0, 500);
          const slot = lens().inputs.findIndex((i) => i.name === 'focus_x');
          return slot >= 0 && Boolean(number.connect(0, lens(), slot));
        }"""
    )
    assert linked
    page.evaluate("() => { lens().widgets.find((w) => w.name === 'focus_mode').value = 'point'; }")
    run(page)
    before = values(page)
    drag(page, (0.8, 0.2), (0.7, 0.6))
    assert values(page) == before
    assert "comes from a link" in page.locator(".bokeh-focus-text").first.inner_text()


def test_inside_a_subgraph_it_works_as_outside(page, shoot):
    if not page.evaluate("() => Boolean(app.graph.convertToSubgraph)"):
        pytest.skip("this front end has no subgraphs")
    page.evaluate(
        """() => {
          const { subgraph } = app.graph.convertToSubgraph(new Set([lens()]));
          app.canvas.setGraph(subgraph);
          window.inner = subgraph;
        }"""
    )
    page.wait_for_timeout(600)
    page.evaluate("() => lookAt(lens(inner), 1)")
    page.wait_for_timeout(600)
    run(page)
    shoot("subgraph")
    drag(page, (0.9, 0.1), (0.3, 0.6))
    found = page.evaluate("() => valuesOf(lens(inner))")
    assert found["focus_mode"] == "point"
    assert found["focus_x"] == pytest.approx(0.3, abs=0.01)
    assert prompt_inputs(page)["focus_x"] == found["focus_x"]
    page.evaluate("() => app.canvas.setGraph(app.graph.rootGraph ?? app.rootGraph ?? app.graph)")


def as_clip(page, count: int) -> None:
    """Give the lens a batch: the photo, then the photo inverted again and again."""
    page.evaluate(
        """(count) => {
          const photo = nodesOf(app.graph).find((n) => n.comfyClass === 'BokehDepthExample');
          const inverted = put('ImageInvert', 0, 700);
          photo.connect(0, inverted, 0);
          let last = photo;
          for (let frame = 1; frame < count; frame += 1) {
            const both = put('ImageBatch', 0, 700 + 100 * frame);
            last.connect(0, both, 0);
            inverted.connect(0, both, 1);
            last = both;
          }
          last.connect(0, lens(), 0);
        }""",
        count,
    )


def test_a_slider_shows_every_frame_of_a_clip_and_clicks_write_the_same_widgets(page, shoot):
    page.evaluate("() => { lens().widgets.find((w) => w.name === 'quality').value = 'draft'; }")
    run(page)
    scrub = page.locator(".bokeh-focus.open .bokeh-focus-scrub").first
    assert scrub.is_hidden()  # one picture
    as_clip(page, 3)
    run(page)
    scrub.wait_for(state="visible")
    page.wait_for_timeout(500)
    slider = scrub.locator("input")
    assert (slider.get_attribute("max"), slider.input_value()) == ("2", "0")
    first = picture(page)
    slider.fill("2")
    page.wait_for_timeout(500)
    assert scrub.locator("output").inner_text() == "frame 2 / 2"
    assert eventually(page, lambda: picture(page) != first)  # its pictures are fetched
    shoot("clip")
    drag(page, (0.8, 0.2), (0.3, 0.4))
    found = values(page)
    assert (found["focus_x"], found["focus_y"]) == pytest.approx((0.3, 0.4), abs=0.01)
    page.keyboard.press(",")
    page.keyboard.press(",")
    assert slider.input_value() == "0"
    page.keyboard.press(",")
    page.keyboard.press(".")
    assert slider.input_value() == "1"
    assert values(page) == found
    assert not [name for name in prompt_inputs(page) if "picker" in name or "frame" in name]


def new_run(page, server, before: set) -> str:
    """Return the id of a run that ends after those before."""
    for _ in range(240):
        page.wait_for_timeout(500)
        new = set(server.get("/history")) - before
        if new:
            return new.pop()
    raise TimeoutError("no draft was rendered")


def test_live_renders_a_draft_of_this_branch_alone(page, server, shoot):
    run(page)
    live = page.locator(".bokeh-focus.open button", has_text="Live").first
    if live.is_hidden():
        pytest.skip("this front end cannot queue a branch alone")
    page.evaluate(
        "() => { const other = put('SaveImage', 720, 400);"
        " nodesOf(app.graph).find((n) => n.comfyClass === 'BokehDepthExample')"
        ".connect(0, other, 0); }"
    )
    before = set(server.get("/history"))
    live.click()
    before |= {new_run(page, server, before)}
    drag(page, (0.9, 0.1), (0.2, 0.35))
    draft = new_run(page, server, before)
    done = server.get("/history")[draft]
    inputs = next(
        one["inputs"] for one in done["prompt"][2].values() if one["class_type"] == "RenderBokeh"
    )
    assert inputs["quality"] == "draft"
    assert inputs["focus_x"] == pytest.approx(0.2, abs=0.01)
    kinds = {done["prompt"][2][one]["class_type"] for one in done["outputs"]}
    assert "SaveImage" not in kinds
    assert "PreviewImage" in kinds
    assert values(page)["quality"] == "default"
    page.wait_for_timeout(900)
    shoot("live")


def test_app_mode_sets_the_same_widgets(page, shoot):
    if not has_app_mode(page):
        pytest.skip("this front end has no App mode")
    enter_app(page, "RenderBokeh", ("focus_x", "strength"))
    assert prompt_inputs(page)["strength"] == 3
    inputs = page.locator("input:visible").all()
    strength = next(one for one in inputs if one.input_value() in ("3", "3.0", "3.00"))
    strength.fill("5")
    strength.press("Enter")
    assert eventually(page, lambda: prompt_inputs(page)["strength"] == 5)
    shoot("app")
    leave_app(page)
    assert chosen(page) == START | {"strength": 5}


def test_advanced_inputs_are_folded_in_nodes_2(page, shoot):
    shoot("advanced")
    if page.kind != "nodes2":
        pytest.skip("of Nodes 2.0 alone; test_folded_inputs.py has the classic canvas")
    if not page.get_by_text("Show advanced inputs").count():
        pytest.skip("this front end folds no advanced inputs in Nodes 2.0")
    assert page.get_by_text("focus mode").first.is_visible()
    assert page.get_by_text("color space").count() == 0
    assert page.get_by_text("cat eye").count() == 0


def test_a_new_node_has_a_quiet_colour_and_files_keep_theirs(page):
    assert page.evaluate("() => lens().bgcolor") == "#323a3f"
    saved = page.evaluate("() => JSON.parse(JSON.stringify(app.graph.serialize()))")
    node = next(one for one in saved["nodes"] if one["type"] == "RenderBokeh")
    node["color"] = "#123"
    del node["bgcolor"]
    page.evaluate("async (saved) => { await empty(); await app.loadGraphData(saved); }", saved)
    page.wait_for_timeout(500)
    assert page.evaluate("() => [lens().color, lens().bgcolor ?? null]") == ["#123", None]
