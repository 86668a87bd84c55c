"""The fast tests on the oldest versions that pyproject.toml states, and on the newest Python.

Each case builds an environment of its own; where its Python or its packages cannot be had, the
test is skipped and says which.
"""

import re
from pathlib import Path

import pytest
import versions

PROJECT = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.minutes
@pytest.mark.parametrize("name", versions.CASES)
def test_the_fast_tests_pass_with(name):
    try:
        code, output = versions.run(name)
    except versions.AbsentError as error:
        pytest.skip(f"{versions.title(name)}: {error}")
    assert code == 0, output[-5000:]


def test_the_oldest_case_is_what_the_project_states():
    python, torch, packages = versions.CASES["oldest"]
    assert f'requires-python = ">={python}"' in PROJECT
    for stated in (f"torch=={torch}", *packages):
        package, version = stated.split("==")
        oldest = re.sub(r"(\.0)+$", "", version)
        assert f'"{package}>={oldest}"' in PROJECT, stated


def test_a_missing_python_is_said():
    with pytest.raises(versions.AbsentError, match=r"^no Python 3\.4 on this machine$"):
        versions.python_of("3.4")
