"""The picker of Focus Pull in ComfyUI's own page: clicks key what is sharp, frame by frame."""

import contextlib
import os
import re
from urllib.parse import urlencode

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from browser_page import (
    click,
    drag,
    enter,
    enter_app,
    eventually,
    has_app_mode,
    leave_app,
    need_elements,
    picture_box,
    run,
    undo,
)

pytest_plugins = ["browser_fixtures"]
pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
PULL = ".bokeh-focus.open:has(label)"


@pytest.fixture
def page(opened):
    """The page with a photo, its depth, a focus pull and a lens made by hand, and a preview."""
    opened.ours.clear()
    opened.evaluate(
        """async () => {
          const { photo, node } = await lensGraph({ depth: true });
          const pull = put('FocusPull', -200, 500);
          photo.connect(2, pull, 0);
          pull.connect(0, node, node.inputs.findIndex((one) => one.name === 'focus'));
          window.pull = (graph = app.graph) =>
            nodesOf(graph).find((one) => one.comfyClass === 'FocusPull');
        }"""
    )
    opened.wait_for_timeout(800)
    opened.evaluate("() => lookAt(pull(), 1)")
    opened.wait_for_timeout(500)
    yield opened
    assert not [error for error in opened.ours if "bokeh" in error.lower()]


def keyframes(page) -> str:
    return page.evaluate("() => valuesOf(pull()).keyframes")


def go_to(page, frame: int) -> None:
    page.locator(f"{PULL} label input").fill(str(frame))
    page.wait_for_timeout(100)


def points(text: str) -> dict[int, tuple[float, float]]:
    found = re.findall(r"(\d+): ([\d.]+),([\d.]+)", text)
    return {int(frame): (float(x), float(y)) for frame, x, y in found}


def test_a_click_keys_the_frame_that_is_set_and_a_drag_moves_it(page, shoot):
    run(page)
    go_to(page, 3)
    click(page, 0.8, 0.2, PULL)
    text = keyframes(page)
    assert text.startswith("0: 0.5,0.5; 3: ")
    assert text.endswith(" ease")
    assert points(text)[3] == pytest.approx((0.8, 0.2), abs=0.01)
    drag(page, (0.9, 0.1), (0.7, 0.6), PULL)
    assert points(keyframes(page))[3] == pytest.approx((0.7, 0.6), abs=0.01)
    assert len(points(keyframes(page))) == 2
    shoot("pull")
    inputs = pull_inputs(page)
    assert inputs["keyframes"] == keyframes(page)
    assert set(inputs) == {"depth", "keyframes", "frames", "smoothing"}
    run(page)


def test_the_ring_keys_a_strength_and_the_cross_removes_the_keyframe(page):
    run(page)
    go_to(page, 2)
    click(page, 0.5, 0.5, PULL)
    side = picture_box(page, PULL)[2]
    ring = 15 + (side / 2 - 15) * 3 / 7  # of the lens's 3 %
    drag(page, (0.5, 0.5 + ring / side), (0.5, 0.5 + 0.8 * ring / side), PULL)
    assert re.search(r"2: [\d.]+,[\d.]+ strength 1\.\d+ ease$", keyframes(page))
    page.locator(f"{PULL} button", has_text="✕").click()
    assert list(points(keyframes(page))) == [0]
    assert "strength" not in keyframes(page)


def test_a_slider_goes_over_the_frames_and_a_click_keys_the_one_that_is_shown(page, shoot):
    page.evaluate("() => { pull().widgets.find((one) => one.name === 'frames').value = 4; }")
    run(page)
    scrub = page.locator(f"{PULL} .bokeh-focus-scrub")
    scrub.wait_for(state="visible")
    slider = scrub.locator("input")
    assert slider.get_attribute("max") == "3"
    slider.fill("3")
    page.wait_for_timeout(300)
    assert page.locator(f"{PULL} label input").input_value() == "3"
    click(page, 0.2, 0.8, PULL)  # away from the ring around the middle
    assert points(keyframes(page))[3] == pytest.approx((0.2, 0.8), abs=0.01)
    page.keyboard.press(",")
    assert slider.input_value() == "2"
    assert page.evaluate("() => pull().properties['focus frame']") == 2
    shoot("pull-clip")


def test_undo_copy_and_reload_keep_the_text(page):
    run(page)
    page.wait_for_timeout(500)
    before = keyframes(page)
    go_to(page, 5)
    click(page, 0.2, 0.8, PULL)
    after = keyframes(page)
    assert after != before
    saved = page.evaluate("() => JSON.parse(JSON.stringify(app.graph.serialize()))")
    copied = page.evaluate(
        """() => {
          app.canvas.selectNode?.(pull());
          app.canvas.copyToClipboard();
          app.canvas.pasteFromClipboard();
          return nodesOf(app.graph).filter((one) => one.comfyClass === 'FocusPull')
            .map((one) => valuesOf(one).keyframes);
        }"""
    )
    assert copied == [after, after]
    page.evaluate("async (saved) => { await empty(); await app.loadGraphData(saved); }", saved)
    page.wait_for_timeout(500)
    assert keyframes(page) == after
    page.evaluate("() => lookAt(pull(), 1)")
    page.wait_for_timeout(800)
    assert page.locator(f"{PULL} label input").input_value() == "5"
    click(page, 0.3, 0.3, PULL)
    assert points(keyframes(page))[5] == pytest.approx((0.3, 0.3), abs=0.01)
    page.wait_for_timeout(500)
    undo(page)
    assert eventually(page, lambda: keyframes(page) == after)


