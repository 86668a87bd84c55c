"""The memory that depth networks ask for, against the most that torch holds during the run."""

import pytest
import torch

from benchmarks.memory import peak_bytes
from bokehdepth_core import BokehStack
from bokehdepth_core.depth.estimator import NetworkEstimator
from bokehdepth_core.depth.networks.depth_anything import DepthAnything, DepthAnythingShape
from bokehdepth_core.depth.networks.dinov2 import EncoderShape
from bokehdepth_core.depth.networks.small import SmallDepth, SmallShape
from bokehdepth_core.depth.networks.unidepth import UniDepth, UniDepthShape
from bokehdepth_core.depth.networks.unidepth_decoder import DecoderShape
from bokehdepth_core.depth.small_estimator import SmallEstimator

STAGES = (0, 1, 2, 3)  # four blocks of the published width: further ones hold nothing more
CHANNELS = {384: (64, (48, 96, 192, 384)), 1024: (256, (256, 512, 1024, 1024))}


def depth_anything(width, fused=(2, 3)):
    features, channels = CHANNELS[width]
    encoder = EncoderShape(width, 4, 37, 14, False)
    shape = DepthAnythingShape(encoder, features, channels, 32, fused, 80.0, STAGES)
    return NetworkEstimator(DepthAnything(shape).eval())


def unidepth(width, fused=STAGES, outputs=(64, 32)):
    decoder = DecoderShape(width, 512, (512, 256, 128), (1, 1, 1), *outputs)
    shape = UniDepthShape(EncoderShape(width, 4, 37, 14, False), decoder, fused, STAGES)
    return NetworkEstimator(UniDepth(shape).eval())


def small(*sizes):
    return SmallEstimator(SmallDepth(SmallShape(*sizes)).eval())


def ratio(estimator, size, frames, resolution=0, chunk=None):
    """Return the memory asked for over that taken for a photo and its stack's frames."""
    photo = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(0))
    stack = None
    if frames > 1:
        blurred = photo.expand(frames - 1, -1, -1, -1)
        stack = BokehStack(photo[0], blurred, tuple(5.0 * (1 + i) for i in range(frames - 1)))
    taken = peak_bytes(lambda: estimator.estimate(photo, stack, resolution=resolution, chunk=chunk))
    return estimator.memory_required(*size, frames, resolution, chunk) / taken


@pytest.mark.parametrize(
    ("make", "size", "frames", "chunk"),
    [
        (lambda: depth_anything(384), (512, 512), 1, None),
        (lambda: depth_anything(384), (512, 512), 8, None),
        (lambda: depth_anything(384), (512, 700), 8, 1),
        (lambda: depth_anything(384), (512, 512), 8, 3),
        (lambda: depth_anything(384, (0, 1, 2, 3)), (512, 512), 6, 1),
        (lambda: depth_anything(384), (2048, 2048), 3, None),
        (lambda: depth_anything(384, ()), (4096, 4096), 1, None),
        (lambda: depth_anything(1024), (512, 512), 2, None),
        (lambda: unidepth(384), (512, 512), 3, None),
        (lambda: unidepth(384), (1500, 2048), 2, 1),
        (lambda: unidepth(384, (3,), (16, 32)), (300, 400), 2, 1),
        (small, (512, 512), 4, None),
        (lambda: small((32, 64), 96), (500, 400), 2, None),
        (small, (2048, 2048), 4, None),
        (small, (2048, 2048), 1, None),
        (small, (1024, 1024), 2, None),
    ],
)
def test_the_memory_asked_for_is_within_a_quarter_above_the_peak(make, size, frames, chunk):
    torch.manual_seed(0)
    assert 1.0 <= ratio(make(), size, frames, chunk=chunk) <= 1.25


def test_pictures_on_another_device_are_copied_there():
    estimator = depth_anything(384)
    here = estimator.memory_required(4096, 4096, 1, 0)
    there = estimator.memory_required(4096, 4096, 1, 0, device=torch.device("cuda"))
    assert there - here == pytest.approx(1.05 * 3 * 4 * 4096**2)
