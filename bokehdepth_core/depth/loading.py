"""From a checkpoint file to a depth network: recognised by keys, sized by shapes, strict."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from ..checks import check_number
from ..weights.errors import CheckpointError
from ..weights.reading import FOLDER_FILES, StateDict, read_config, read_state_dict, weight_file
from ..weights.scaled import unscaled
from ..weights.strict import build_on_meta, load_strictly
from .networks import depth_anything, small, unidepth
from .networks.depth_anything import DepthAnything
from .networks.dinov2 import STAGES_AFTER, check_heads, match_names
from .networks.dsfa import ALIBI, HEADS
from .networks.options import PUBLISHED, NetworkOptions, stored_options
from .networks.small import SmallDepth
from .networks.unidepth import UniDepth

KIND_KEY = "network"  # in the metadata of converted files
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
    options: NetworkOptions = PUBLISHED,
) -> DepthAnything | UniDepth | SmallDepth:
    """Return the network of a checkpoint; see `load_depth_estimator`.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: a file that is no depth network, or a damaged one.
    """
    state = read_state_dict(path)
    settled = settled_options(path, state, options)
    return network_from(state, Path(path).name, device, dtype, **vars(settled))


def network_from(
    state: StateDict,
    name: str,
    device: str | torch.device,
    dtype: torch.dtype,
    attention_scale: str | None = None,
    max_depth: float | None = None,
    alibi: float | None = None,
    heads: int | None = None,
    stages: tuple[int, ...] | None = None,
    k_scale: float | None = None,
) -> DepthAnything | UniDepth | SmallDepth:
    """Return the network that tensors of any published layout hold.

    Args:
        state: as from `read_state_dict`.
        name: the file's, for messages.
        device: where the weights go; "meta" only checks them.
        dtype: of encoder and DSFA; neck and heads are float32.
        attention_scale: see `DepthAnything`; None is as trained.
        max_depth: of a metric Depth Anything, m; None for a relative one.
        alibi: of DSFA; None as published.
        heads: of DSFA; None as published.
        stages: four encoder blocks, counted from 1; None as published.
        k_scale: of DSFA; None as published, 1.

    Raises:
        CheckpointError: tensors of no known network, missing or unexpected ones.
        ValueError: an option that no network can have.
    """
    chosen = NetworkOptions(attention_scale, max_depth, alibi, heads, stages, k_scale)
    state = unscaled(state, name)
    bias, heads = ALIBI if chosen.alibi is None else chosen.alibi, chosen.heads or HEADS
    factor = chosen.k_scale or 1.0
    network: DepthAnything | UniDepth | SmallDepth
    if unidepth.is_unidepth(state):
        own = unidepth.to_own_names(state, name)
        sizes = unidepth.read_shape(own, name, chosen.stages)
        if sizes.fused:
            check_heads(sizes.encoder.width, heads, name)
        network = build_on_meta(lambda: UniDepth(sizes, bias, heads, factor))
    elif depth_anything.is_depth_anything(state):
        own = depth_anything.to_own_names(state, name)
        shape = depth_anything.read_shape(own, name, chosen.max_depth, chosen.stages)
        if shape.fused:
            check_heads(shape.encoder.width, heads, name)
        scale = attention_scale or "trained"
        network = build_on_meta(lambda: DepthAnything(shape, scale, bias, heads, factor))
    elif small.is_small(state):
        own, few = state, small.read_shape(state, name)
        check_heads(few.width, heads, name)
        network = build_on_meta(lambda: SmallDepth(few, bias, heads, factor))
    else:
        raise CheckpointError(
            f"{name}: no known depth checkpoint; {len(state)} keys, first '{next(iter(state))}'. "
            "See: bokehdepth weights list."
        )
    own = match_names(own, network)
    load_strictly(network, own, name, device=device, dtype=_precision(dtype))
    return network


def settled_options(path: str | Path, state: StateDict, given: NetworkOptions) -> NetworkOptions:
    """Return the choices for a file: as given, else as its metadata says; with its range.

    Args:
        path: of the file.
        state: its tensors.
        given: what the user says.

    Raises:
        CheckpointError: unreadable metadata, or see `maximum_depth`.
    """
    settled = given.over(stored_options(path))
    return replace(settled, max_depth=maximum_depth(path, state, settled.max_depth))


def maximum_depth(path: str | Path, state: StateDict, given: float | None = None) -> float | None:
    """Return the range of a file's network, m; None for a relative one, or one without a range.

    The first of these that tells it wins:

    1. `given`: what the user says, else the metadata of a converted file;
    2. config.json of a model folder in the Hugging Face layout, where it says "metric";
    3. the name of the file or its folder, as published (`PUBLISHED_RANGES`);
    4. with DSFA, 80 m, as `depth_anything.read_shape` takes it.

    Args:
        path: of the file.
        state: its tensors.
        given: end of the range, m.

    Raises:
        CheckpointError: Depth Anything of version 1, or a metric one that does not tell its range.
    """
    if not depth_anything.is_depth_anything(state):
        return given
    name = Path(path).name
    _check_version(path, name)
    if given is not None:
        return given
    config = _config_of(path)
    if config.get("depth_estimation_type") == "metric":
        return _reach(config.get("max_depth") or 1, "config.json: max_depth")
    names = _names(path)
    found = next((reach for part, reach in PUBLISHED_RANGES.items() if part in names), None)
    if found is None and "metric" in names and not depth_anything.has_dsfa(state):
        raise CheckpointError(
            f"{name}: a metric network by its name, and nothing tells its range. Convert it: "
            "bokehdepth weights convert --max-depth 20 (indoor) or 80 (outdoor)."
        )
    return found


def _reach(written: object, what: str) -> float:
    try:
        return check_number(written, what, above=0.0, hint="Give it as --max-depth.")  # type: ignore[arg-type]
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
