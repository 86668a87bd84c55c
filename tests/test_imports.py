import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("diffusers", "transformers", "PIL", "OpenEXR", "av", "scipy", "comfy")


def loaded_by(statement):
    code = f"{statement}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_core_loads_torch_and_numpy_only():
    assert loaded_by("import bokehdepth_core").isdisjoint(HEAVY)


def test_the_command_line_starts_without_what_a_command_may_not_need():
    assert loaded_by("import bokehdepth_core.cli").isdisjoint(HEAVY)


@pytest.mark.parametrize("file", sorted((ROOT / "bokehdepth_core").rglob("*.py")), ids=str)
def test_no_core_module_imports_itself_absolutely(file):
    # ComfyUI loads the pack under another name, where an absolute import finds nothing.
    lines = file.read_text(encoding="utf-8").splitlines()
    absolute = [
        one
        for one in lines
        if one.lstrip().startswith(("import bokehdepth_core", "from bokehdepth_core"))
    ]
    assert absolute == []


def test_the_pack_root_imports_nothing():
    # pytest imports it for every test, where ComfyUI is absent.
    code = (ROOT / "__init__.py").read_text(encoding="utf-8")
    assert [one for one in code.splitlines() if one.startswith(("import ", "from "))] == []
