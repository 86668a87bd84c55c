"""The tables of `docs/licences.md`: no dependency and no shipped file may be missing from them."""

import importlib.metadata
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
# Old metadata has words instead of SPDX's names; each is believed to mean one licence only.
WORDS = {
    "Apache-2.0": ("apache",),
    "BSD-3-Clause": ("bsd",),
    "GPL-3.0-or-later": ("gnu general public license", "gpl"),
    "MIT": ("mit",),
    "MIT-CMU": ("mit-cmu", "hpnd"),
    "MPL-2.0": ("mpl-2.0", "mozilla public license 2.0"),
    "MPL-2.0 AND MIT": ("mpl-2.0 and mit", "mozilla public license 2.0"),
}


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def rows(title):
    """Return the rows of the table under a title, as lists of cells."""
    table = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    found = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    return found[2:]  # after the head and its rule


def stated(place):
    """Return the names in a list of requirements of pyproject.toml, with their comments left."""
    (text,) = re.findall(rf"^{place} = \[((?:[^\]\"]|\"[^\"]*\")*)\]", PROJECT, re.MULTILINE)
    names = re.findall(r'"([\w.-]+)', re.sub(r"#.*", "", text))
    return {plain(name) for name in names} - {"bokehdepth"}


def needed():
    """Return every package that pyproject.toml names, with its extras."""
    extras = re.search(r"\[project\.optional-dependencies\]\n(.*?)\n\n\[", PROJECT, re.DOTALL)
    places = {name: stated(name) for name in re.findall(r"^(\w+) = \[", extras[1], re.MULTILINE)}
    places |= {"the core": stated("dependencies"), "building the wheel": stated("requires")}
    found = {}
    for place, names in places.items():
        for name in names:
            found.setdefault(name, set()).add(place)
    return found


def said_of(name):
    """Return what an installed package says of its licence, in small letters; "" for nothing."""
    about = importlib.metadata.metadata(name)
    classifiers = [one for one in about.get_all("Classifier") or [] if one.startswith("License")]
    texts = [about.get("License-Expression"), *(about.get("License") or "").splitlines()[:1]]
    return " / ".join(filter(None, [*texts, *classifiers])).lower()


def test_every_package_has_its_line():
    listed = {plain(name): set(re.findall(r"[\w ]+", use)) for name, use, _ in rows("Packages")}
    listed = {name: {one.strip() for one in uses} - {""} for name, uses in listed.items()}
    assert listed == needed()


def test_requirements_are_read_whole():
    """The reading above is by patterns: Python 3.10 has no tomllib."""
    assert {"openexr", "torch", "pillow-heif", "accelerate", "pip-audit", "ruff"} <= set(needed())
    assert len(needed()) == len(set(re.findall(r'"([A-Za-z][\w.-]*)(?:[><=]=[^"]*)"', PROJECT)))


@pytest.mark.parametrize(("name", "licence"), [(row[0], row[2]) for row in rows("Packages")])
def test_a_package_is_under_the_licence_that_it_states(name, licence):
    try:
        said = said_of(name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    if said:
        assert any(word in said for word in WORDS[licence]), said
    else:  # the package leaves it to its licence file
        files = importlib.metadata.files(name) or []
        assert any("licen" in str(one).lower() for one in files)


def test_every_shipped_file_that_is_no_code_has_its_line():
    (text,) = re.findall(r"^bokehdepth_core = \[(.*)\]", PROJECT, re.MULTILINE)
    core = ROOT / "bokehdepth_core"
    shipped = {
        one.relative_to(ROOT).as_posix()
        for pattern in re.findall(r'"([^"]+)"', text)
        for one in core.glob(pattern)
        if one.name != "py.typed"
    }
    listed = rows("Files that are no code")
    assert {row[0] for row in listed} == shipped
    assert {row[2] for row in listed} <= {"MIT", "Apache-2.0", "CC0-1.0"}
