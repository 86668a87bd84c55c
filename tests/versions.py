"""Run the fast tests with the oldest versions that pyproject.toml states, and on other Pythons.

    python tests/versions.py [NAME ...]

`test_versions.py` runs every case. Each gets an environment of its own, removed in the end. A case
whose Python or wheels cannot be had is said and passed over, so read the last lines. On Linux,
where PyTorch's wheels want NVIDIA's libraries, `cuda_stand_ins.py` saves the download of
gigabytes: 0.8 GB for the oldest case.
"""

import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cuda_stand_ins

ROOT = Path(__file__).parents[1]
TORCH_NEEDS = (
    "filelock",
    "typing-extensions",
    "sympy",
    "networkx",
    "jinja2",
    "fsspec",
    "setuptools",
)
OTHERS = (
    *("pillow>=10.1", "safetensors", "huggingface-hub", "OpenEXR>=3.3", "av>=14.2", "tqdm"),
    *("pytest>=8", "hypothesis", "scikit-image", "plyfile", "scipy"),
)
CASES = {
    "oldest": ("3.10", "2.4.0", ("numpy==1.26.0", "transformers==4.50.0", "diffusers==0.35.0")),
    "newest": ("3.13", "2.13.0", ("numpy", "transformers", "diffusers")),
}
# Whatever depends on PyTorch's, transformers' and diffusers' versions, in about two minutes.
FAST = (
    *("tests/weights", "tests/optics", "tests/files", "tests/generator", "tests/depth"),
    *("tests/test_checks.py", "tests/test_color.py", "tests/test_datatypes.py"),
    *("tests/test_imports.py", "tests/test_resample.py"),
    *(f"--ignore=tests/depth/{part}" for part in ("sweep", "alignment", "focus_stacks", "person")),
    *("--ignore=tests/depth/test_estimator.py", "--ignore=tests/depth/test_from_mask.py"),
    # What is held differs by version: PyTorch 2.4 takes a tenth more for attention on the CPU.
    "--ignore=tests/depth/test_network_memory.py",
    # transformers asks CUDA's library whether a graph is captured; a stand-in crashes then.
    "--ignore=tests/generator/flux/test_flux2.py",
    *("--ignore=tests/depth/test_depth_loading.py", "-k", "not odd_size and not whole_stage"),
)


class AbsentError(Exception):
    """A case cannot be run here."""


def python_of(release: str) -> str:
    """Return an interpreter of this release, from the path or from pyenv."""
    candidates = [
        shutil.which(f"python{release}"),
        *Path.home().glob(f".pyenv/versions/{release}.*/bin/python"),
    ]
    for candidate in filter(None, candidates):
        asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        answer = subprocess.run(asked, capture_output=True, text=True)
        if answer.stdout.strip() == release:
            return str(candidate)
    raise AbsentError(f"no Python {release} on this machine")


def _pip(python: Path, until: float, *arguments: str) -> None:
    command = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q", *arguments]
    environment = {key: value for key, value in os.environ.items() if key != "PIP_CONSTRAINT"}
    done = _run(command, until, env=environment)
    if done.returncode:
        raise AbsentError(f"pip install {' '.join(arguments)}: {done.stderr.strip()[-300:]}")


def _run(
    command: list[str | Path], until: float, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command that ends before a time of the monotonic clock, or is stopped."""
    left = None if math.isinf(until) else max(until - time.monotonic(), 1.0)
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=left, **options)
    except subprocess.TimeoutExpired as error:
        raise AbsentError("stopped, for this machine is too slow for it") from error


def _environment(
    folder: Path, until: float, release: str, torch: str, packages: tuple[str, ...]
) -> Path:
    """Make the environment of a case and return its Python."""
    subprocess.run([python_of(release), "-m", "venv", folder], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    _pip(python, until, "--no-deps", f"torch=={torch}")
    _pip(python, until, *TORCH_NEEDS, *packages, *OTHERS)
    if platform.system() == "Linux":
        (libraries,) = folder.glob("lib/python*/site-packages/torch/lib")
        cuda_stand_ins.add_stand_ins(libraries)
    return python


def title(name: str) -> str:
    """Return what a case runs on, for people."""
    release, torch, packages = CASES[name]
    return f"{name} (Python {release}, torch {torch}, {', '.join(packages)})"


def run(name: str, limit: float = math.inf) -> tuple[int, str]:
    """Run the fast tests of a case and return pytest's exit code and output.

    Args:
        name: of the case.
        limit: seconds after which it is stopped.

    Raises:
        AbsentError: its Python or its packages are not to be had here, or not in time.
    """
    until = time.monotonic() + limit
    with tempfile.TemporaryDirectory() as folder:
        try:
            python = _environment(Path(folder), until, *CASES[name])
        except (OSError, subprocess.CalledProcessError) as error:
            raise AbsentError(str(error)) from error
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *FAST]
        done = _run(command, until, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    results = {}
    for name in sys.argv[1:] or CASES:
        begin = time.monotonic()
        try:
            code, output = run(name)
        except AbsentError as error:
            results[name] = f"NOT RUN: {error}"
            continue
        print(output)
        minutes = (time.monotonic() - begin) / 60
        results[name] = f"{'passed' if code == 0 else 'FAILED'} in {minutes:.1f} min"
    for name, result in results.items():
        print(f"{title(name)}: {result}")
    return 1 if any(result.startswith("FAILED") for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
