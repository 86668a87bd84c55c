import json
import re
import shlex
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch

from bokehdepth_core.cli import program

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def project():
    if sys.version_info < (3, 11):
        pytest.skip("tomllib came with Python 3.11")
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_both_lists_of_requirements_are_the_same():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if not line.startswith("#")]
    assert listed == project()["project"]["dependencies"]


def test_an_install_into_comfyui_never_replaces_what_comfyui_chose():
    names = {re.split(r"[<>=\[]", one)[0] for one in project()["project"]["dependencies"]}
    assert names.isdisjoint({"torch", "numpy", "transformers"})


def test_every_extra_that_the_readme_installs_exists():
    extras = project()["project"]["optional-dependencies"]
    named = re.findall(r'pip install -e "\.\[(\w+)\]"', README)
    assert sorted(named) == sorted(extras)


def test_every_file_that_the_readme_links_to_exists():
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / unquote(link)).exists()] == []


def test_the_bundled_scene_is_small():
    assets = ROOT / "bokehdepth_core" / "demo" / "assets"
    assert sum(file.stat().st_size for file in assets.iterdir()) <= 2_000_000


def test_the_check_script_runs_the_command_that_the_readme_gives():
    block = re.search(r"<!-- test command -->\n```bash\n(.+)\n```\n<!-- end -->", README)
    assert block is not None
    assert "python -m pytest" in block[1]
    assert "README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_command_line_in_the_readme_is_one():
    lines = re.findall(r"^bokehdepth .+$", README.replace("\\\n", " "), re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        program._parser().parse_args(shlex.split(line)[1:])


def test_the_python_of_the_readme_runs():
    torch.manual_seed(0)
    reference = torch.rand(17, 21, 3)
    code = re.search(r"```python\n(.+?)```", README, re.DOTALL)[1]
    names = {"reference": reference, "frames": reference.expand(3, -1, -1, -1)}
    exec(code, names)
    assert names["depth"].metric
    # Frames as sharp as the photo put everything on the plane at 1.5 m that was in focus. Half the
    # smallest blur told from none, 0.5 px at K = 30, is 0.017 per metre.
    assert names["depth"].disparity.median() == pytest.approx(1 / 1.5, abs=0.017)
    assert names["picture"].shape == (1, 17, 21, 3)


def test_chinese_covers_exactly_the_inputs_and_outputs_of_the_schemas():
    schemas = json.loads((ROOT / "tests/data/node_schemas.json").read_text(encoding="utf-8"))
    chinese = json.loads((ROOT / "locales/zh/nodeDefs.json").read_text(encoding="utf-8"))
    assert set(chinese) == set(schemas)
    for name, schema in schemas.items():
        texts = chinese[name].get("inputs", {})
        assert set(texts) == {one[1] for one in schema["inputs"]}, name
        outputs = chinese[name].get("outputs", {})
        assert list(outputs) == [str(index) for index in range(len(schema["outputs"]))], name
        assert all(text["name"] and text["tooltip"] for text in [*texts.values()]), name


def test_english_texts_are_in_the_schemas_alone():
    assert [folder.name for folder in (ROOT / "locales").iterdir()] == ["zh"]


def test_every_file_and_package_that_the_architecture_names_exists():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w.]+(?:/[\w.]+)*/?|[\w.]+/[\w./]+)`", text))
    paths = {one for one in named if "/" in one or one.endswith((".toml", ".txt", "ignore"))}
    assert len(paths) > 50
    assert [one for one in sorted(paths) if not (ROOT / one).exists()] == []
    packages = {
        f"{file.parent.relative_to(ROOT).as_posix()}/"
        for file in (ROOT / "bokehdepth_core").rglob("__init__.py")
    }
    assert packages - paths == {"bokehdepth_core/"}


def test_no_two_test_modules_share_a_name():
    """Pytest imports them by name alone: of two, neither would run."""
    names = [file.name for file in (ROOT / "tests").rglob("*.py")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_node_has_a_help_page_whose_pictures_exist(language):
    schemas = json.loads((ROOT / "tests/data/node_schemas.json").read_text(encoding="utf-8"))
    for name in schemas:
        page = ROOT / "web" / "docs" / name / f"{language}.md"
        text = page.read_text(encoding="utf-8")
        assert text.startswith("# "), name
        for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
            assert (page.parent / picture).is_file(), (name, picture)


def test_the_chinese_help_names_every_input():
    chinese = json.loads((ROOT / "locales/zh/nodeDefs.json").read_text(encoding="utf-8"))
    for name, texts in chinese.items():
        page = (ROOT / "web" / "docs" / name / "zh.md").read_text(encoding="utf-8")
        for key, text in texts.get("inputs", {}).items():
            assert f"**{text['name']}** (`{key}`)" in page, (name, key)
