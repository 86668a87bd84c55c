"""ComfyUI's page in a headless Chromium, driven as a person does; skips where one of them lacks.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_FRONT_END (if set) a folder with another front end.
Chromium is the system's, or the one of `python -m playwright install chromium`.
"""

import contextlib
import os
import shutil

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)
api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
SETTINGS = {
    "Comfy.Locale": "en",
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.Persist": False,
    "Comfy.VueNodes.AutoScaleLayout": False,
    "LiteGraph.Canvas.LowQualityRenderingZoomThreshold": 0.1,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
}
READY = """() => {
  const app = window.app ?? window.comfyAPI?.app?.app;
  const kinds = Object.keys(window.LiteGraph?.registered_node_types ?? {}).length;
  return Boolean(app?.graph && app?.canvas && kinds > 100);
}"""
FIRST_GRAPH = """() => {
  const { graph } = window.app ?? window.comfyAPI.app.app;
  return (graph.nodes ?? graph._nodes).length > 0;
}"""
PICKER = ".bokeh-focus.open"
HELPERS = """() => {
  window.app ??= window.comfyAPI.app.app;
  const api = window.app.api ?? window.comfyAPI.api.api;
  window.nodesOf = (graph) => graph.nodes ?? graph._nodes;
  window.lens = (graph = app.graph) => nodesOf(graph).find((n) => n.comfyClass === 'RenderBokeh');
  window.valuesOf = (node) => Object.fromEntries(node.widgets.map((w) => [w.name, w.value]));
  window.put = (type, x, y) => {
    const node = LiteGraph.createNode(type);
    node.pos = [x, y];
    app.graph.add(node);
    return node;
  };
  window.empty = () => app.loadGraphData({ id: crypto.randomUUID(), revision: 0, last_node_id: 0,
    last_link_id: 0, nodes: [], links: [], groups: [], config: {}, extra: {}, version: 0.4 });
  window.lensGraph = async ({ depth = false, quality = 'draft' } = {}) => {
    await empty();
    const photo = put('BokehDepthExample', 0, 0);
    const node = put('RenderBokeh', 320, 0);
    const preview = put('PreviewImage', 720, 0);
    node.widgets.find((one) => one.name === 'quality').value = quality;
    photo.connect(0, node, 0);
    if (depth) photo.connect(2, node, 1);
    node.connect(0, preview, 0);
    return { photo, node };
  };
  window.ended = () => new Promise((done) => {
    for (const name of ['execution_success', 'execution_error', 'execution_interrupted']) {
      api.addEventListener(name, (event) => done([name, event.detail]), { once: true });
    }
  });
  window.lookAt = (node, scale = 1) => {
    app.canvas.ds.scale = scale;
    app.canvas.ds.offset = [80 / scale - node.pos[0], 60 / scale - node.pos[1]];
    app.canvas.setDirty(true, true);
  };
}"""


PROBE = """async () => {
  const element = document.createElement('div');
  let made = false;
  app.registerExtension({ name: `Test.Probe.${Date.now()}`, nodeCreated(node) {
    if (made || node.comfyClass !== 'PreviewImage') return;
    made = true;
    element.style.height = '20px';
    node.addDOMWidget('probe', 'probe', element, { serialize: false });
  } });
  const node = put('PreviewImage', 0, 0);
  lookAt(node);
  for (let tries = 0; tries < 50 && !element.isConnected; tries += 1) {
    await new Promise((done) => setTimeout(done, 100));
  }
  app.graph.remove(node);
  return element.isConnected;
}"""


def launch(playwright):
    """Return a Chromium; skip where there is none."""
    options = {"executable_path": CHROMIUM} if CHROMIUM else {}
    try:
        return playwright.chromium.launch(args=["--no-sandbox", "--disable-gpu"], **options)
    except api.Error as error:
        pytest.skip(f"Chromium does not start: {str(error).splitlines()[0]}")


def open_page(browser, port: int, vue: bool):
    """Return ComfyUI's page with nothing in it, in Nodes 2.0 or the classic canvas."""
    host = f"http://127.0.0.1:{port}"
    page = browser.new_page(viewport={"width": 1500, "height": 1250})
    page.route(lambda url: not url.startswith((host, "blob:", "data:")), lambda one: one.abort())
    page.ours = []  # errors that name the pack
    page.on("pageerror", lambda error: page.ours.append(f"{error}\n{error.stack}"))
    page.host, page.vue = host, vue
    enter(page)
    page.shows_elements = page.evaluate(PROBE)
    return page


def enter(page) -> None:
    """Load ComfyUI anew, with the settings of the tests and none that a test left behind."""
    settings = SETTINGS | {"Comfy.VueNodes.Enabled": page.vue}
    page.request.post(f"{page.host}/api/settings", data=settings)
    page.goto(page.host, wait_until="domcontentloaded", timeout=120000)
    page.wait_for_function(READY, timeout=180000)
    with contextlib.suppress(api.TimeoutError):  # some open with nothing
        # the front end's own first graph would take the place of a test's
        page.wait_for_function(FIRST_GRAPH, timeout=30000)
    page.wait_for_timeout(2000)
    page.evaluate(HELPERS)


