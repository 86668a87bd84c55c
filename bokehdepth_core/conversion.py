"""Depth checkpoints as safetensors: only weights, nothing that could run, quick to open."""

from pathlib import Path

import torch

from .checkpoints import read_state_dict, write_safetensors
from .depth.loading import KIND_KEY, MAX_DEPTH_KEY, known_max_depth, network_from


def convert_checkpoint(source: Path, target: Path, max_depth: float | None = None) -> str:
    """Write a depth checkpoint of any published layout as .safetensors; return the network's name.

    Averaged (EMA) weights are taken where the file has them; names and number types stay.

    Args:
        source: the checkpoint.
        target: the file to write; its name ends in .safetensors and is not taken yet.
        max_depth: range of a metric Depth Anything, m; None where the file's name or config.json
            tells, or for a relative one.

    Raises:
        FileNotFoundError: no such checkpoint.
        FileExistsError: the target is there already.
        ValueError: another ending.
        CheckpointError: a checkpoint that does not load strictly.
    """
    if target.suffix != ".safetensors":
        raise ValueError(f"output: expected a name ending in .safetensors, found '{target.name}'.")
    if target.exists():
        raise FileExistsError(f"{target}: is there already. Give another name, or remove it.")
    state = read_state_dict(source)
    if max_depth is None:
        max_depth = known_max_depth(source)
    network = network_from(state, source.name, "meta", torch.float32, max_depth=max_depth)
    kind = type(network).__name__
    metadata = {"format": "pt", KIND_KEY: kind, "source": source.name}
    reach = getattr(network.shape, "max_depth", None)
    if reach is not None:
        metadata[MAX_DEPTH_KEY] = f"{reach:g}"
    write_safetensors(target, {key: value.clone() for key, value in state.items()}, metadata)
    return kind
