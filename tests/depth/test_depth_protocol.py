"""Both kinds of depth estimator take the same call and give the same kind of result."""

import inspect
from pathlib import Path

import golden
import pytest
import torch

from bokehdepth_core import BokehStack, load_depth_estimator
from bokehdepth_core.depth import DepthEstimator
from bokehdepth_core.depth.stacks import stacks_for

CHECKPOINT = golden.FOLDER / "checkpoints" / "udv2_tiny_training.pth"


@pytest.mark.parametrize("source", ["built-in", Path("built-in"), CHECKPOINT, str(CHECKPOINT)])
def test_every_estimator_takes_every_keyword_and_gives_depth_on_the_pictures_device(source):
    estimator = load_depth_estimator(source)
    wanted = inspect.signature(DepthEstimator.estimate)
    assert inspect.signature(type(estimator).estimate) == wanted
    random = torch.Generator().manual_seed(0)
    photo = torch.rand(32, 40, 3, generator=random)
    stack = BokehStack(photo, torch.stack([photo, photo.roll(1, 0)]), (2.0, 4.0))
    camera = torch.tensor([[[30.0, 0, 20], [0, 30, 16], [0, 0, 1]]])
    found = estimator.estimate(photo[None], stack, camera, None, chunk=1, focus_depth=2.0)
    assert found.depth.shape == (1, 32, 40)
    for part in (found.depth, found.confidence, found.intrinsics):
        assert part.device == photo.device


def test_stacks_must_be_one_for_each_picture_and_of_its_size():
    stack = BokehStack(torch.zeros(4, 6, 3), torch.zeros(1, 4, 6, 3), (2.0,))
    assert stacks_for(stack, {"B": 3, "H": 4, "W": 6}) == [stack]
    with pytest.raises(ValueError, match=r"^stack: 2 stacks for 3 pictures"):
        stacks_for([stack, stack], {"B": 3, "H": 4, "W": 6})
    with pytest.raises(ValueError, match=r"^stack: its pictures are 4x6, the image is 5x6"):
        stacks_for(stack, {"B": 1, "H": 5, "W": 6})
