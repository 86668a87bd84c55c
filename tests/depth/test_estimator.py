"""The estimator around a depth network: memory it asks for, frames at once, and its results."""

import golden
import pytest
import torch

from benchmarks.memory import peak_bytes
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


@pytest.mark.parametrize(("size", "chunk"), [((240, 320), None), ((40, 400), 1)])
def test_the_memory_asked_for_is_enough_and_not_far_too_much(estimator, size, chunk):
    photo, stack = photo_and_stack(*size)
    taken = peak_bytes(lambda: estimator.estimate(photo, stack, resolution=0, chunk=chunk))
    asked = estimator.memory_required(*size, 3, 0, chunk)
    assert taken <= asked <= 8 * taken


def test_frames_are_encoded_together_where_there_is_memory_and_give_the_same_alone(estimator):
    photo, stack = photo_and_stack(45, 62)
    needed = {n: estimator.memory_required(45, 62, 3, 0, n) for n in (1, 2, 3)}
    assert [estimator.chunk_for(45, 62, 3, 0, needed[n]) for n in (3, 2, 1)] == [3, 2, 1]
    assert estimator.chunk_for(45, 62, 3, 0, 0) == 1
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
