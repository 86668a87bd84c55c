"""The bokeh adapter as plain tensors: what each attention layer of FLUX gains at a strength K.

For layer i, with s = alpha / rank (arXiv 2512.12425, stage 1):

    e(K)   = W2 relu(W1 clamp(K, 1, 30)/30 + b1) + b2
    v_i(K) = s B_v A_v e(K)            added to every token before the output projection
    q      = q + s B_q A_q q           on the projected query of the image stream; k alike

The queries' part is linear in the projection's output, so it folds into the projection itself:
(I + sBA)(Wx + b). The published form of v_i(K) is an attention to one context token; its softmax
over one key is 1 whatever the query and that key are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import check_number, check_strengths
from ..weights.errors import CheckpointError, listed
from ..weights.reading import StateDict, read_state_dict, weight_file
from ..weights.strict import rename

MIN_STRENGTH, MAX_STRENGTH = 1.0, 30.0  # px·m, the range of the training data

_KEYS = {
    r"embedding_layer\.([02])\.(weight|bias)": r"embedding.\1.\2",
    r"(?:adapter_modules\.)?(\d{1,4})\.to_v_dof\.(down|up)\.weight": r"\1.value.\2",
    r"(?:adapter_modules\.)?(\d{1,4})\.to_q_adp\.(down|up)\.weight": r"\1.query.\2",
    r"(?:adapter_modules\.)?(\d{1,4})\.to_k_adp\.(down|up)\.weight": r"\1.key.\2",
    # The key of the only context token: a softmax over one key ignores it.
    r"(?:adapter_modules\.)?(\d{1,4})\.to_k_dof\.(down|up)\.weight": None,
}
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
    """

    embedding: tuple[Tensor, ...]
    layers: tuple[LayerUpdate, ...]
    scale: float = 1.0

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
        factor = lora_scale * self.scale
        return {i: (layer.down, layer.up * factor) for i, layer in enumerate(self.layers)}


def load_adapter(path: str | Path, alpha: float | None = None) -> BokehAdapter:
    """Return the bokeh adapter in a file; rank and sizes are read from the shapes.

    Args:
        path: .safetensors, .bin, .pt or .pth, or a folder with such a file.
        alpha: of the low-rank updates. It is not in the file; None takes the rank, as released.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: another kind of file, missing or unexpected keys, sizes that do not fit.
    """
    state = read_state_dict(path)
    return adapter_from_state_dict(state, weight_file(path).name, alpha)


def adapter_from_state_dict(
    state: StateDict, name: str = "adapter", alpha: float | None = None
) -> BokehAdapter:
    """Return the bokeh adapter in a state dict with keys `adapter_modules.<i>.…` or `<i>.…`.

    Args:
        state: tensors by published name.
        name: the file's, for messages.
        alpha: as in `load_adapter`.

    Raises:
        CheckpointError: missing or unexpected keys, sizes that do not fit.
    """
    if not any(re.search(r"(^|\.)\d+\.to_v_dof\.", key) for key in state):
        raise CheckpointError(
            f"{name}: not a bokeh adapter; {len(state)} keys, first {listed(list(state)[:1])}. "
            "See: bokehdepth weights list."
        )
    parts = {key: _usable(value, key, name) for key, value in rename(state, _KEYS, name).items()}
    count = 1 + max(int(key.split(".")[0]) for key in parts if key[0].isdigit())
    _check_complete(parts, count, name)
    rank, context = parts["0.value.down"].shape
    _check_shapes(parts, count, rank, context, name)
    embedding = tuple(parts[f"embedding.{part}"] for part in _EMBEDDING)
    layers = tuple(_layer(parts, index) for index in range(count))
    alpha = rank if alpha is None else check_number(alpha, "alpha", above=0)
    return BokehAdapter(embedding, layers, alpha / rank)


def _usable(value: Tensor, key: str, name: str) -> Tensor:
    """Return a tensor of its own, off the file, in a type that can be multiplied."""
    value = value.float() if value.element_size() < 2 else value.clone()
    if not value.isfinite().all():
        raise CheckpointError(f"{name}: {key} holds NaN or infinity. Load or convert it again.")
    return value


def _layer(parts: StateDict, index: int) -> LayerUpdate:
    down, up = (
        torch.stack([parts[f"{index}.{of}.{side}"] for of in ("query", "key")])
        for side in ("down", "up")
    )
    return LayerUpdate(parts[f"{index}.value.down"], parts[f"{index}.value.up"], down, up)


def _check_complete(parts: StateDict, count: int, name: str) -> None:
    wanted = [f"embedding.{part}" for part in _EMBEDDING]
    wanted += [
        f"{index}.{of}.{side}"
        for index in range(count)
        for of in ("value", "query", "key")
        for side in ("down", "up")
    ]
    missing = [key for key in wanted if key not in parts]
    if missing:
        raise CheckpointError(
            f"{name}: {len(missing)} missing weights: {listed(missing)}. Get the file again."
        )


