"""Run the tests that need ComfyUI on every host that COMFYUI_PATH lists, one after the other.

    COMFYUI_PATH=/path/to/comfyui-0.3.64:/path/to/comfyui-0.33 python tests/comfyui_hosts.py

Hosts are parted as in PATH (";" on Windows). The Python of a host is, in this order: what follows
a "=" (`folder=python`), COMFYUI_PYTHON, the host's own `.venv` or `venv`, or this Python. It holds
the host's requirements and this project's `test` extra. Further arguments go to pytest. Nothing
is downloaded; the exit status is 0 only if the tests passed on all hosts.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ("-m", "comfyui", "tests/server", "tests/nodes", "tests/browser")


def hosts(listed: str) -> list[tuple[Path, str]]:
    """Return the folder and the Python of each host in a list such as that of COMFYUI_PATH."""
    pairs = [entry.partition("=") for entry in listed.split(os.pathsep) if entry]
    return [(Path(folder), python or _python_of(Path(folder))) for folder, _, python in pairs]


def _python_of(folder: Path) -> str:
    if "COMFYUI_PYTHON" in os.environ:
        return os.environ["COMFYUI_PYTHON"]
    inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    own = [folder.joinpath(name, *inside) for name in (".venv", "venv")]
    return next((str(python) for python in own if python.exists()), sys.executable)


def version_of(folder: Path) -> str:
    """Return the version that a ComfyUI checkout gives itself."""
    text = (folder / "comfyui_version.py").read_text(encoding="utf-8")
    return re.search(r"__version__ = [\"'](.+)[\"']", text)[1]


def _run(folder: Path, python: str, arguments: list[str]) -> bool:
    begin = time.monotonic()
    print(f"ComfyUI {version_of(folder)}, {folder}, {python}", flush=True)
    environment = os.environ | {"COMFYUI_PATH": str(folder), "COMFYUI_PYTHON": python}
    command = [python, "-m", "pytest", "-q", *TESTS, *arguments]
    passed = subprocess.run(command, cwd=ROOT, env=environment).returncode == 0
    minutes = (time.monotonic() - begin) / 60
    print(f"ComfyUI {version_of(folder)}: {'passed' if passed else 'FAILED'} in {minutes:.1f} min")
    return passed


def main() -> int:
    listed = hosts(os.environ.get("COMFYUI_PATH", ""))
    if not listed:
        print("COMFYUI_PATH names no ComfyUI checkout, so nothing was tested.")
        return 1
    return 0 if all([_run(*host, sys.argv[1:]) for host in listed]) else 1


if __name__ == "__main__":
    sys.exit(main())
