"""One ComfyUI and one Chromium for all tests of the page, in both of its looks."""

import os
from pathlib import Path

import pytest

SHOTS = os.environ.get("BOKEHDEPTH_SHOTS")  # a folder for screenshots, to be looked at


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    from comfyui_server import ComfyServer

    server = ComfyServer(tmp_path_factory.mktemp("comfyui"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser():
    import browser_page

    with browser_page.api.sync_playwright() as playwright:
        browser = browser_page.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session", params=[False, True], ids=["classic", "nodes2"])
def opened(request, browser, server):
    """ComfyUI's page, in the classic canvas and in Nodes 2.0."""
    import browser_page

    page = browser_page.open_page(browser, server.port, request.param)
    page.kind = "nodes2" if request.param else "classic"
    yield page
    page.close()


@pytest.fixture
def shoot(opened):
    """Save a screenshot under a name, where BOKEHDEPTH_SHOTS names a folder."""

    def take(name: str) -> None:
        if SHOTS:
            host = Path(os.environ["COMFYUI_PATH"]).name
            front = "newest" if os.environ.get("COMFYUI_FRONT_END") else "own"
            opened.screenshot(path=str(Path(SHOTS) / f"{host}-{front}-{opened.kind}-{name}.png"))

    return take
