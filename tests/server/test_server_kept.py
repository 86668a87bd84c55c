"""What Render Bokeh keeps between runs of a real ComfyUI, and that ComfyUI takes it back.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import os
import re
import time
from pathlib import Path

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

from comfyui_server import ComfyServer
from server_graphs import photo_and_depth, render, shown

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
RUNS = 10
# 96 x 64 px take below 1 MB a run; the allocator's own steps are larger.
STEADY_BYTES = 24 * 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"), arguments=("--verbose", "DEBUG"))
    yield server
    server.stop()


def run(server, strength):
    graph = photo_and_depth(1, 96, 64)
    graph |= {
        "render": render(["photo", 0], ["depth", 0], strength=strength),
        "see": shown("render"),
    }
    assert server.run(graph).error == ""
    return server.log.read_text(encoding="utf-8", errors="replace")


def hits(log):
    return len(re.findall("refined depth: kept from an earlier render", log))


def resident_bytes(server):
    """Return the memory of the server, and of the process it runs in, that lies in RAM."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    pids = [str(server.process.pid), *children.read_text(encoding="utf-8").split()]
    pages = [int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) for pid in pids]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def test_another_strength_finds_the_refined_depth_until_memory_is_freed(server):
    assert hits(run(server, 5.0)) == 0
    assert hits(run(server, 7.0)) == 1
    status, _ = server.post("/free", {"unload_models": True, "free_memory": True})
    assert status == 200
    deadline = time.monotonic() + 60
    while "of earlier renders go" not in server.log.read_text(encoding="utf-8", errors="replace"):
        assert time.monotonic() < deadline, "free memory did not reach what is kept"
        time.sleep(0.2)
    assert hits(run(server, 8.0)) == 1
    assert hits(run(server, 9.0)) == 2


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_runs_leave_the_memory_flat(server):
    for index in range(3):
        run(server, 10.0 + index)
    before = resident_bytes(server)
    for index in range(RUNS):
        run(server, 20.0 + index)
    assert resident_bytes(server) - before < STEADY_BYTES
