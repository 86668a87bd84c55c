"""What a node says of a run stays on it, in ComfyUI's own page."""

import os

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from browser_page import close_dialogs, eventually, need_elements, run

pytest_plugins = ["browser_fixtures"]
pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
REFUSED = "focus_distance: 2 m given, but this depth has no metres."
TEXTS = """() => lens().widgets.filter((one) => one.name === '$$node-text-preview')
  .map((one) => `${one.value}`)"""
SIZES = """() => {
  const { clientWidth: width, clientHeight: height } =
    document.querySelector('.bokeh-focus.open canvas');
  return [Math.min(width, height), lens().size[1], app.graph.serialize().nodes
    .find((one) => one.type === 'RenderBokeh').size[1]];
}"""


@pytest.fixture(autouse=True)
def _left_as_it_was(opened):
    """Let no dialog of an error lie over the page of the next test."""
    yield
    close_dialogs(opened)


def test_a_text_on_a_node_stays_after_the_run_and_no_longer_than_it_holds(opened, shoot):
    opened.evaluate("async () => lookAt((await lensGraph()).node, 0.7)")
    run(opened)
    opened.wait_for_timeout(2500)  # some front ends tidy up at the end of the run
    assert [text[:21] for text in opened.evaluate(TEXTS)] == ["Depth is a rough gues"]
    shoot("text")
    opened.evaluate(
        "() => nodesOf(app.graph).find((n) => n.comfyClass === 'BokehDepthExample')"
        ".connect(2, lens(), 1)"
    )
    run(opened)
    assert eventually(opened, lambda: not any("rough guess" in t for t in opened.evaluate(TEXTS)))
    opened.wait_for_timeout(2500)
    assert not any("rough guess" in text for text in opened.evaluate(TEXTS))


def test_a_text_leaves_the_picture_as_large_as_it_is_and_files_as_they_are(opened, shoot):
    need_elements(opened)
    opened.evaluate("async () => lookAt((await lensGraph()).node, 1)")
    opened.wait_for_timeout(800)
    side, height, saved = opened.evaluate(SIZES)
    assert saved == height
    run(opened)
    opened.wait_for_timeout(6000)  # what nodes say comes back up to 5 s after the end of a run
    shoot("room")
    said = opened.evaluate(SIZES)
    assert said[0] >= side - 1
    assert said[1] > height
    assert said[2] == pytest.approx(height, abs=1)
    opened.evaluate(
        "() => nodesOf(app.graph).find((n) => n.comfyClass === 'BokehDepthExample')"
        ".connect(2, lens(), 1)"
    )
    run(opened)
    assert eventually(opened, lambda: abs(opened.evaluate(SIZES)[1] - height) < 1)
    opened.wait_for_timeout(500)
    assert opened.evaluate(SIZES)[0] == pytest.approx(side, abs=1)


def test_the_error_that_ended_a_run_stands_on_the_node_with_its_remedy(opened, shoot):
    name = opened.evaluate(
        """async () => {
          const { photo, node } = await lensGraph();
          const set = (what, value) => {
            node.widgets.find((one) => one.name === what).value = value;
          };
          set('focus_mode', 'point');
          set('focus_distance', 2);
          photo.connect(0, node, 1); // a picture: no metres
          lookAt(node, 0.7);
          const end = ended();
          await app.queuePrompt(0, 1);
          return (await end)[0];
        }"""
    )
    assert name == "execution_error"
    said = eventually(
        opened, lambda: any(text.startswith(REFUSED) for text in opened.evaluate(TEXTS))
    )
    opened.wait_for_timeout(2500)
    shoot("error")
    assert said
    assert any(text.startswith(REFUSED) for text in opened.evaluate(TEXTS))
