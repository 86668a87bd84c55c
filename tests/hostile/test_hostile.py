"""Hostile files are read rightly or refused in one line, within 2 s and 256 MB, and cause nothing.

Each kind is read by a process of its own; `--deep` damages the good files at many more places.
"""

import pytest
from hostile_run import faults, outcomes

# And how many files at least.
KINDS = {"pictures": 290, "depth": 300, "weights": 200, "clips": 80, "manifests": 170}
KINDS |= {"commands": 160, "folders": 110, "counts": 60}


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_files_are_read_rightly_or_refused_in_one_line(kind, pytestconfig):
    found = outcomes(kind, pytestconfig.getoption("--deep"))
    assert len(found) >= KINDS[kind]
    wrong = [line for case, outcome in found for line in faults(case, outcome)]
    assert not wrong, "\n".join(wrong)
