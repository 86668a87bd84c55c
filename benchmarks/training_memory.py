"""Memory that training a depth network takes on each GPU, read off networks on the meta device.

    python benchmarks/training_memory.py

Nothing is computed: a step is run with tensors that have a shape and no numbers, and what autograd
keeps for the way back is added up. Attention is counted as a fused kernel keeps it: queries, keys,
values, the result and a number for each row. With --check a small step is run with numbers too, and
its peak compared with the count.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.memory import peak_bytes
from bokehdepth_core.depth.networks.depth_anything import DepthAnything, DepthAnythingShape
from bokehdepth_core.depth.networks.dinov2 import EncoderShape
from bokehdepth_core.depth.networks.small import SmallDepth, SmallShape
from bokehdepth_core.depth.networks.unidepth import UniDepth, UniDepthShape
from bokehdepth_core.depth.networks.unidepth_decoder import DecoderShape
from bokehdepth_core.training.depth.batches import Batch
from bokehdepth_core.training.depth.networks import Network, Trained, loss_of
from bokehdepth_core.training.depth.settings import Settings

GRID, PATCH, FRAMES = 37, 14, 4  # the photo and three frames
# Bytes for each weight: itself, gradient, two moments, average; a frozen one: itself and average.
TRAINED, FROZEN = 4 + 4 + 8 + 4, 4 + 4
BUCKET = 4  # a second gradient, where processes exchange theirs
GPUS = (24e9, 80e9)  # bytes
SPARE = 0.9  # of a GPU's memory that may be filled


def depth_anything(width: int, depth: int, features: int, channels: tuple[int, ...]) -> Network:
    encoder = EncoderShape(width, depth, GRID, PATCH, False)
    stages = (4, 11, 17, 23) if depth == 24 else (2, 5, 8, 11)
    return DepthAnything(
        DepthAnythingShape(encoder, features, channels, 32, (2, 3), 80.0, stages), k_scale=1 / 30
    )


def unidepth_large() -> Network:
    decoder = DecoderShape(1024, 512, (512, 256, 128), (2, 2, 2), 64, 32)
    encoder = EncoderShape(1024, 24, GRID, PATCH, False)
    shape = UniDepthShape(encoder, decoder, (0, 1, 2, 3), (5, 11, 17, 23))
    return UniDepth(shape, k_scale=1 / 30)


NETWORKS = {
    "Depth Anything V2 S": lambda: depth_anything(384, 12, 64, (48, 96, 192, 384)),
    "Depth Anything V2 B": lambda: depth_anything(768, 12, 128, (96, 192, 384, 768)),
    "Depth Anything V2 L": lambda: depth_anything(1024, 24, 256, (256, 512, 1024, 1024)),
    "UniDepthV2 L": unidepth_large,
}


class FusedAttention(torch.autograd.Function):
    """Attention with the memory of a fused kernel; its numbers are none."""

    @staticmethod
    def forward(context, query, key, value):
        found = query.new_empty(*query.shape[:-1], value.shape[-1])
        rows = query.new_empty(query.shape[:-1])
        context.save_for_backward(query, key, value, found, rows)
        return found

    @staticmethod
    def backward(context, gradient):
        raise NotImplementedError


def batch_of(count: int, size: int, device: str) -> Batch:
    def plane(*shape: int) -> Tensor:
        return torch.rand(count, *shape, device=device)

    disparity = plane(size, size) + 0.5
    return Batch(
        plane(FRAMES, 3, size, size),
        plane(FRAMES) * 10 + 1,
        disparity,
        torch.ones(disparity.shape, dtype=torch.bool, device=device),
        plane(),
        torch.zeros(count, device=device),
    )


@contextmanager
def kept_bytes(network: nn.Module) -> Iterator[list[int]]:
    """Count what autograd keeps while the block runs, each storage once, weights left out."""
    weights = {one.untyped_storage()._cdata for one in network.parameters()}
    seen, found = {}, [0]

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights and storage._cdata not in seen:
            seen[storage._cdata] = storage  # held, so that its place is not given away
            found[0] += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield found


def fused(query, key, value, *_, **__):
    return FusedAttention.apply(query, key, value)


def activations(network: Network, size: int) -> int:
    """Return the bytes that one sample takes until the way back."""
    batch = batch_of(1, size, "meta")
    attention = mock.patch.object(functional, "scaled_dot_product_attention", fused)
    with attention, kept_bytes(network) as found:
        loss_of(Trained(network)(batch, True), batch, Settings()).mean()
    return found[0]


def row(name: str, size: int, frozen: bool) -> dict[str, object]:
    with torch.device("meta"):
        network = NETWORKS[name]().train().requires_grad_(True)
    if frozen:
        network.backbone.requires_grad_(False)
    counts = {True: 0, False: 0}
    for one in network.parameters():
        counts[one.requires_grad] += one.numel()
    state = TRAINED * counts[True] + FROZEN * counts[False]
    kept = activations(network, size)
    several = state + BUCKET * counts[True]
    fits = [[max(0, int((SPARE * gpu - one) / kept)) for gpu in GPUS] for one in (state, several)]
    return {
        "network": name,
        "encoder": "frozen" if frozen else "trained",
        "parameters": sum(counts.values()),
        "state_bytes": state,
        "state_bytes_several_gpus": several,
        "sample_bytes": kept,
        "batch_fp32_24_gb_1_gpu": fits[0][0],
        "batch_fp32_80_gb_1_gpu": fits[0][1],
        "batch_fp32_24_gb_each_of_several": fits[1][0],
        "batch_fp32_80_gb_each_of_several": fits[1][1],
    }


def check() -> dict[str, float]:
    """Return the peak of a real step of the small network over what is counted for it."""
    network = SmallDepth(SmallShape(), k_scale=1 / 30)
    batch = batch_of(4, 64, "cpu")
    trained = Trained(network)

    def step() -> None:
        loss_of(trained(batch, True), batch, Settings()).mean().backward()

    step()  # gradients are there before the peak is taken
    with kept_bytes(network) as found:
        loss_of(trained(batch, True), batch, Settings()).mean()
    peak = peak_bytes(step)
    return {"counted_bytes": found[0], "peak_bytes": peak, "peak_over_counted": peak / found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=GRID * PATCH, help="side of pictures, px")
    parser.add_argument("--check", action="store_true", help="compare with a real small step")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    rows = [row(name, options.size, frozen) for name in NETWORKS for frozen in (False, True)]
    for one in rows:
        print(
            f"{one['network']:20} {one['encoder']:8} {one['parameters'] / 1e6:5.0f} M  "
            f"state {one['state_bytes'] / 1e9:5.2f} GB  "
            f"a sample {one['sample_bytes'] / 1e9:5.2f} GB  batch at 24 and 80 GB: "
            f"{one['batch_fp32_24_gb_1_gpu']}, {one['batch_fp32_80_gb_1_gpu']}; of several GPUs "
            f"each {one['batch_fp32_24_gb_each_of_several']}, "
            f"{one['batch_fp32_80_gb_each_of_several']}"
        )
    record = {"size": options.size, "frames": FRAMES, "torch": torch.__version__, "rows": rows}
    if options.check:
        record["check"] = check()
        print(record["check"])
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
