"""What reaches the user: the wheel, the registry's archive, and what an install changes."""

import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
pytestmark = [
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git says what belongs to the project"),
    pytest.mark.xdist_group("package"),  # one wheel is built for all
]
ARCHIVE = {
    *("__init__.py", "bokehdepth_core", "nodes", "locales", "web", "workflows"),
    "subgraphs",
    *("pyproject.toml", "requirements.txt", "README.md", "CHANGELOG.md", "LICENSE"),
}
KINDS = {
    *(".py", ".typed", ".md", ".json", ".js", ".jpg", ".png", ".npz", ".toml", ".txt", ""),
    ".safetensors",  # of the network that finds people
}


def git_files(*arguments):
    """Return files that git keeps, and those it would, by their paths in the project."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *arguments]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


def copy(names, folder):
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    return folder


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = copy(git_files(), tmp_path_factory.mktemp("source"))
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source)
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def archive():
    """The files that the registry packs: those of git that .comfyignore leaves."""
    packed = git_files("--cached")
    return packed - git_files("--ignored", f"--exclude-from={ROOT / '.comfyignore'}")


def environment(folder, installed=()):
    """Make an environment that holds these distributions, as "name==version", in name only."""
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    command = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    for one in installed:
        name, _, version = one.partition("==")
        information = Path(site) / f"{name.replace('-', '_')}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        (information / "INSTALLER").write_text("pip\n")
        (information / "RECORD").write_text("")
    return python, Path(site)


def versions(site):
    """Return the version of each distribution in a folder, by its normalised name."""
    found = importlib.metadata.distributions(path=[str(site)])
    return {re.sub(r"[-_.]+", "-", one.name).lower(): one.version for one in found}


def test_the_wheel_holds_the_core_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    own = {name for name in names if ".dist-info/" not in name}
    assert own == {name for name in git_files() if name.startswith("bokehdepth_core/")}
    assert {"bokehdepth_core/py.typed", "bokehdepth_core/demo/assets/photo.png"} <= own
    rest = {PurePosixPath(name).name for name in names - own}
    assert rest == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "LICENSE")
    }


def test_the_archive_holds_the_pack_and_nothing_else(archive):
    assert {PurePosixPath(name).parts[0] for name in archive} == ARCHIVE
    assert {PurePosixPath(name).suffix for name in archive} <= KINDS
    assert {
        *("bokehdepth_core/py.typed", "bokehdepth_core/demo/assets/photo.png"),
        "bokehdepth_core/depth/person/assets/LICENSE",
        *("locales/zh/nodeDefs.json", "web/docs/RenderBokeh/en.md"),
        "workflows/01 Portrait bokeh from one photo.json",
    } <= archive
    assert sum((ROOT / name).stat().st_size for name in archive) < 10_000_000


def test_the_pack_runs_from_its_archive_alone(archive, tmp_path):
    folder = copy(archive, tmp_path / "pack")
    done = subprocess.run(
        [sys.executable, "-m", "bokehdepth_core", "weights", "list"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert "bokeh_lora.bin" in done.stdout, done.stderr


def test_the_wheel_installs_into_an_empty_environment_and_runs(wheel, tmp_path):
    python, site = environment(tmp_path / "empty")
    pip("--python", python, "install", "--quiet", wheel)
    assert {"bokehdepth", "openexr", "numpy"} <= set(versions(site))
    # PyTorch comes from this environment: another copy of it would take minutes.
    borrowed = os.environ | {"PYTHONPATH": sysconfig.get_path("purelib")}
    code = "from bokehdepth_core.demo.run import ASSETS as a; print(a, (a / 'photo.png').exists())"
    done = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env=borrowed, capture_output=True, text=True
    )
    assert done.stdout.startswith(str(site)), done.stderr
    assert done.stdout.strip().endswith("True")
    program = python.parent / f"bokehdepth{python.suffix}"
    done = subprocess.run(
        [program, "weights", "list"], cwd=tmp_path, env=borrowed, capture_output=True, text=True
    )
    assert "bokeh_lora.bin" in done.stdout, done.stderr


@pytest.mark.parametrize("host", ["0.3.64", "0.33"])
def test_an_install_beside_comfyui_changes_no_version(wheel, tmp_path, host):
    lines = (DATA / f"comfyui_{host}.txt").read_text(encoding="utf-8").splitlines()
    python, site = environment(tmp_path / "host", [line for line in lines if line[0] != "#"])
    before = versions(site)
    pip("--python", python, "install", "--quiet", "-r", ROOT / "requirements.txt")
    pip("--python", python, "install", "--quiet", wheel)
    after = versions(site)
    assert {name: after.get(name) for name in before} == before
    assert set(after) - set(before) == {"bokehdepth", "openexr"}
