"""Run a child over one kind of hostile files, and judge what it says of each."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

from hostile_case import EITHER, VALUE
from hostile_child import PLAIN

LONGEST_S = 2.0  # of the processor, for one file
MOST_MB = 256  # that the process may grow by, for files of a few kilobytes
_LONGEST_LINE = 500  # letters
TEXTS = ("strengths", "keyframes", "distances")  # readers of what was typed, not of a file


def outcomes(kind, deep=False):
    """Return the cases of a kind by name, and what came of each.

    Raises:
        RuntimeError: the process that read them ended before its time.
    """
    cases = importlib.import_module(f"hostile_{kind}").cases(deep)
    child = Path(__file__).with_name("hostile_child.py")
    command = [sys.executable, str(child), kind, *["--deep"] * deep]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        timeout=3600 if deep else 600,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        begun = [one["begins"] for one in lines if "begins" in one]
        raise RuntimeError(
            f"the reader ended with {done.returncode} at {begun[-1:]}: {done.stderr[-2000:]}"
        )
    named = {case.what: case for case in cases}
    assert len(named) == len(cases), "two cases of one name"
    return [(named[one["what"]], one) for one in lines if "what" in one]


def faults(case, found):
    """Return what is wrong with what came of a file, as lines."""
    outcome, text = found["outcome"], found["text"]
    if outcome == "skipped":
        return []
    wrong = []
    if outcome == "value":
        if case.wanted not in (VALUE, EITHER):
            wrong.append("was read")
    elif outcome not in PLAIN or case.wanted == VALUE:
        wrong.append(f"{outcome}: {text[:300]}")
    else:
        wrong += _faults_of_message(case, text)
    if found["seconds"] > LONGEST_S:
        wrong.append(f"took {found['seconds']:.1f} s")
    if (found["grown"] or 0) > MOST_MB:
        wrong.append(f"took {found['grown']:.0f} MB")
    wrong += found["events"]
    return [f"{case.what}: {one}" for one in wrong]


def _faults_of_message(case, text):
    wrong = []
    name = case.named or case.file
    if case.reader not in TEXTS and name not in text:
        wrong.append(f"the message does not name the file: {text[:300]}")
    if "\n" in text.replace(name, ""):
        wrong.append(f"several lines: {text[:300]}")
    if len(text) > _LONGEST_LINE + len(name):
        wrong.append(f"a message of {len(text)} letters: {text[:300]}")
    if case.says not in text:
        wrong.append(f"says {text[:300]!r} without {case.says!r}")
    return wrong
