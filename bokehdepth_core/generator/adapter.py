"""The bokeh adapter as plain tensors: what each attention layer of FLUX gains at a strength K.

For layer i, with s = alpha / rank (arXiv 2512.12425, stage 1):

    e(K)   = W2 relu(W1 clamp(K, 1, 30)/30 + b1) + b2
    v_i(K) = s B_v A_v e(K)            added to every token before the output projection
    q      = q + s B_q A_q q           on the projected query of the image stream; k alike

The queries' part is linear in the projection's output, so it folds into the projection itself:
(I + sBA)(Wx + b). The published form of v_i(K) is an attention to one context token; its softmax
over one key is 1 whatever the query and that key are.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import check_number, check_strengths
from ..weights.errors import CheckpointError, listed
from ..weights.reading import StateDict, read_metadata, read_state_dict, weight_file
from ..weights.scaled import unscaled
from .adapter_names import own_names, pair_alphas
from .flux.architectures import KONTEXT, Base, stated_base
from .folding import fold, folded

__all__ = [
    "MAX_STRENGTH",
    "MIN_STRENGTH",
    "BokehAdapter",
    "LayerUpdate",
    "adapter_from_state_dict",
    "fold",
    "folded",
    "is_adapter",
    "load_adapter",
]

MIN_STRENGTH, MAX_STRENGTH = 1.0, 30.0  # px·m, the range of the training data

RELEASED_RANK = 128
ALPHA_KEY, LORA_SCALE_KEY, QUERY_ONLY_KEY = "alpha", "lora_scale", "query_only"  # metadata
BASE_KEY = "base"
_LOG = logging.getLogger(__name__)

_EMBEDDING = ("0.weight", "0.bias", "2.weight", "2.bias")


@dataclass(frozen=True, eq=False)
class LayerUpdate:
    """The weights of one attention layer.

    Attributes:
        value_down: [r,C], A_v.
        value_up: [H,r], B_v.
        down: [2,r,H], A of query and key.
        up: [2,H,r], B of query and key, without the factor s.
    """

    value_down: Tensor
    value_up: Tensor
    down: Tensor
    up: Tensor


@dataclass(frozen=True, eq=False)
class BokehAdapter:
    """A bokeh adapter.

    Attributes:
        embedding: W1 [E,1], b1 [E], W2 [C,E], b2 [C] of the strength embedding.
        layers: one for each attention layer, doubles first, then singles.
        scale: s = alpha / rank.
        lora_scale: further factor of the queries' and keys' updates that it was trained with.
        query_only: True where the keys have no update; theirs are zeros then.
        given_alpha: alpha as an option or the metadata gave it; None where the tensors tell it.
        base: the transformer that it was trained on.
    """

    embedding: tuple[Tensor, ...]
    layers: tuple[LayerUpdate, ...]
    scale: float = 1.0
    lora_scale: float = 1.0
    query_only: bool = False
    given_alpha: float | None = None
    base: Base = KONTEXT

    @property
    def hidden_size(self) -> int:
        """Width of the attention layers that the adapter fits, 3072 in the release."""
        return self.layers[0].value_up.shape[0]

    @property
    def layer_count(self) -> int:
        """Attention layers that the adapter fits, 57 in the release."""
        return len(self.layers)

    @property
    def rank(self) -> int:
        """Rank of the updates, 128 in the release."""
        return self.layers[0].value_down.shape[0]

    def embed(self, strengths: Sequence[float]) -> Tensor:
        """Return e(K) of each strength, [n,C], float32.

        Args:
            strengths: bokeh strengths K, px·m; the nearer end stands for those outside 1…30.
        """
        values = torch.tensor(check_strengths(strengths), dtype=torch.float32)
        norm = values.clamp(MIN_STRENGTH, MAX_STRENGTH)[:, None] / MAX_STRENGTH
        w1, b1, w2, b2 = (part.float() for part in self.embedding)
        return F.linear(F.linear(norm, w1, b1).relu(), w2, b2)

    def strength_vectors(self, strengths: Sequence[float], bokeh_scale: float = 1.0) -> Tensor:
        """Return bokeh_scale · v_i(K) for each strength and layer, [n,layers,H], float32.

        Args:
            strengths: bokeh strengths K, px·m.
            bokeh_scale: scales the strength signal, 1 as trained.
        """
        embedded = self.embed(strengths)
        vectors = [
            F.linear(F.linear(embedded, layer.value_down.float()), layer.value_up.float())
            for layer in self.layers
        ]
        return bokeh_scale * self.scale * torch.stack(vectors, dim=1)

    def query_key_pairs(self, lora_scale: float = 1.0) -> dict[int, tuple[Tensor, Tensor]]:
        """Return the low-rank updates of query and key by layer: A [2,r,H] and s·B [2,H,r].

        Args:
            lora_scale: scales the updates, 1 as trained.
        """
        factor = lora_scale * self.lora_scale * self.scale
        return {i: (layer.down, layer.up * factor) for i, layer in enumerate(self.layers)}


def load_adapter(
    path: str | Path,
    alpha: float | None = None,
    *,
    lora_scale: float | None = None,
    query_only: bool | None = None,
    base: str | None = None,
) -> BokehAdapter:
    """Return the bokeh adapter in a file; rank and sizes are read from the shapes.

    An option that is None is taken from the metadata of a converted file, then from the tensors,
    then as released.

    Args:
        path: .safetensors, .bin, .pt or .pth, or a folder with such a file.
        alpha: of the low-rank updates, which are scaled by alpha / rank; None takes the alphas
            that stand in the file, else the rank, as released.
        lora_scale: factor of the queries' and keys' updates that the adapter was trained with; 1
            as released.
        query_only: True leaves the keys as they are; False asks for updates of both; None does as
            the file has them.
        base: name of the transformer that it was trained on, as in `flux.architectures`; None
            takes the one that the file states, else FLUX.1-Kontext.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: another kind of file, missing or unexpected keys, sizes that do not fit.
        ValueError: an unusable option.
    """
    name, stored = weight_file(path).name, read_metadata(path)
    if alpha is None:
        alpha = _stored_number(stored, ALPHA_KEY, name, above=0.0)
    if lora_scale is None:
        lora_scale = _stored_number(stored, LORA_SCALE_KEY, name)
    if query_only is None and QUERY_ONLY_KEY in stored:
        query_only = _stored_flag(stored[QUERY_ONLY_KEY], name)
    options: dict[str, Any] = {"lora_scale": lora_scale, "query_only": query_only}
    base = stored.get(BASE_KEY) if base is None else base
    return adapter_from_state_dict(read_state_dict(path), name, alpha, **options, base=base)


def adapter_from_state_dict(
    state: StateDict,
    name: str = "adapter",
    alpha: float | None = None,
    *,
    lora_scale: float | None = None,
    query_only: bool | None = None,
    base: str | None = None,
) -> BokehAdapter:
    """Return the bokeh adapter in a state dict, under any of the names in `adapter_names`.

    Args:
        state: tensors by published name.
        name: the file's, for messages.
        alpha: as in `load_adapter`.
        lora_scale: as in `load_adapter`.
        query_only: as in `load_adapter`.
        base: as in `load_adapter`.

    Raises:
        CheckpointError: missing or unexpected keys, sizes that do not fit.
        ValueError: an unusable option.
    """
    if not is_adapter(state):
        raise CheckpointError(
            f"{name}: not a bokeh adapter; {len(state)} keys, first {listed(list(state)[:1])}. "
            "See: bokehdepth weights list."
        )
    found, alphas = own_names(unscaled(state, name), name)
    parts = {key: _usable(value, key, name) for key, value in found.items()}
    count = 1 + max(int(key.split(".")[0]) for key in parts if key[0].isdigit())
    updated = _updated(parts, query_only)
    _check_complete(parts, count, updated, name)
    rank, context = _rank(parts, name)
    _check_shapes(parts, count, updated, rank, context, name)
    scale = _apply_alpha(parts, alphas, alpha, rank, name)
    embedding = tuple(parts[f"embedding.{part}"] for part in _EMBEDDING)
    layers = tuple(_layer(parts, index) for index in range(count))
    lora_scale = 1.0 if lora_scale is None else check_number(lora_scale, "lora_scale")
    only = "key" not in updated
    made_for = stated_base(base, count, layers[0].value_up.shape[0], name)
    return BokehAdapter(embedding, layers, scale, lora_scale, only, alpha, made_for)


def is_adapter(state: Mapping[str, Tensor]) -> bool:
    """Tell whether tensors are a bokeh adapter.

    Example:
        >>> is_adapter({"adapter_modules.0.to_v_dof.down.weight": torch.ones(1, 1)})
        True
    """
    return any(re.search(r"(^|[._])\d+[._]to_v_dof\.", key) for key in state)


def _stored_number(
    stored: Mapping[str, str], key: str, name: str, above: float | None = None
) -> float | None:
    if key not in stored:
        return None
    text: Any = stored[key]
    try:
        return check_number(text, f"{name}: {key}", above=above, hint=f"Give {key}.")
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def _stored_flag(text: str, name: str) -> bool:
    if text not in ("true", "false"):
        raise CheckpointError(
            f"{name}: {QUERY_ONLY_KEY}: expected true or false, found {text[:40]!r}. "
            f"Give {QUERY_ONLY_KEY}."
        )
    return text == "true"


def _updated(parts: StateDict, query_only: bool | None) -> tuple[str, ...]:
    """Return which of value, query and key have low-rank pairs; drops keys that are not wanted."""
    has_keys = any(".key." in key for key in parts)
    if query_only and has_keys:
        for key in [key for key in parts if ".key." in key]:
            del parts[key]
    only = not has_keys if query_only is None else query_only
    return ("value", "query") if only else ("value", "query", "key")


def _apply_alpha(
    parts: StateDict, alphas: dict[str, float], alpha: float | None, rank: int, name: str
) -> float:
    """Return s = alpha / rank of all pairs; where they differ, scale each pair and return 1."""
    if alpha is not None:
        return check_number(alpha, "alpha", above=0) / rank
    pairs = [key.removesuffix(".up") for key in parts if key.endswith(".up")]
    own = pair_alphas(alphas, pairs, name)
    if own is None:
        if rank != RELEASED_RANK:
            _LOG.info(
                "%s: rank %d, and nothing tells alpha: taken as the rank. Give alpha if it was "
                "trained with another.",
                name,
                rank,
            )
        return 1.0
    if len(set(own.values())) == 1:
        return next(iter(own.values())) / rank
    for pair, value in own.items():
        parts[f"{pair}.up"] = parts[f"{pair}.up"].float() * (value / rank)
    return 1.0


def _usable(value: Tensor, key: str, name: str) -> Tensor:
    """Return a tensor of its own, off the file, in a type that can be multiplied."""
    if not value.is_floating_point():
        raise CheckpointError(
            f"{name}: {key} holds {value.dtype}, expected floating point. Get a file that is not "
            "quantised."
        )
    value = value.float() if value.element_size() < 2 else value.clone()
    if not value.isfinite().all():
        raise CheckpointError(f"{name}: {key} holds NaN or infinity. Load or convert it again.")
    return value


def _layer(parts: StateDict, index: int) -> LayerUpdate:
    """Return a layer's weights; a key without update has one of zeros."""

    def both(side: str) -> Tensor:
        query = parts[f"{index}.query.{side}"]
        return torch.stack([query, parts.get(f"{index}.key.{side}", torch.zeros_like(query))])

    value_down, value_up = parts[f"{index}.value.down"], parts[f"{index}.value.up"]
    return LayerUpdate(value_down, value_up, both("down"), both("up"))


