"""The memory that calibration asks for, against the most that torch holds during the run."""

import pytest
import torch

from benchmarks.node_memory import stack_figures
from bokehdepth_core import BokehStack
from bokehdepth_core.depth.sweep.calibration_memory import calibration_memory


@pytest.mark.parametrize(
    ("setting", "radius"),
    [("calibration", 14.0), ("calibration, six frames", 4.0)],
)
def test_the_memory_asked_for_is_within_a_quarter_above_the_peak(setting, radius):
    """Wide blur takes more: more radii are tried. Of further sizes: `docs/safety.md`."""
    taken, asked = stack_figures(setting, 128, 160, radius)
    assert 1.0 <= asked / taken <= 1.25


def test_a_stack_that_goes_to_another_device_takes_its_copy_there():
    photo = torch.rand(40, 50, 3, generator=torch.Generator().manual_seed(0))
    stack = BokehStack(photo, torch.stack([photo] * 3), (5.0, 10.0, 15.0))
    here, there = (calibration_memory(stack, moved=moved) for moved in (False, True))
    assert there - here == pytest.approx(1.03 * 4 * 3 * 4 * 40 * 50, rel=1e-3)
