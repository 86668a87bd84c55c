"""From a checkpoint file to a depth network: recognised by keys, sized by shapes, strict."""

import re
from collections.abc import Callable
from pathlib import Path

import torch

from ..checks import check_number
from ..weights.errors import CheckpointError
from ..weights.reading import (
    FOLDER_FILES,
    StateDict,
    read_config,
    read_metadata,
    read_state_dict,
    weight_file,
)
from ..weights.strict import build_on_meta, load_strictly
from . import depth_anything, unidepth
from .depth_anything import ATTENTION_SCALES, DepthAnything
from .dinov2 import STAGES_AFTER, match_names
from .unidepth import UniDepth

MAX_DEPTH_KEY = "max_depth_m"  # in the metadata of converted files
ATTENTION_SCALE_KEY = "attention_scale"
KIND_KEY = "network"
# Published metric Depth Anything V2 files say their range in their names only, m.
PUBLISHED_RANGES = {
    "metric_hypersim": 20.0,
    "metric_vkitti": 80.0,
    "metric_indoor": 20.0,
    "metric_outdoor": 80.0,
}
# Heads stay in float32: on the golden networks that takes the mean error of bf16 against float32
# from 0.36 to 0.24 % (Depth Anything) and from 0.81 to 0.67 % (UniDepth).
_HALF_KEYS = ("backbone.", "fusion.")


def load_network(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    attention_scale: str | None = None,
    max_depth: float | None = None,
) -> DepthAnything | UniDepth:
    """Return the network of a checkpoint; see `load_depth_estimator`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown option.
        CheckpointError: a file that is no depth network, or a damaged one.
    """
    if attention_scale is not None and attention_scale not in ATTENTION_SCALES:
        known = ", ".join(ATTENTION_SCALES)
        raise ValueError(f"attention_scale: expected {known}, found '{attention_scale}'.")
    name = Path(path).name
    scale = attention_scale or known_attention_scale(path)
    state = read_state_dict(path)
    return network_from(state, name, device, dtype, scale, settled_range(path, state, max_depth))


def network_from(
    state: StateDict,
    name: str,
    device: str | torch.device,
    dtype: torch.dtype,
    attention_scale: str | None = None,
    max_depth: float | None = None,
) -> DepthAnything | UniDepth:
    """Return the network that tensors of any published layout hold.

    Args:
        state: as from `read_state_dict`.
        name: the file's, for messages.
        device: where the weights go; "meta" only checks them.
        dtype: of encoder and DSFA; neck and heads are float32.
        attention_scale: see `DepthAnything`; None is as trained.
        max_depth: of a metric Depth Anything, m; None for a relative one.

    Raises:
        CheckpointError: tensors of no known network, missing or unexpected ones.
    """
    network: DepthAnything | UniDepth
    if max_depth is not None:
        check_number(max_depth, "max_depth", above=0.0, hint="Give the end of the range in metres.")
    if unidepth.is_unidepth(state):
        own = unidepth.to_own_names(state, name)
        sizes = unidepth.read_shape(own, name)
        network = build_on_meta(lambda: UniDepth(sizes))
    elif depth_anything.is_depth_anything(state):
        own = depth_anything.to_own_names(state, name)
        shape = depth_anything.read_shape(own, name, max_depth)
        scale = attention_scale or "trained"
        network = build_on_meta(lambda: DepthAnything(shape, scale))
    else:
        raise CheckpointError(
            f"{name}: no known depth checkpoint; {len(state)} keys, first '{next(iter(state))}'. "
            "See: bokehdepth weights list."
        )
    own = match_names(own, network)
    load_strictly(network, own, name, device=device, dtype=_precision(dtype))
    return network


def settled_range(
    path: str | Path, state: StateDict, max_depth: float | None = None
) -> float | None:
    """Return the range of a file's network, m: as given, or as the file tells; None without one.

    Args:
        path: of the file.
        state: its tensors.
        max_depth: what the user says, m.

    Raises:
        CheckpointError: Depth Anything of version 1, or a metric one that does not tell its range.
    """
    if not depth_anything.is_depth_anything(state):
        return max_depth
    name = Path(path).name
    _check_version(path, name)
    if max_depth is None:
        max_depth = known_max_depth(path)
    if max_depth is None and "metric" in _names(path) and not depth_anything.has_dsfa(state):
        raise CheckpointError(
            f"{name}: a metric network by its name, and nothing tells its range. Convert it: "
            "bokehdepth weights convert --max-depth 20 (indoor) or 80 (outdoor)."
        )
    return max_depth


def known_max_depth(path: str | Path) -> float | None:
    """Return the range of a metric Depth Anything file, m, where something tells it.

    Raises:
        CheckpointError: unreadable metadata or config.json.
    """
    written = read_metadata(path).get(MAX_DEPTH_KEY)
    if written is not None:
        return _reach(written, f"{Path(path).name}: {MAX_DEPTH_KEY}")
    config = _config_of(path)
    if config.get("depth_estimation_type") == "metric":
        return _reach(config.get("max_depth") or 1, "config.json: max_depth")
    names = _names(path)
    return next((reach for part, reach in PUBLISHED_RANGES.items() if part in names), None)


def known_attention_scale(path: str | Path) -> str | None:
    """Return the attention scale that a converted file names; None where it names none.

    Raises:
        CheckpointError: unreadable metadata, or an unknown scale.
    """
    written = read_metadata(path).get(ATTENTION_SCALE_KEY)
    if written is not None and written not in ATTENTION_SCALES:
        known = ", ".join(ATTENTION_SCALES)
        raise CheckpointError(
            f"{Path(path).name}: {ATTENTION_SCALE_KEY}: expected {known}, found '{written}'."
        )
    return written


def _reach(written: object, what: str) -> float:
    try:
        return check_number(written, what, above=0.0, hint="Give it as --max-depth.")
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def _names(path: str | Path) -> str:
    """Return what a checkpoint is called: its file, and the model folder it lies in."""
    path, file = Path(path), weight_file(path)
    folder = file.parent.name if file.name in FOLDER_FILES else ""
    return f"{folder} {path.name} {file.name}".lower().replace("-", "_")


def _config_of(path: str | Path) -> dict[str, object]:
    """Return config.json of a model folder, also where its weight file is what was given."""
    return read_config(path) if weight_file(path).name in FOLDER_FILES else {}


def _check_version(path: str | Path, name: str) -> None:
    """Check that a Depth Anything is of version 2; version 1 has the same keys."""
    backbone = _config_of(path).get("backbone_config")
    given = backbone.get("out_indices") if isinstance(backbone, dict) else None
    known = [[block + 1 for block in blocks] for blocks in STAGES_AFTER.values()]
    if (given and list(given) not in known) or re.search(
        r"depth_anything_vit[sbl]14", _names(path)
    ):
        raise CheckpointError(
            f"{name}: Depth Anything of version 1, which takes other blocks of its encoder. Get "
            "version 2."
        )


def _precision(dtype: torch.dtype) -> Callable[[str], torch.dtype]:
    def of(key: str) -> torch.dtype:
        return dtype if key.startswith(_HALF_KEYS) else torch.float32

    return of
