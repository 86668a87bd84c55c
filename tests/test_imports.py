import ast
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


RANKS = {  # imports run from higher to lower, and stay within a package of the same rank
    **dict.fromkeys(
        ("datatypes", "checks", "color", "callbacks", "boxes", "devices", "resample"), 0
    ),
    **dict.fromkeys(("files", "optics", "weights"), 1),
    "render": 2,
    **dict.fromkeys(("depth", "generator"), 3),
    "training": 4,
    **dict.fromkeys(("demo", "evaluation"), 5),
    "cli": 6,
    "__main__": 7,
}
AMONG_BASES = {("files", "optics"), ("weights", "files")}  # cameras with depth; whole or not at all


def module_of(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def own_modules():
    files = [file for one in ("bokehdepth_core", "nodes") for file in (ROOT / one).rglob("*.py")]
    return {module_of(file): file for file in files}


def package_of(module, modules):
    return module if modules[module].name == "__init__.py" else module[:-1]


def imports_of(module, modules):
    """Return the modules of ours that a module imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(modules[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package_of(module, modules)
            base = above[: len(above) - node.level + 1] + tuple(
                node.module.split(".") if node.module else ()
            )
            for alias in node.names:
                whole = (*base, alias.name)
                found.add(whole if whole in modules else base)
    return {one for one in found if one in modules and one != module}


def test_imports_of_the_core_run_down_only():
    modules = own_modules()
    for module in modules:
        for other in imports_of(module, modules):
            if module[0] != "bokehdepth_core" or len(module) < 2:
                continue
            assert other[0] == "bokehdepth_core", module
            own = module[1]
            below = other[1] if len(other) > 1 else "cli"
            allowed = own == below or RANKS[below] < RANKS[own] or RANKS[own] == RANKS[below] == 0
            assert allowed or (own, below) in AMONG_BASES, f"{module} imports {other}"


def test_no_two_packages_import_each_other():
    modules = own_modules()
    pairs = {}
    for module in modules:
        for other in imports_of(module, modules):
            one, two = package_of(module, modules), package_of(other, modules)
            if one[: len(two)] != two and two[: len(one)] != one:  # neither lies in the other
                pairs.setdefault((one, two), f"{module} imports {other}")
    assert {one: said for one, said in pairs.items() if one[::-1] in pairs} == {}