def _check_complete(parts: StateDict, count: int, updated: tuple[str, ...], name: str) -> None:
    present = {key.split(".")[0] for key in parts}
    absent = [str(index) for index in range(count) if str(index) not in present]
    if absent:
        raise CheckpointError(
            f"{name}: {len(absent)} of {count} layers have no weights, first {absent[0]}. Adapters "
            "of some layers alone are not supported; train one of all, or get the file again."
        )
    wanted = [f"embedding.{part}" for part in _EMBEDDING]
    wanted += [
        f"{index}.{of}.{side}"
        for index in range(count)
        for of in updated
        for side in ("down", "up")
    ]
    missing = [key for key in wanted if key not in parts]
    if missing:
        raise CheckpointError(
            f"{name}: {len(missing)} missing weights: {listed(missing)}. Get the file again."
        )


def _rank(parts: StateDict, name: str) -> tuple[int, int]:
    """Return the rank and the channels of the strength embedding, from the first pair's shape."""
    shape = parts["0.value.down"].shape
    matrices = ("0.value.up", "embedding.0.weight")
    if len(shape) != 2 or 0 in shape or any(parts[key].ndim != 2 for key in matrices):
        raise CheckpointError(f"{name}: '0.value.down' expected [rank,C], found {list(shape)}.")
    return shape[0], shape[1]


def _check_shapes(
    parts: StateDict, count: int, updated: tuple[str, ...], rank: int, context: int, name: str
) -> None:
    hidden = parts["0.value.up"].shape[0]
    middle = parts["embedding.0.weight"].shape[0]
    wanted: dict[str, tuple[int, ...]] = {
        "embedding.0.weight": (middle, 1),
        "embedding.0.bias": (middle,),
        "embedding.2.weight": (context, middle),
        "embedding.2.bias": (context,),
    }
    for index in range(count):
        for of in updated:
            wanted[f"{index}.{of}.down"] = (rank, context if of == "value" else hidden)
            wanted[f"{index}.{of}.up"] = (hidden, rank)
    for key, shape in wanted.items():
        if parts[key].shape != shape:
            found = list(parts[key].shape)
            raise CheckpointError(f"{name}: '{key}' expected {list(shape)}, found {found}.")
