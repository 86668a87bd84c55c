"""Depth checkpoints as safetensors: only weights, nothing that could run, quick to open."""

from dataclasses import replace
from pathlib import Path

import torch

from ..weights.reading import read_state_dict, write_safetensors
from .loading import KIND_KEY, network_from, settled_options
from .networks.depth_anything import DepthAnything
from .networks.options import NetworkOptions
from .networks.small import SmallDepth
from .networks.unidepth import UniDepth


def convert_checkpoint(
    source: Path,
    target: Path,
    max_depth: float | None = None,
    attention_scale: str | None = None,
    *,
    alibi: float | None = None,
    heads: int | None = None,
    stages: tuple[int, ...] | None = None,
) -> str:
    """Write a depth checkpoint of any published layout as .safetensors; return the network's name.

    Averaged (EMA) weights are taken where the file has them; names and number types stay.

    Args:
        source: the checkpoint.
        target: the file to write; its name ends in .safetensors and is not taken yet.
        max_depth: range of a metric Depth Anything, m; None where the file's name or config.json
            tells, or for a relative one.
        attention_scale: of Depth Anything with DSFA, see `load_depth_estimator`; None leaves the
            choice to whoever loads the file.
        alibi: of DSFA, like the two that follow; None as the file says, else as published.
        heads: …
        stages: …

    Raises:
        FileNotFoundError: no such checkpoint, or no such folder for the target.
        FileExistsError: the target is there already.
        ValueError: another ending, or an option that the network does not have.
        CheckpointError: a checkpoint that does not load strictly.
        OSError: the target cannot be written.
    """
    check_target(target)
    given = NetworkOptions(attention_scale, max_depth, alibi, heads, stages)
    state = read_state_dict(source)
    settled = settled_options(source, state, given)
    network = network_from(state, source.name, "meta", torch.float32, **vars(settled))
    check_choices(network, max_depth, attention_scale, alibi, heads)
    kind = type(network).__name__
    metadata = {"format": "pt", KIND_KEY: kind, "source": source.name}
    settled = replace(settled, max_depth=getattr(network.shape, "max_depth", None))
    metadata |= settled.metadata()
    _write(target, {key: value.clone() for key, value in state.items()}, metadata)
    return kind


def check_choices(
    network: DepthAnything | UniDepth | SmallDepth,
    max_depth: float | None,
    attention_scale: str | None,
    alibi: float | None = None,
    heads: int | None = None,
) -> None:
    """Check that a network has what was chosen for it.

    Raises:
        ValueError: a choice that makes no difference to this network.
    """
    if max_depth is not None and not isinstance(network, DepthAnything):
        raise ValueError(
            f"max_depth: {type(network).__name__} finds its range itself. Leave it out."
        )
    for name, value in (("alibi", alibi), ("heads", heads)):
        if value is not None and not len(network.fusion):
            raise ValueError(f"{name}: this checkpoint has no DSFA. Leave it out.")
    fused = isinstance(network, DepthAnything) and len(network.fusion) > 0
    if attention_scale is not None and not fused:
        raise ValueError(
            "attention_scale: only Depth Anything with DSFA leaves it open, and this checkpoint is "
            f"{type(network).__name__}{'' if len(network.fusion) else ' without DSFA'}. "
            "Leave it out."
        )


def check_target(target: Path) -> None:
    """Refuse an unusable target before gigabytes are read for it.

    Raises:
        FileNotFoundError: no such folder.
        FileExistsError: the target is there already.
        ValueError: another ending.
    """
    if target.suffix != ".safetensors":
        raise ValueError(f"output: expected a name ending in .safetensors, found '{target.name}'.")
    if target.exists():
        raise FileExistsError(f"{target}: is there already. Give another name, or remove it.")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{target}: folder {target.parent} does not exist. Create it, or give another."
        )


def _write(target: Path, state: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    from safetensors import SafetensorError

    try:
        write_safetensors(target, state, metadata)
    except SafetensorError as error:
        raise OSError(f"{target}: cannot be written ({error}). Is the disk full?") from error
