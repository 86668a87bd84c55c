"""The names under which training tools save a bokeh adapter, and what its file says of `alpha`.

A low-rank pair is `down`/`up`, `lora_A`/`lora_B` (PEFT) or `lora_down`/`lora_up` (kohya, ComfyUI).
An `alpha` may stand beside a pair, a layer, or once for the file; the pair is then scaled by
alpha / rank.
"""

import re
from typing import Any

from torch import Tensor

from ..weights.errors import CheckpointError, listed
from ..weights.reading import StateDict

_HOST = (
    r"(?:(?:base_model[._]model|diffusion_model|lora_unet|lora_transformer|transformer|unet)[._])*"
)
_LAYER = _HOST + r"(?:adapter_modules[._])?(?P<layer>\d{1,4})"
_ALPHA = r"(?:lora_|network_)?alpha"
_PAIR = re.compile(
    _LAYER + r"[._](?P<part>to_v_dof|to_q_adp|to_k_adp|to_k_dof)\.(?:lora\.)?"
    r"(?P<side>down|up|lora_down|lora_up|lora_[ABab])(?:\.default)?\.weight"
)
_PAIR_ALPHA = re.compile(_LAYER + rf"[._](?P<part>to_[vqk]_(?:dof|adp))\.{_ALPHA}")
_LAYER_ALPHA = re.compile(_LAYER + rf"\.{_ALPHA}")
_FILE_ALPHA = re.compile(rf"(?:adapter_modules\.)?{_ALPHA}")
_EMBEDDING = re.compile(_HOST + r"embedding_layer[._]([02])\.(weight|bias)")
# The key of the only context token is left out: a softmax over one key ignores it.
_PARTS = {"to_v_dof": "value", "to_q_adp": "query", "to_k_adp": "key", "to_k_dof": None}
_SIDES = {"down": "down", "up": "up", "a": "down", "b": "up"}


def own_names(state: StateDict, name: str) -> tuple[StateDict, dict[str, float]]:
    """Return an adapter's tensors by our names, and the alphas of its file.

    Args:
        state: tensors by the file's names.
        name: the file's, for messages.

    Returns:
        Tensors as `embedding.0.weight` and `<layer>.<value|query|key>.<down|up>`; and alphas as
        `<layer>.<part>`, `<layer>` or "" for the whole file.

    Raises:
        CheckpointError: keys that no adapter has, two for one weight, or an unusable alpha.

    Example:
        >>> import torch
        >>> pair = {"0.to_q_adp.lora_A.weight": torch.ones(1, 2), "alpha": torch.ones(())}
        >>> own_names(pair, "file")
        ({'0.query.down': tensor([[1., 1.]])}, {'': 1.0})
    """
    parts: StateDict = {}
    alphas: dict[str, float] = {}
    unexpected = []
    for key, value in state.items():
        place, new = _place(key)
        if place is None:
            unexpected.append(key)
        elif new is not None:
            into: dict[str, Any] = parts if place == "weight" else alphas
            if new in into:
                raise CheckpointError(f"{name}: two keys mean '{new}', one is '{key}'.")
            into[new] = value if place == "weight" else _number(value, key, name)
    if unexpected:
        raise CheckpointError(f"{name}: {len(unexpected)} unexpected keys: {listed(unexpected)}.")
    return parts, alphas


def _place(key: str) -> tuple[str | None, str | None]:
    """Return "weight" or "alpha" and our name; no name for what is left out on purpose."""
    if match := _PAIR.fullmatch(key):
        part = _PARTS[match["part"]]
        side = _SIDES[match["side"].lower().removeprefix("lora_")]
        return "weight", part and f"{int(match['layer'])}.{part}.{side}"
    if match := _EMBEDDING.fullmatch(key):
        return "weight", f"embedding.{match[1]}.{match[2]}"
    if match := _PAIR_ALPHA.fullmatch(key):
        part = _PARTS.get(match["part"])
        return "alpha", part and f"{int(match['layer'])}.{part}"
    if match := _LAYER_ALPHA.fullmatch(key):
        return "alpha", str(int(match["layer"]))
    return ("alpha", "") if _FILE_ALPHA.fullmatch(key) else (None, None)


def _number(value: Tensor, key: str, name: str) -> float:
    alpha = float(value.float()) if value.numel() == 1 and not value.is_complex() else 0.0
    if not 0 < alpha < float("inf"):
        raise CheckpointError(f"{name}: '{key}' expected one number above 0.")
    return alpha


def pair_alphas(alphas: dict[str, float], pairs: list[str], name: str) -> dict[str, float] | None:
    """Return the alpha of each pair: its own, else its layer's, else the file's; None without any.

    Args:
        alphas: as from `own_names`.
        pairs: names such as "3.query".
        name: the file's, for messages.

    Raises:
        CheckpointError: some pairs have an alpha and others none.
    """
    if not alphas:
        return None
    shared = alphas.get("")
    found = {pair: alphas.get(pair, alphas.get(pair.split(".")[0], shared)) for pair in pairs}
    lacking = [pair for pair, alpha in found.items() if alpha is None]
    if lacking:
        raise CheckpointError(
            f"{name}: alpha stands beside {len(pairs) - len(lacking)} of {len(pairs)} pairs, not "
            f"beside {listed(lacking)}. Give alpha."
        )
    return {pair: alpha for pair, alpha in found.items() if alpha is not None}
