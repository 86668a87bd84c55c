"""The front end's search for nodes: what a person types finds the node that does it."""

import os

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from browser_page import eventually

pytest_plugins = ["browser_fixtures"]
pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
BOXES = {"newest": "default", "older": "v1 (legacy)"}
KINDS = "() => app.extensionManager.setting.settings?.['Comfy.NodeSearchBoxImpl']?.options ?? []"
OTHER_NAMES = "() => Boolean(LiteGraph.registered_node_types.RenderBokeh.nodeData.search_aliases)"
WORDS = {
    "dof": ["Render Bokeh"],
    "depth of field": ["Render Bokeh"],
    "portrait": ["Render Bokeh"],
    "background blur": ["Render Bokeh"],
    "shallow focus": ["Render Bokeh"],
    "tilt shift": ["Render Bokeh"],
    "lens blur": ["Render Bokeh"],
    "focus pull": ["Focus Pull"],
    "rack focus": ["Focus Pull"],
}


@pytest.fixture(params=BOXES)
def page(opened, request):
    """The page with nothing in its graph, and one of the front end's two dialogs chosen."""
    if BOXES[request.param] not in opened.evaluate(KINDS):
        pytest.skip("this front end has one dialog only")
    choose = "(kind) => app.extensionManager.setting.set('Comfy.NodeSearchBoxImpl', kind)"
    opened.evaluate("() => empty()")
    opened.evaluate(choose, BOXES[request.param])
    opened.wait_for_timeout(500)
    open_box(opened)
    yield opened
    opened.keyboard.press("Escape")
    opened.evaluate(choose, "default")


def open_box(page) -> None:
    """Open the search dialog on an empty place, as often as another one still closes there."""
    box = page.locator("input:focus")
    for _ in range(5):
        page.mouse.dblclick(1100, 900)
        if eventually(page, lambda: box.count() == 1, 3):
            return
        page.keyboard.press("Escape")
        page.wait_for_timeout(500)
    raise TimeoutError("no search dialog opens")


def listed(page, words: str) -> list[str]:
    """Type words into the open search dialog and return the names it lists, in order."""
    page.keyboard.press("Control+a")
    page.keyboard.type(words, delay=20)
    names = []

    def stands_still() -> bool:
        before = list(names)
        options = page.locator("[role=option]:visible").all_inner_texts()
        names[:] = [one.strip().splitlines()[0].strip() for one in options if one.strip()]
        return bool(names) and names == before

    page.wait_for_timeout(600)  # a front end waits for the last letter
    eventually(page, stands_still, 5)
    return names


def test_bokeh_lists_render_bokeh_first(page, shoot):
    names = listed(page, "bokeh")
    shoot("search")
    assert names[0] == "Render Bokeh"
    assert "Lens Look" in names  # BokehLens, whose id begins with the word


def test_other_words_do_not_lift_it(page):
    assert "Render Bokeh" not in listed(page, "depth")[:3]
    assert "Render Bokeh" not in listed(page, "image")[:3]


def test_what_a_photographer_types_finds_the_node(page):
    if not page.evaluate(OTHER_NAMES):
        pytest.skip("this ComfyUI knows nodes by their names alone, not by other names")
    assert {words: listed(page, words)[:1] for words in WORDS} == WORDS
    assert set(listed(page, "anamorphic")[:2]) == {"Render Bokeh", "Lens Look"}
