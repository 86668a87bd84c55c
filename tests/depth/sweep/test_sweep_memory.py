"""The memory that the sweep asks for, against the most that torch holds during the run."""

import pytest

from benchmarks.node_memory import sweep_figures
from bokehdepth_core.depth.sweep.memory import sweep_memory


def test_the_memory_asked_for_is_within_a_quarter_above_the_peak():
    """Of further frames, sizes and focus stacks: `docs/safety.md`."""
    taken, asked = sweep_figures("two frames, not aligned", 192, 192, 4.0)
    assert 1.0 <= asked / taken <= 1.25


def test_a_stack_that_goes_to_another_device_takes_its_copy_there():
    here, there = (sweep_memory(400, 500, 3, moved=moved) for moved in (False, True))
    assert there - here == pytest.approx(1.03 * 4 * 3 * 4 * 400 * 500)