def into_subgraph(page, nodes: str) -> None:
    """Make a subgraph of some of the nodes and open it, with the focus pull in view."""
    page.evaluate(
        f"""() => {{
          const {{ subgraph }} = app.graph.convertToSubgraph(new Set({nodes}));
          app.canvas.setGraph(subgraph);
          window.inner = subgraph;
        }}"""
    )
    page.wait_for_timeout(600)
    page.evaluate("() => lookAt(pull(inner), 1)")
    page.wait_for_timeout(600)


@pytest.mark.parametrize("nodes", ["[pull()]", "[pull(), lens()]"], ids=["alone", "with-the-lens"])
def test_inside_a_subgraph_clicks_write_the_same_text(page, shoot, nodes):
    if not page.evaluate("() => Boolean(app.graph.convertToSubgraph)"):
        pytest.skip("this front end has no subgraphs")
    into_subgraph(page, nodes)
    try:
        run(page)
        go_to(page, 4)
        click(page, 0.2, 0.8, PULL)
        side = picture_box(page, PULL)[2]
        ring = 15 + (side / 2 - 15) * 3 / 7  # of the lens's 3 %
        drag(page, (0.2, 0.8 - ring / side), (0.2, 0.8 - 0.8 * ring / side), PULL)
        shoot(f"pull-subgraph-{nodes.count('(')}")
        text = page.evaluate("() => valuesOf(pull(inner)).keyframes")
        assert points(text)[4] == pytest.approx((0.2, 0.8), abs=0.01)
        assert re.search(r"4: [\d.]+,[\d.]+ strength 1\.\d+ ease$", text)
        assert pull_inputs(page)["keyframes"] == text
        run(page)
    finally:
        page.evaluate(
            "() => app.canvas.setGraph(app.graph.rootGraph ?? app.rootGraph ?? app.graph)"
        )


def pull_inputs(page) -> dict:
    """Return what the focus pull's inputs are in the prompt that would be queued."""
    return page.evaluate(
        "async () => Object.values((await app.graphToPrompt()).output)"
        ".find((one) => one.class_type === 'FocusPull').inputs"
    )


def test_app_mode_sets_the_same_text_and_gives_the_keyed_pull(page, server, shoot):
    if not has_app_mode(page):
        pytest.skip("this front end has no App mode")
    run(page)
    click(page, 0.2, 0.8, PULL)
    go_to(page, 2)
    click(page, 0.8, 0.2, PULL)
    clicked = keyframes(page)
    assert list(points(clicked)) == [0, 2]
    enter_app(page, "FocusPull", ("keyframes", "frames"))
    try:
        text = page.locator("textarea:visible").first
        assert text.input_value() == clicked
        text.fill(f"{clicked}; 3: 0.95,0.95 hold")
        frames = next(one for one in page.locator("input:visible").all() if is_number(one, 0))
        frames.fill("4")
        frames.press("Enter")
        assert eventually(page, lambda: pull_inputs(page)["frames"] == 4)
        assert pull_inputs(page)["keyframes"] == f"{clicked}; 3: 0.95,0.95 hold"
        before = set(server.get("/history"))
        page.get_by_role("button", name="Run").last.click()
        assert eventually(page, lambda: set(server.get("/history")) - before, 120)
        page.wait_for_timeout(1500)  # the page fetches the pictures
        shoot("pull-app")
    finally:
        leave_app(page)
    done = server.get("/history")[(set(server.get("/history")) - before).pop()]
    assert done["status"]["status_str"] == "success"
    prompt = done["prompt"][2]
    kinds = {id: one["class_type"] for id, one in prompt.items()}
    given = {kinds[id]: one for id, one in done["outputs"].items()}
    pictures = [
        server.get_bytes(f"/view?{urlencode(one)}") for one in given["PreviewImage"]["images"]
    ]
    assert len(set(pictures)) == len(pictures) == 4
    focused = given["RenderBokeh"]["bokehdepth_focus"][0]["frames"]
    places = {one["frame"]: (one["focus"]["x"], one["focus"]["y"]) for one in focused}
    for frame, place in (points(clicked) | {3: (0.95, 0.95)}).items():
        assert places[frame] == pytest.approx(place, abs=1e-6)
    assert keyframes(page) == f"{clicked}; 3: 0.95,0.95 hold"


def is_number(field, number: float) -> bool:
    with contextlib.suppress(ValueError):
        return float(field.input_value()) == number
    return False


def test_the_words_follow_the_language(page):
    need_elements(page)
    page.evaluate(  # a new language lets a front end open the file again that it last knew
        "async () => app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())))"
    )
    page.evaluate("() => app.extensionManager.setting.set('Comfy.Locale', 'zh')")
    try:
        page.locator(f"{PULL} button", has_text="按住").wait_for(timeout=30000)
        assert "关键帧" in page.locator(f"{PULL} .bokeh-focus-text").inner_text()
    finally:
        page.evaluate("() => app.extensionManager.setting.set('Comfy.Locale', 'en')")
    try:
        page.locator(f"{PULL} button", has_text="Hold: depth").wait_for(timeout=30000)
    finally:
        enter(page)  # the front end's own words may stay in the other language until then
