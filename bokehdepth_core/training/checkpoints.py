"""What a training run leaves on disk: the weights to use, and the state to go on from.

The weights' file is written by what is trained, in the layout that the pack loads, with what no
tensor tells in its metadata. `state.safetensors` holds everything that the next step depends on.
Each is whole or not there: a full disk or a kill leaves the one before.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ..files.atomic import whole_file
from ..weights.errors import CheckpointError
from ..weights.reading import read_metadata, read_state_dict
from .course import Course, differing

STATE = "state.safetensors"
Network = TypeVar("Network", bound=nn.Module)
_RUN_KEY = "bokehdepth.training"
_MOMENTS = ("exp_avg", "exp_avg_sq")
# What may change when a run goes on.
FREE = ("steps",)


@dataclass
class Run(Generic[Network]):
    """A training run at the end of a step.

    Attributes:
        network: with its weights of this step.
        averaged: the averaged (EMA) weights, by the network's names.
        optimizer: AdamW over the network's parameters.
        step: updates done.
        history: a record for each validation.
    """

    network: Network
    averaged: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def new_run(network: Network, optimizer: torch.optim.Optimizer) -> Run[Network]:
    """Return a run before its first step."""
    averaged = {name: value.detach().clone() for name, value in network.state_dict().items()}
    return Run(network, averaged, optimizer)


def save_state(folder: Path, run: Run[Network], settings: Course) -> None:
    """Write the state to go on from, after the weights to use.

    Raises:
        OSError: the folder cannot be written, as on a full disk; what was there before stays.
    """
    tensors = {f"model.{name}": one for name, one in run.network.state_dict().items()}
    tensors |= {f"ema.{name}": one for name, one in run.averaged.items()}
    for name, moments in _moments(run).items():
        tensors |= {f"{kind}.{name}": moments[kind] for kind in _MOMENTS if kind in moments}
    record = {"settings": settings.record(), "step": run.step, "history": run.history}
    write_tensors(folder / STATE, tensors, {"format": "pt", _RUN_KEY: json.dumps(record)})


def load_run(folder: Path, run: Run[Network], settings: Course) -> bool:
    """Bring a run to where its folder was left; return False where there is nothing to go on from.

    Raises:
        ValueError: the folder's run had other settings.
        CheckpointError: a damaged file, or one of another network.
    """
    path = folder / STATE
    if not path.is_file():
        return False
    record = read_record(path)
    other = differing(settings.record(), record["settings"], FREE)
    if other:
        before = record["settings"].get(other[0])
        raise ValueError(
            f"{other[0]}: the run in {folder} has {before!r}, found "
            f"{settings.record()[other[0]]!r}. Give the same, or another --output."
        )
    state = read_state_dict(path)
    _fill(run.network.state_dict(), state, "model", path.name)
    _fill(run.averaged, state, "ema", path.name)
    step = int(record["step"])
    for name, parameter in run.network.named_parameters():
        if f"{_MOMENTS[0]}.{name}" not in state:
            continue
        moments = {kind: torch.empty_like(parameter) for kind in _MOMENTS}
        for kind in _MOMENTS:
            _fill({name: moments[kind]}, state, kind, path.name)
        run.optimizer.state[parameter] = {"step": torch.tensor(float(step)), **moments}
    run.step, run.history = step, list(record["history"])
    return True


def _moments(run: Run[Network]) -> dict[str, dict[str, Any]]:
    named = run.network.named_parameters()
    return {name: run.optimizer.state.get(parameter, {}) for name, parameter in named}


def read_record(path: Path) -> dict[str, Any]:
    """Return `settings`, `step` and `history` of a state, without its tensors.

    Raises:
        CheckpointError: no state of a training run, or a damaged one.
    """
    try:
        record = json.loads(read_metadata(path)[_RUN_KEY])
        fits = isinstance(record["settings"], dict) and isinstance(record["history"], list)
        fits = fits and isinstance(record["step"], int)
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise CheckpointError(f"{path.name}: is no state of a training run. Remove it.")
    found: dict[str, Any] = record
    return found


@torch.no_grad()
def _fill(targets: Mapping[str, Tensor], state: Mapping[str, Tensor], kind: str, file: str) -> None:
    """Copy a state's tensors of one kind into those of a run."""
    for name, target in targets.items():
        found = state.get(f"{kind}.{name}")
        if found is None or found.shape != target.shape:
            shape = None if found is None else list(found.shape)
            raise CheckpointError(
                f"{file}: '{kind}.{name}' expected {list(target.shape)}, found {shape}."
            )
        target.copy_(found)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors, whole or not at all.

    Raises:
        OSError: the file cannot be written, as on a full disk; what was there before stays.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # Copied, since tensors that share memory cannot be written.
    copies = {name: one.detach().cpu().contiguous().clone() for name, one in tensors.items()}
    with whole_file(path) as part:
        try:
            save_file(copies, part, metadata=dict(metadata))
        except SafetensorError as error:
            raise OSError(f"{path}: cannot be written ({error}). Is the disk full?") from error