def _check_shapes(parts: StateDict, count: int, rank: int, context: int, name: str) -> None:
    hidden = parts["0.value.up"].shape[0]
    middle = parts["embedding.0.weight"].shape[0]
    wanted = {
        "embedding.0.weight": (middle, 1),
        "embedding.0.bias": (middle,),
        "embedding.2.weight": (context, middle),
        "embedding.2.bias": (context,),
    }
    for index in range(count):
        for of, size in (("value", context), ("query", hidden), ("key", hidden)):
            wanted[f"{index}.{of}.down"] = (rank, size)
            wanted[f"{index}.{of}.up"] = (hidden, rank)
    for key, shape in wanted.items():
        if parts[key].shape != shape:
            found = list(parts[key].shape)
            raise CheckpointError(f"{name}: '{key}' expected {list(shape)}, found {found}.")


# --- names of the base model ---------------------------------------------------------------------


def diffusers_attention_names(doubles: int, singles: int) -> list[str]:
    """Return the attention layers of diffusers' FLUX in the adapter's order."""
    return [f"transformer_blocks.{i}.attn" for i in range(doubles)] + [
        f"single_transformer_blocks.{i}.attn" for i in range(singles)
    ]


def fused_projection_names(doubles: int, singles: int) -> list[str]:
    """Return the layers of ComfyUI's FLUX that make queries and keys, in the adapter's order.

    Their first 2H output rows are query and key: `img_attn.qkv` holds q, k and v; `linear1` holds
    q, k, v and the MLP.
    """
    return [f"double_blocks.{i}.img_attn.qkv" for i in range(doubles)] + [
        f"single_blocks.{i}.linear1" for i in range(singles)
    ]


def fused_output_names(doubles: int, singles: int) -> list[tuple[str, ...]]:
    """Return the output projections of ComfyUI's FLUX, of each attention layer in that order.

    Those of a double block are of the image and the text stream; a single block's one takes the
    attention in its first H input columns, and the MLP after them.
    """
    return [
        (f"double_blocks.{i}.img_attn.proj", f"double_blocks.{i}.txt_attn.proj")
        for i in range(doubles)
    ] + [(f"single_blocks.{i}.linear2",) for i in range(singles)]


# --- folding -------------------------------------------------------------------------------------


def fold(weight: Tensor, down: Tensor, up: Tensor, scale: float = 1.0) -> Tensor:
    """Return (I + scale·BA) W, or (I + scale·BA) b: a projection with its update inside.

    Computed in float32 at least and rounded once to the weight's own type.

    Args:
        weight: [H,in] weight or [H] bias.
        down: [r,H], A.
        up: [H,r], B.
        scale: alpha / rank, times any further scale.
    """
    kind = torch.promote_types(weight.dtype, torch.float32)
    exact, a, b = (part.to(weight.device, kind) for part in (weight, down, up))
    return (exact + scale * (b @ (a @ exact))).to(weight.dtype)


def fold_fused(weight: Tensor, down: Tensor, up: Tensor, scale: float = 1.0) -> Tensor:
    """Return a fused projection whose first 2H rows, query and key, have their updates inside.

    Args:
        weight: [>=2H,in] weight or [>=2H] bias of `qkv` or `linear1`.
        down: [2,r,H], A of query and key.
        up: [2,H,r], B of query and key.
        scale: as in `fold`.
    """
    hidden = down.shape[2]
    query, key = weight[:hidden], weight[hidden : 2 * hidden]
    parts = [fold(query, down[0], up[0], scale), fold(key, down[1], up[1], scale)]
    return torch.cat([*parts, weight[2 * hidden :]])


@contextmanager
def folded(
    projections: Mapping[int, tuple[nn.Linear, nn.Linear]], pairs: Mapping[int, tuple]
) -> Iterator[None]:
    """Hold updates inside query and key projections for as long as the block runs.

    The weights come back bit for bit, also after an error in the block or in the folding itself:
    the originals are kept, in main memory where the projections lie on another device.

    Args:
        projections: (to_q, to_k) by layer number.
        pairs: as from `BokehAdapter.query_key_pairs`.

    Raises:
        TypeError: weights that are not floating point of at least 16 bits.
    """
    with ExitStack() as restored:  # each is put back, whatever happens to the others
        for index, layers in projections.items():
            down, up = pairs[index]
            for which, linear in enumerate(layers):
                for parameter in linear.parameters():
                    _check_foldable(parameter)
                    update = fold(parameter.data, down[which], up[which])
                    restored.callback(_restore, parameter, parameter.data.to("cpu"))
                    parameter.data = update
        yield


def _restore(parameter: nn.Parameter, original: Tensor) -> None:
    if parameter.device == original.device:
        parameter.data = original
    else:
        parameter.data.copy_(original)  # takes no memory on the device


def _check_foldable(weight: Tensor) -> None:
    if not weight.is_floating_point() or weight.element_size() < 2:
        raise TypeError(
            f"base_model: weights are {weight.dtype}, expected bfloat16, float16 or float32. "
            "Use quantised files through ComfyUI's own loaders."
        )
