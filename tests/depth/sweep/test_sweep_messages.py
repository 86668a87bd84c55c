"""What a sweep finds out or doubts reaches those who do not read the log."""

import logging
import threading

import pytest
import torch
from test_sweep import stack_at

from bokehdepth_core import BokehStack, DepthMap, sweep_depth
from bokehdepth_core.depth.sweep import messages
from bokehdepth_core.depth.sweep.estimator import SweepEstimator


def test_a_stack_without_blur_is_told():
    sharp = stack_at(0.3).reference
    with messages.collected() as said:
        sweep_depth(BokehStack(sharp, torch.stack([sharp] * 2), (10.0, 20.0)), align=False)
    told = [one.getMessage() for one in said if one.levelno == logging.WARNING]
    assert told == [
        "stack: no frame is blurred, so nothing tells depth. Give frames of wider apertures."
    ]


def test_only_this_thread_and_only_while_collected():
    log = logging.getLogger(messages.__package__ + ".tone")
    level = log.getEffectiveLevel()
    with messages.collected() as said:
        other = threading.Thread(target=log.warning, args=("another run",))
        other.start()
        other.join()
        log.info("this run")
    log.warning("afterwards")
    assert [one.getMessage() for one in said] == ["this run"]
    assert log.getEffectiveLevel() == level


def test_warnings_of_another_logger_are_collected_without_its_lesser_messages():
    log = logging.getLogger("a_pack_of_loggers")
    with messages.collected(log, logging.WARNING) as said:
        log.getChild("nodes").info("read")
        log.getChild("core.part").warning("slow")
        logging.getLogger("another").warning("not ours")
    assert [one.getMessage() for one in said] == ["slow"]


def test_the_estimator_hands_a_prior_on():
    stack = stack_at(0.3)
    size = tuple(stack.reference.shape[:2])
    estimator = SweepEstimator(torch.device("cpu"))
    # All of the prior but one corner lies in front.
    prior = torch.ones(1, *size)
    prior[0, 0, 0] = 10
    near = estimator.estimate(
        stack.reference[None], stack, focus_depth=2.0, prior=DepthMap(prior, metric=False)
    )
    assert float(near.disparity.median()) == pytest.approx(0.5 + 0.3, abs=0.03)
    with pytest.raises(ValueError, match="prior: 3 depth maps for 1 stacks"):
        estimator.estimate(stack.reference[None], stack, prior=DepthMap(torch.ones(3, *size)))
