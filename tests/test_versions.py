"""The fast tests on the oldest versions that pyproject.toml states, and on the newest Python.

Each case builds an environment of its own; where its Python or its packages cannot be had, the
test is skipped and says which.
"""

import re
import sys
import time
from pathlib import Path

import pytest
import versions

PROJECT = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")


LIMIT = 420.0  # s, so that all tests together stay within twenty minutes on two cores


@pytest.mark.slow
@pytest.mark.minutes
@pytest.mark.parametrize("name", versions.CASES)
def test_the_fast_tests_pass_with(name):
    try:
        code, output = versions.run(name, LIMIT)
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


def test_a_case_that_takes_too_long_is_stopped_and_said():
    with pytest.raises(versions.AbsentError, match="too slow"):
        versions._run([sys.executable, "-c", "import time; time.sleep(60)"], time.monotonic() + 0.2)


def test_a_missing_python_is_said():
    with pytest.raises(versions.AbsentError, match=r"^no Python 3\.4 on this machine$"):
        versions.python_of("3.4")
