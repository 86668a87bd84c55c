"""The network that finds people gives what the published one gives on its own runtime."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.convert_person import converted, run_original
from bokehdepth_core.demo.run import ASSETS
from bokehdepth_core.depth.person.find import WEIGHTS, _network
from bokehdepth_core.files.pictures.images import read_image
from bokehdepth_core.weights.reading import read_state_dict

DATA = Path(__file__).parents[2] / "data"
# Both compute in float32 with sums in another order; the largest difference that was seen is 1e-5.
SAME = 1e-4


def example():
    """The bundled photo as the network takes it, [256,256,3]: means of two by two pixels."""
    photo = read_image(ASSETS / "photo.png")
    return photo.reshape(256, 2, 256, 2, 3).mean((1, 3))


def ours(picture):
    return _network(torch.device("cpu"))(picture.movedim(-1, 0)[None])[0].numpy()


@pytest.fixture
def original():
    """The published file, which is not part of the project."""
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert runs the original; not installed")
    file = os.environ.get("SELFIE_SEGMENTATION_TFLITE", "")
    if not Path(file).is_file():
        pytest.skip("SELFIE_SEGMENTATION_TFLITE names no file: see benchmarks/convert_person.py")
    return file


def test_the_mask_is_that_of_the_published_network():
    # Kept in 16 bits, 2^-12 at most off, every second pixel; made by the original on its runtime.
    kept = np.load(DATA / "person_mask.npz")["mask"].astype(np.float32)
    assert 0.25 < kept.mean() < 0.35  # somebody is there
    np.testing.assert_allclose(ours(example())[::2, ::2], kept, atol=SAME + 2**-12, rtol=0)


def test_the_mask_is_that_of_the_original_on_its_own_runtime(original):
    torch.manual_seed(0)
    for picture in (example(), torch.rand(256, 256, 3), example().flip(1)):
        there = run_original(original, picture.contiguous().numpy())
        np.testing.assert_allclose(ours(picture), there, atol=SAME, rtol=0)


def test_the_shipped_weights_are_those_of_the_original(original):
    shipped = read_state_dict(WEIGHTS)
    wanted = converted(original)
    assert set(shipped) == set(wanted)
    assert all(torch.equal(shipped[name], value) for name, value in wanted.items())


def test_what_is_shipped_is_small_and_names_its_licence():
    assert WEIGHTS.stat().st_size < 300_000
    assert "Apache License" in (WEIGHTS.parent / "LICENSE").read_text(encoding="utf-8")
    assert "MediaPipe" in (WEIGHTS.parent / "NOTICE").read_text(encoding="utf-8")
