"""A depth prior tells the sweep which side of the focus plane a surface lies on."""

import pytest
import torch
from test_sweep import blurred, stack_at, texture

from bokehdepth_core import BokehStack, DepthMap, sweep_depth


def test_a_prior_tells_front_from_behind():
    image = texture((64, 120))
    frames = []
    for strength in (5.0, 10.0):
        parts = [blurred(image, strength * offset) for offset in (0.6, 0.0, 0.3)]
        frames.append(
            torch.cat([part[:, :, 40 * i : 40 * i + 40] for i, part in enumerate(parts)], 2)
        )
    stack = BokehStack(image.permute(1, 2, 0), torch.stack(frames).permute(0, 2, 3, 1), (5.0, 10.0))
    truth = torch.tensor([1.1, 0.5, 0.2]).repeat_interleave(40).expand(1, 64, 120)
    # Any line through the disparities will do.
    found = sweep_depth(stack, focus_depth=2.0, prior=DepthMap(1 / (0.2 + 3 * truth), metric=False))
    for left, wanted in ((8, 1.1), (48, 0.5), (88, 0.2)):
        middle = found.disparity[0, :, left : left + 24].median()
        assert float(middle) == pytest.approx(wanted, abs=0.04)
    relative = sweep_depth(stack, prior=DepthMap(1 / truth))
    assert float(relative.disparity[0, :, 8:32].median()) == pytest.approx(1, abs=0.06)
    assert float(relative.disparity[0, :, 88:112].median()) == pytest.approx(0, abs=0.06)


def test_a_prior_of_another_size_is_refused():
    with pytest.raises(
        ValueError, match=r"prior: expected \[61, 85\] like the stack, found \[2, 3\]"
    ):
        sweep_depth(stack_at(0.3), prior=DepthMap(torch.ones(1, 2, 3)))
