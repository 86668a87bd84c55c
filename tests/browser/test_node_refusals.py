"""What stands on nodes: what was refused, with its remedy, and what a cached run had said."""

import os

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from browser_page import eventually

pytest_plugins = ["browser_fixtures"]
pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
REFUSED = "strengths: cannot read 'ten' in \"ten\" as a number. Write bokeh strengths such as"
HALF = "model, clip: not connected. Connect model, clip and vae together"
EVENTS = "() => app.queuePrompt.toString().includes('promptQueueing')"
TEXTS = """(kind) => nodesOf(app.graph).find((n) => n.comfyClass === kind).widgets
  .filter((one) => one.name === '$$node-text-preview').map((one) => `${one.value}`)"""
ROOM = """(kind) => {
  const node = nodesOf(app.graph).find((n) => n.comfyClass === kind);
  return node.size[1] - node.computeSize()[1];
}"""
HEIGHT = "(kind) => nodesOf(app.graph).find((n) => n.comfyClass === kind).size[1]"
SAID_OF = """() => Object.values(app.lastNodeErrors)[0].errors
  .map((one) => one.extra_info.input_name).sort()"""
SHOWN = """(lines) => [...document.querySelectorAll('.lg-node, .dom-widget, body')]
  .some((one) => one.innerText.includes(lines.join('\\n')))"""
SET = """(kind, name, value) => {
  const node = nodesOf(app.graph).find((n) => n.comfyClass === kind);
  node.widgets.find((one) => one.name === name).value = value;
}"""


@pytest.fixture
def page(opened):
    """The page, of a front end that shows such messages behind "View details" alone."""
    if not opened.evaluate(EVENTS):
        pytest.skip("this front end opens a dialog with the message")
    opened.evaluate("() => empty()")
    return opened


def says(page, kind: str, text: str) -> bool:
    return any(one.startswith(text) for one in page.evaluate(TEXTS, kind))


def lines_on(page, kind: str) -> list[str]:
    return [line.rstrip() for one in page.evaluate(TEXTS, kind) for line in one.split("\n")]


def test_a_refused_value_is_said_on_the_node_until_it_is_mended(page, shoot):
    kind = "BokehStackFromImages"
    page.evaluate(
        """() => {
          const photo = put('BokehDepthExample', 0, 0);
          const node = put('BokehStackFromImages', 320, 0);
          const shown = put('PreviewAny', 720, 0);
          photo.connect(0, node, 0);
          photo.connect(1, node, 1);
          node.connect(1, shown, 0);
          lookAt(photo, 0.8);
          node.widgets.find((one) => one.name === 'strengths').value = 'ten';
        }"""
    )
    page.wait_for_timeout(500)
    before = page.evaluate(HEIGHT, kind)
    page.evaluate("() => app.queuePrompt(0, 1)")
    assert eventually(page, lambda: says(page, kind, REFUSED))
    shoot("refused")
    if page.kind == "classic":
        assert page.evaluate(ROOM, kind) >= 0
    page.evaluate(f"() => ({SET})('{kind}', 'strengths', '20, 10, 5')")
    name = page.evaluate(
        "async () => { const end = ended(); await app.queuePrompt(0, 1); return (await end)[0]; }"
    )
    assert name == "execution_success"
    assert eventually(page, lambda: not says(page, kind, "strengths: cannot"))
    assert eventually(page, lambda: len(lines_on(page, kind)) > 3)
    shoot("lines")
    assert eventually(page, lambda: page.evaluate(SHOWN, lines_on(page, kind)))
    page.evaluate(f"() => ({SET})('{kind}', 'strengths', 'ten')")
    page.evaluate("() => app.queuePrompt(0, 1)")
    assert eventually(page, lambda: says(page, kind, REFUSED))
    assert page.kind != "classic" or page.evaluate(HEIGHT, kind) >= before


def test_a_cached_run_says_again_what_the_run_said(page):
    page.evaluate("() => empty()")
    for _ in range(2):
        page.evaluate("async () => lookAt((await lensGraph()).node, 0.5)")
        assert not says(page, "RenderBokeh", "Depth is a rough guess")
        page.evaluate("async () => { const e = ended(); await app.queuePrompt(0, 1); await e; }")
        assert eventually(page, lambda: says(page, "RenderBokeh", "Depth is a rough guess"))


def test_inputs_that_are_not_connected_are_marked_themselves(page, shoot):
    page.evaluate(
        """() => {
          const vae = put('VAELoader', 0, 0);
          const node = put('LoadBokehDepth', 320, 0);
          const shown = put('PreviewAny', 720, 0);
          vae.widgets.find((one) => one.name === 'vae_name').value = 'pixel_space';
          vae.connect(0, node, node.inputs.findIndex((one) => one.name === 'vae'));
          node.connect(0, shown, 0);
          lookAt(vae, 0.8);
        }"""
    )
    page.wait_for_timeout(500)
    page.evaluate("() => app.queuePrompt(0, 1)")
    assert eventually(page, lambda: says(page, "LoadBokehDepth", HALF))
    shoot("half")
    marked = page.evaluate(
        "() => nodesOf(app.graph).find((n) => n.comfyClass === 'LoadBokehDepth')"
        ".inputs.filter((one) => one.hasErrors).map((one) => one.name)"
    )
    assert set(marked) == {"model", "clip"}
    assert page.evaluate(SAID_OF) == ["clip", "model"]
