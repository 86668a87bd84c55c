"""The memory that joining a focus stack asks for, against the most that torch holds meanwhile."""

import pytest

from benchmarks.node_memory import stack_figures
from bokehdepth_core.depth.focus_stacks.memory import focus_stack_memory


@pytest.mark.parametrize("setting", ["six joined", "joined, not aligned", "joined, planes unknown"])
def test_the_memory_asked_for_is_within_a_quarter_above_the_peak(setting):
    """Of further frames and sizes: `docs/safety.md`."""
    taken, asked = stack_figures(setting, 128, 160, 3.0)
    assert 1.0 <= asked / taken <= 1.25


def test_frames_that_go_to_another_device_take_their_copy_there():
    here, there = (focus_stack_memory(400, 500, 5, moved=moved) for moved in (False, True))
    assert there - here == pytest.approx(1.04 * 4 * 3 * 5 * 400 * 500)
