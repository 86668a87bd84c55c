"""Finding the weights inside a training file: plain, under `model`, or averaged (EMA)."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from .errors import CheckpointError, listed

_WEIGHT_KEYS = ("model", "state_dict", "model_state_dict")
_EMA_KEYS = ("ema", "ema_state_dict", "model_ema")
_AVERAGE_KEYS = ("shadow_params", "average_params", "state_dict", "module", "model")


def unwrap(found: object, name: str) -> Mapping[str, object]:
    """Return the state dict inside a training file; averaged (EMA) weights win.

    Args:
        found: what the file held: a state dict, or a mapping with it under `model` or
            `state_dict` and averages under `ema`, by name or as a list in parameter order.
        name: the file's, for messages.

    Raises:
        CheckpointError: neither a state dict nor a mapping with one.
    """
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{name}: expected named weights, found {type(found).__name__}.")
    wrapped = [found[key] for key in _WEIGHT_KEYS if isinstance(found.get(key), Mapping)]
    weights = wrapped[0] if wrapped else found
    averages = [
        found[key] for key in _EMA_KEYS if isinstance(found.get(key), Mapping | list | tuple)
    ]
    averages = [one for one in averages if one]
    if not averages:
        return weights
    average = averages[0]
    if isinstance(average, Mapping):
        inner = [average[key] for key in _AVERAGE_KEYS if key in average]
        average = inner[0] if inner else average
    if not wrapped:
        weights = {}
    return _averaged(weights, average, name)


def _averaged(weights: Mapping[str, object], average: object, name: str) -> Mapping[str, object]:
    """Return weights with the averaged ones in their place, matched by name or by order."""
    if isinstance(average, Mapping):
        plain = {without_wrappers(key): value for key, value in weights.items()}
        # Beside the weights stand numbers such as the decay.
        named = {without_wrappers(str(k)): v for k, v in average.items() if isinstance(v, Tensor)}
        unknown = [key for key in named if plain and key not in plain]
        if unknown:
            raise CheckpointError(
                f"{name}: averaged weights have keys that the model lacks: {listed(unknown)}."
            )
        return {**plain, **named}
    values = list(average) if isinstance(average, Sequence) else []
    if len(values) != len(weights):
        raise CheckpointError(
            f"{name}: {len(values)} averaged weights for {len(weights)} keys. Without names they "
            "cannot be matched; save them by name."
        )
    for (key, weight), value in zip(weights.items(), values, strict=True):
        if getattr(weight, "shape", None) != getattr(value, "shape", None):
            raise CheckpointError(f"{name}: averaged weights are in another order at '{key}'.")
    return dict(zip(weights, values, strict=True))


def without_wrappers(key: str) -> str:
    """Return a tensor's name without what training wrappers put before it."""
    # DistributedDataParallel's prefix, and torch.compile's, in either order.
    return re.sub(r"(^|\.)(?:(?:module|_orig_mod)\.)+", r"\1", key)
