"""The estimator around a depth network: frames at once, and its results."""

import golden
import pytest
import torch

from bokehdepth_core import BokehStack
from bokehdepth_core.depth.estimator import NetworkEstimator
from bokehdepth_core.depth.loading import network_from

NAMES = ("dav2_dsfa", "unidepthv2_dsfa")


@pytest.fixture(scope="module", params=NAMES)
def estimator(request):
    case = golden.manifest(request.param)
    state = golden.recipe_state(case["parameters"], case["seed"])
    return NetworkEstimator(network_from(state, "file.pth", "cpu", torch.float32))


def photo_and_stack(height, width, frames=2):
    random = torch.Generator().manual_seed(2)
    photo = torch.rand(1, height, width, 3, generator=random)
    blurred = torch.rand(frames, height, width, 3, generator=random)
    return photo, BokehStack(photo[0], blurred, tuple(10.0 * (i + 1) for i in range(frames)))


def test_frames_are_encoded_together_where_there_is_memory_and_give_the_same_alone(estimator):
    photo, stack = photo_and_stack(45, 62)
    needed = {n: estimator.memory_required(45, 62, 40, 0, n) for n in (15, 20, 40)}
    assert [estimator.chunk_for(45, 62, 40, 0, needed[n]) for n in (40, 20, 15)] == [40, 20, 15]
    assert estimator.chunk_for(45, 62, 40, 0, 0) == 1
    counts = []
    patches = estimator.network.backbone.embeddings.patch_embeddings
    watch = patches.register_forward_hook(lambda _, __, tokens: counts.append(len(tokens)))
    together, alone = (
        estimator.estimate(photo, stack, resolution=0, chunk=chunk).depth for chunk in (None, 1)
    )
    watch.remove()
    assert counts == [3, 1, 1, 1]
    torch.testing.assert_close(alone, together, rtol=5e-5, atol=0)  # as the golden data allows


def test_results_can_be_used_in_a_graph_of_gradients(estimator):
    photo, stack = photo_and_stack(45, 62)
    found = estimator.estimate(photo, stack, resolution=0)
    for part in (found.depth, found.confidence, found.intrinsics):
        assert part is None or not part.is_inference()