def need_elements(page) -> None:
    """Skip where nodes show no elements that extensions give them, whoever the extension is."""
    if not page.shows_elements:
        pytest.skip("this front end shows no DOM widget of any extension in Nodes 2.0")


def eventually(page, is_so, seconds: float = 10) -> bool:
    """Return whether something is so within some seconds, however busy the machine is."""
    for _ in range(int(5 * seconds)):
        if is_so():
            return True
        page.wait_for_timeout(200)
    return is_so()


def close_dialogs(page) -> None:
    """Close what lies over the whole page, as the dialog in which older front ends say an error."""
    for _ in range(5):
        if not page.locator(".p-dialog-mask").count():
            return
        page.keyboard.press("Escape")
        page.wait_for_timeout(500)


def undo(page) -> None:
    """Press the keys for undo, with nothing of a node in the way."""
    page.mouse.click(1200, 1100)  # nothing is there
    page.keyboard.press("Control+z")


def run(page) -> None:
    """Queue the graph and wait for its end, which must be a success, and for the picker."""
    need_elements(page)
    name, detail = page.evaluate(
        "async () => { const end = ended(); await app.queuePrompt(0, 1); return await end; }"
    )
    assert name == "execution_success", detail
    page.wait_for_function(  # the pictures are fetched
        "() => [...document.querySelectorAll('.bokeh-focus.open button')]"
        ".some((one) => one.textContent.startsWith('Hold') && !one.disabled)",
        timeout=60000,
    )
    page.wait_for_timeout(300)


def picker(page, which: str = PICKER):
    """Return a picker's canvas in the page, and its box, CSS px."""
    need_elements(page)
    canvas = page.locator(f"{which} canvas").first
    canvas.wait_for(state="visible")
    box = None
    while box != (now := canvas.bounding_box()):  # the node still grows, as after a run
        box = now
        page.wait_for_timeout(300)
    return canvas, box


def picture_box(page, which: str = PICKER) -> tuple[float, float, float]:
    """Return left, top and side of the bundled square photo in a picker, px of the page."""
    _, box = picker(page, which)
    side = min(box["width"], box["height"])
    left = box["x"] + (box["width"] - side) / 2
    return left, box["y"] + (box["height"] - side) / 2, side


def drag(page, begin: tuple[float, float], end: tuple[float, float], which=PICKER) -> None:
    """Drag with the mouse between two places of the photo, shares of its side."""
    left, top, side = picture_box(page, which)
    page.mouse.move(left + begin[0] * side, top + begin[1] * side)
    page.mouse.down()
    page.mouse.move(left + end[0] * side, top + end[1] * side, steps=5)
    page.mouse.up()
    page.wait_for_timeout(150)


def click(page, x: float, y: float, which=PICKER) -> None:
    """Click on a place of the photo, shares of its side."""
    drag(page, (x, y), (x, y), which)


def values(page) -> dict:
    """Return the values in the lens's widgets."""
    return page.evaluate("() => valuesOf(lens())")


def prompt_inputs(page) -> dict:
    """Return what the lens's inputs are in the prompt that would be queued."""
    return page.evaluate(
        "async () => Object.values((await app.graphToPrompt()).output)"
        ".find((one) => one.class_type === 'RenderBokeh').inputs"
    )


def has_app_mode(page) -> bool:
    """Return whether the front end can show a graph as an app."""
    return page.evaluate(
        "() => Boolean(app.extensionManager?.command?.commands?.some?.("
        "(one) => one.id === 'Comfy.ToggleLinear'))"
    )


def enter_app(page, kind: str, names: tuple[str, ...]) -> None:
    """Show the graph as an app with some inputs of one node, and its preview as the result."""
    saved = page.evaluate(
        """([kind, names]) => {
          const saved = JSON.parse(JSON.stringify(app.graph.serialize()));
          const [node] = saved.nodes.filter((one) => one.type === kind);
          const [preview] = saved.nodes.filter((one) => one.type === 'PreviewImage');
          saved.extra = { ...saved.extra, linearData: {
            inputs: names.map((name) => [node.id, name]), outputs: [preview.id] } };
          return saved;
        }""",
        [kind, names],
    )
    page.evaluate("async (saved) => { await app.loadGraphData(saved); }", saved)
    page.wait_for_timeout(800)
    page.evaluate("() => app.extensionManager.command.execute('Comfy.ToggleLinear')")
    page.wait_for_timeout(1500)
    skip = page.get_by_role("button", name="Skip")
    if skip.count():
        skip.first.click()  # the front end's own tour


def leave_app(page) -> None:
    """Show the graph again."""
    page.evaluate("() => app.extensionManager.command.execute('Comfy.ToggleLinear')")
    page.wait_for_timeout(800)
