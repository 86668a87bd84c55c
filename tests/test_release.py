"""The list of parts (SBOM) that goes with a release, made by the command of its workflow."""

import importlib.metadata
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cyclonedx_py", reason="the extra 'release' is not installed")
ROOT = Path(__file__).parents[1]
WORKFLOW = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_list_of_parts_names_all_that_an_install_brings(tmp_path):
    (line,) = re.findall(r"run: python (-m cyclonedx_py .*)", WORKFLOW)
    found = tmp_path / "sbom.json"
    here = {"parts/bin/python": sys.executable, "dist/sbom.json": str(found)}
    command = [here.get(word, word) for word in shlex.split(line)]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    parts = json.loads(found.read_text(encoding="utf-8"))
    assert parts["bomFormat"] == "CycloneDX"
    assert parts["metadata"]["component"]["name"] == "bokehdepth"
    listed = {plain(one["name"]): one for one in parts["components"]}
    for name in ("openexr", "torch", "numpy", "safetensors", "pillow"):
        version = importlib.metadata.version(name)
        assert listed[name]["version"] == version
        assert listed[name]["purl"].startswith(f"pkg:pypi/{name}@")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    stated = re.search(r"^dependencies = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    for name in re.findall(r'"([\w.-]+)', stated.group(1)):
        assert plain(name) in listed, name


def test_a_release_is_audited_before_it_is_published():
    steps = re.findall(r"- run: (.*)", WORKFLOW)
    audit = next(i for i, step in enumerate(steps) if "pip_audit" in step)
    assert audit < next(i for i, step in enumerate(steps) if "gh release create" in step)
