"""The adapter's tensors as they are trained: by their published names, in float32.

What they mean is in `generator/adapter.py`. The key of the one context token (`to_k_dof`) is left
out: a softmax over one key ignores it, so that no loss depends on it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...generator.adapter import MAX_STRENGTH, MIN_STRENGTH, BokehAdapter, adapter_from_state_dict

EMBEDDING_WIDTH, CONTEXT = 64, 768  # of the release


@dataclass(frozen=True)
class AdapterShape:
    """Sizes of an adapter.

    Attributes:
        layers: attention layers of the base model.
        hidden: width of them.
        rank: of the low-rank pairs.
        alpha: the pairs are scaled by alpha / rank.
        embedding: width within the strength embedding.
        context: channels that the strength is embedded into.
    """

    layers: int
    hidden: int
    rank: int
    alpha: float
    embedding: int = EMBEDDING_WIDTH
    context: int = CONTEXT


class _LowRank(nn.Module):
    """B A x; zero until it learns."""

    def __init__(self, inputs: int, rank: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the product, [...,outputs], of [...,inputs]."""
        found: Tensor = self.up(self.down(x))
        return found


class _Layer(nn.Module):
    """The three pairs of one attention layer."""

    def __init__(self, shape: AdapterShape) -> None:
        super().__init__()
        self.to_v_dof = _LowRank(shape.context, shape.rank, shape.hidden)
        self.to_q_adp = _LowRank(shape.hidden, shape.rank, shape.hidden)
        self.to_k_adp = _LowRank(shape.hidden, shape.rank, shape.hidden)


class AdapterWeights(nn.Module):
    """An adapter that learns; a new one changes nothing of what the base model says.

    Args:
        shape: sizes.

    Example:
        >>> weights = AdapterWeights(AdapterShape(2, 8, 4, 4.0, 6, 5))
        >>> weights.vectors(torch.tensor([10.0, 20.0])).shape
        torch.Size([2, 2, 8])
        >>> sorted(weights.state_dict())[0]
        'adapter_modules.0.to_k_adp.down.weight'
    """

    def __init__(self, shape: AdapterShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding_layer = nn.Sequential(
            nn.Linear(1, shape.embedding), nn.ReLU(), nn.Linear(shape.embedding, shape.context)
        )
        self.adapter_modules = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))

    @property
    def scale(self) -> float:
        """Factor of every pair, alpha / rank."""
        return self.shape.alpha / self.shape.rank

    def vectors(self, strengths: Tensor) -> Tensor:
        """Return v_i(K) of strengths [B], px·m, for every layer, [B,layers,H]."""
        norm = strengths.clamp(MIN_STRENGTH, MAX_STRENGTH)[:, None] / MAX_STRENGTH
        embedded = self.embedding_layer(norm)
        found = [self._layer(index).to_v_dof(embedded) for index in range(self.shape.layers)]
        return self.scale * torch.stack(found, dim=1)

    def query_update(self, index: int, query: Tensor) -> Tensor:
        """Return what a layer's projected query [B,T,H] gains."""
        found: Tensor = self._layer(index).to_q_adp(query)
        return self.scale * found

    def key_update(self, index: int, key: Tensor) -> Tensor:
        """Return what a layer's projected key [B,T,H] gains."""
        found: Tensor = self._layer(index).to_k_adp(key)
        return self.scale * found

    def _layer(self, index: int) -> _Layer:
        layer: _Layer = self.adapter_modules[index]  # type: ignore[assignment]
        return layer


def as_adapter(state: dict[str, Tensor], alpha: float, base: str | None = None) -> BokehAdapter:
    """Return trained tensors as the generators take them.

    Args:
        state: by published name.
        alpha: of the pairs.
        base: name of the base model; None for FLUX.1-Kontext.
    """
    own = {name: value.detach() for name, value in state.items()}
    return adapter_from_state_dict(own, alpha=alpha, base=base)


def from_adapter(adapter: BokehAdapter) -> AdapterWeights:
    """Return an adapter's tensors to go on training with.

    Raises:
        ValueError: one that was trained with another factor of its queries, or without keys.
    """
    if adapter.lora_scale != 1 or adapter.query_only:
        raise ValueError(
            "adapter: one with keys and a lora_scale of 1 is needed to start from, found "
            f"lora_scale {adapter.lora_scale:g}, query_only {adapter.query_only}. Start anew."
        )
    shape = AdapterShape(
        adapter.layer_count,
        adapter.hidden_size,
        adapter.rank,
        adapter.scale * adapter.rank,
        adapter.embedding[0].shape[0],
        adapter.embedding[2].shape[0],
    )
    weights = AdapterWeights(shape)
    names = ("0.weight", "0.bias", "2.weight", "2.bias")
    state = {
        f"embedding_layer.{name}": part for name, part in zip(names, adapter.embedding, strict=True)
    }
    for index, layer in enumerate(adapter.layers):
        place = f"adapter_modules.{index}"
        state[f"{place}.to_v_dof.down.weight"] = layer.value_down
        state[f"{place}.to_v_dof.up.weight"] = layer.value_up
        for which, part in enumerate(("to_q_adp", "to_k_adp")):
            state[f"{place}.{part}.down.weight"] = layer.down[which]
            state[f"{place}.{part}.up.weight"] = layer.up[which]
    weights.load_state_dict({name: value.float() for name, value in state.items()}, strict=True)
    return weights
