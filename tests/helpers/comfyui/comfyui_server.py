"""A real ComfyUI server for the tests: started in a folder of its own, asked over HTTP.

It is waited for as long as it lives and gets on, however slow the machine, and it never outlives
the tests: a start that fails ends it, and so does the end of this Python, even by a signal
(`kept_process.py`).
"""

import atexit
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import kept_process
from links import link_file, link_folder

ROOT = Path(__file__).parents[3]
PACK = "ComfyUI-BokehDepth"
PROBE_NODES = Path(__file__).with_name("probe_nodes.py")
TINY_FLUX_NODES = Path(__file__).parents[1] / "flux" / "tiny_flux_nodes.py"
SILENT_SECONDS = 600  # a start whose log stands still for so long hangs
START_SECONDS = 3600
RUN_SECONDS = 3600
ANSWER_SECONDS = 600  # a server whose node computes for minutes answers late
STOP_SECONDS = 120


def _front_end() -> list[str]:
    """Return the arguments for the front end in COMFYUI_FRONT_END; none for ComfyUI's own."""
    folder = os.environ.get("COMFYUI_FRONT_END")
    return ["--front-end-root", folder] if folder else []


class ComfyServer:
    """ComfyUI at COMFYUI_PATH, run by COMFYUI_PYTHON (or this Python), with this pack alone."""

    def __init__(
        self, folder: Path, *more_nodes: Path, arguments: Sequence[str] = (), **environment: str
    ):
        self.folder = folder
        for name in ("custom_nodes", "input", "output", "models"):
            (folder / name).mkdir()
        link_folder(folder / "custom_nodes" / PACK, ROOT)
        for file in more_nodes:
            link_file(folder / "custom_nodes" / file.name, file)
        self.port = _free_port()
        self.log = folder / "server.log"
        command = [
            *(sys.executable, kept_process.__file__),
            os.environ.get("COMFYUI_PYTHON", sys.executable),
            *("main.py", "--cpu", "--base-directory", str(folder), "--port", str(self.port)),
            *("--disable-all-custom-nodes", "--whitelist-custom-nodes", PACK),
            *(file.name for file in more_nodes),
            *("--database-url", f"sqlite:///{folder / 'test.db'}"),
            *_front_end(),
            *arguments,
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=os.environ["COMFYUI_PATH"],
                env=os.environ | environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a signal to the tests' group leaves it time to end well
            )
        atexit.register(self.stop)
        try:
            self._wait_until_up()
        except BaseException:  # Ctrl+C as well
            self.stop()
            raise

    def _wait_until_up(self):
        begin = moved = time.monotonic()
        size = 0
        while time.monotonic() - moved < SILENT_SECONDS:
            self._check_alive()
            try:
                return self.get("/system_stats")
            except OSError:
                time.sleep(0.5)
            if self.log.stat().st_size > size and time.monotonic() - begin < START_SECONDS:
                size, moved = self.log.stat().st_size, time.monotonic()
        raise RuntimeError(f"ComfyUI did not start:\n{self._last_lines()}")

    def _check_alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"ComfyUI ended:\n{self._last_lines()}")

    def _last_lines(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-5000:]

    def stop(self):
        """End the server, by force where it does not end by itself."""
        atexit.unregister(self.stop)
        self.process.stdin.close()  # ends the server, by force after a while
        self.process.wait(STOP_SECONDS)

    def get_bytes(self, path: str) -> bytes:
        address = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(address, timeout=ANSWER_SECONDS) as answer:
            return answer.read()

    def get(self, path: str):
        return json.loads(self.get_bytes(path))

    def post(self, path: str, content: dict) -> tuple[int, dict]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps(content).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def start(self, prompt: dict) -> str:
        """Queue a graph in API format and return its id."""
        status, answer = self.post("/prompt", {"prompt": prompt})
        if status != 200:
            raise ValueError(json.dumps(answer))
        return answer["prompt_id"]

    def wait(self, prompt_id: str, seconds: float = RUN_SECONDS) -> "Run":
        """Return the run of a queued graph when it ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._check_alive()
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return Run(history[prompt_id])
            time.sleep(0.1)
        raise TimeoutError(f"the graph did not end:\n{self._last_lines()}")

    def run(self, prompt: dict) -> "Run":
        return self.wait(self.start(prompt))

    def refusal(self, prompt: dict) -> str:
        """Return why a graph does not run: said before the run where that is known, else in it."""
        status, answer = self.post("/prompt", {"prompt": prompt})
        if status == 200:
            return self.wait(answer["prompt_id"]).error
        nodes = answer["node_errors"].values()
        return " ".join(one["details"] for node in nodes for one in node["errors"])


class Run:
    """What the history tells of one run."""

    def __init__(self, history: dict):
        self.outputs = history["outputs"]
        self.messages = dict(reversed(history["status"]["messages"]))
        self.status = history["status"]["status_str"]

    @property
    def cached(self) -> list[str]:
        return self.messages.get("execution_cached", {}).get("nodes", [])

    @property
    def error(self) -> str:
        """The message that a user sees, empty where the run went well."""
        return self.messages.get("execution_error", {}).get("exception_message", "").strip()

    @property
    def interrupted(self) -> bool:
        return "execution_interrupted" in self.messages


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
