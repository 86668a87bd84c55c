"""How much memory a depth network's work takes: the most of its four steps, counted in tensors.

The numbers were read off `benchmarks/memory.py`, which counts what torch holds; they do not depend
on sizes. `tests/depth/test_network_memory.py` measures them again.
"""

import math

from torch import nn

from .networks.depth_anything import DepthAnything
from .networks.preprocess import InputTransform
from .networks.unidepth import UniDepth

# Of a frame's tokens, held at once: by a block of the encoder (residual, MLP, its GELU, their
# sum), and by DSFA, which has one frame after the other, then the keys and values of all.
_ENCODER = 11
_FUSION_ALONE, _FUSION_EACH = 13, 2
_FUSION_KEYS_ALONE, _FUSION_KEYS_EACH = 5, 4
# Of a picture's pixels: as it is, less the mean, normalised; and where it is moved to a device.
_PICTURE = 6
_MOVED = 3
_MARGIN = 1.05  # position tables, cameras and what else grows with neither


def memory_of(
    network: DepthAnything | UniDepth,
    transform: InputTransform,
    frames: int,
    chunk: int,
    moved: bool,
) -> int:
    """Return an estimate of the bytes that tensors take for one picture, weights left out.

    Args:
        network: whose activations are meant.
        transform: how the picture enters it.
        frames: of the photo and its stack that the network reads.
        chunk: frames encoded at once.
        moved: whether pictures are copied to the network's device.
    """
    encoder = network.shape.encoder
    rows, columns = transform.input_size
    pixels = rows * columns
    number = next(network.backbone.parameters()).element_size()
    token = (pixels // encoder.patch**2 + 1) * encoder.width * number  # bytes, of a frame
    taken_in = 3 * pixels * frames * number
    stages = len(network.stages)
    before = 0 if chunk >= frames else stages * frames  # of the chunks encoded earlier
    encoding = (_ENCODER * chunk + (stages - 1) * chunk + before) * token
    fusing = _fusing(network.fusion, stages, frames) * token
    decoding = stages * token + 4 * pixels * _decoder_floats(network)
    network_bytes = taken_in + max(encoding, fusing, decoding)
    padded = math.prod(transform.padded)
    picture = math.prod(transform.size)
    more = 3 * padded if padded != picture else 0
    pictures = 4 * (_PICTURE * picture + more + (_MOVED * picture if moved else 0))
    # The last picture is read while the frames before it wait at the network's size.
    return math.ceil(_MARGIN * max(network_bytes, taken_in + pictures))


def _fusing(fusion: nn.ModuleDict, stages: int, frames: int) -> int:
    """Return how many times a frame's tokens are held while stages are fused one by one."""
    if frames == 1:
        return (stages + 1) * frames
    block = max(
        _FUSION_ALONE + _FUSION_EACH * frames, _FUSION_KEYS_ALONE + _FUSION_KEYS_EACH * frames
    )
    first = min((int(stage) for stage in fusion), default=0)
    return max((stages + 1) * frames, (stages - first) * frames + first + block)


def _decoder_floats(network: DepthAnything | UniDepth) -> float:
    """Return the most numbers that decoding holds for each pixel of the network's input."""
    patch = network.shape.encoder.patch
    if isinstance(network, DepthAnything):
        shape = network.shape
        maps = (1 + 4 + 16 + 64) / patch**2  # of the neck's four levels
        return (1 + maps) * shape.features + shape.head
    decoder = network.shape.decoder
    low_pixels = 64 / patch**2  # of the last level: 8 times the patches' grid
    held = low_pixels * (decoder.low + 2 * decoder.levels[-1])  # what both outputs come from
    tokens = 9 * decoder.width / patch**2  # levels before and after the rays, and the rays
    # At the full size: a convolution's padded input, or what an activation makes of its output.
    largest = decoder.low + decoder.high + max(decoder.low, decoder.high)
    return largest + held + tokens + 6
