"""Where the bokeh adapter acts in diffusers' FLUX transformer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ...callbacks import CheckCancelled, never_cancelled
from ..adapter import BokehAdapter
from ..folding import Slice
from .architectures import FAMILIES, Rows, check_base, family_of


def check_fit(adapter: BokehAdapter, transformer: Any) -> None:
    """Check that a FLUX transformer is the one that an adapter was made for.

    Raises:
        ValueError: another family or base, another number of attention layers, or another width.
    """
    check_base(
        adapter.base,
        adapter.layer_count,
        adapter.hidden_size,
        transformer,
        adapter.base.family.diffusers,
        "base_model: give",
        type(transformer).__name__,
    )


_IN_USE: WeakKeyDictionary[Any, threading.Lock] = WeakKeyDictionary()
_IN_USE_LOCK = threading.Lock()
LOOK_AFTER = 0.1  # s between looks for a cancel while another call runs


@contextmanager
def one_at_a_time(
    transformer: Any, check_cancelled: CheckCancelled = never_cancelled
) -> Iterator[None]:
    """Wait until no other thread changes a transformer's weights, and keep others out meanwhile.

    Two foldings that overlap would each keep the other's folded weights as the originals, and put
    these back.

    Args:
        transformer: diffusers' FLUX.
        check_cancelled: raises to stop waiting.
    """
    with _IN_USE_LOCK:
        lock = _IN_USE.setdefault(transformer, threading.Lock())
    while not lock.acquire(timeout=LOOK_AFTER):
        check_cancelled()
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True, eq=False)
class AttentionLayers:
    """The parts of diffusers' FLUX that the adapter acts on, doubles first, then singles.

    Attributes:
        attention: the attention modules.
        projections: what makes query and key, by number of the attention layer.
        outputs: the output projections of each: image and text stream, or the one of a single.
    """

    attention: tuple[Any, ...]
    projections: dict[int, tuple[Slice, Slice]]
    outputs: tuple[tuple[nn.Linear, ...], ...]


def attention_layers(transformer: Any) -> AttentionLayers:
    """Return the parts of diffusers' FLUX transformer that the adapter acts on.

    Raises:
        ValueError: a transformer of no family in `architectures`.
    """
    family = family_of(transformer)
    if family is None:
        known = " or ".join(one.name for one in FAMILIES)
        raise ValueError(f"base_model: give {known}: found {type(transformer).__name__}.")
    width = getattr(transformer, family.diffusers.width)

    def made_by(rows: Rows) -> Slice:
        return Slice(transformer.get_submodule(rows.layer), rows.part * width)

    found = family.diffusers.attention(*family.diffusers.counts(transformer))
    homes = [one.query.layer.rpartition(".")[0] for one in found]
    projections = {i: (made_by(one.query), made_by(one.key)) for i, one in enumerate(found)}
    outputs = [tuple(map(transformer.get_submodule, one.outputs)) for one in found]
    return AttentionLayers(
        tuple(map(transformer.get_submodule, homes)), projections, tuple(outputs)
    )


@contextmanager
def strengths_added(layers: AttentionLayers, vectors: Tensor) -> Iterator[None]:
    """Add each sample's strength vectors before the output projections while the block runs.

    One sample's are held in the projections' biases, b + W v, which costs a forward next to
    nothing, and a projection without a bias has one meanwhile; those of several are added to what
    each projection receives. Biases come back bit for bit.

    Args:
        layers: of the transformer.
        vectors: [B,layers,H], one row for each sample of the batch.
    """
    with ExitStack() as undone:
        for index, outputs in enumerate(layers.outputs):
            for linear in outputs:
                if len(vectors) == 1:
                    _hold_in_bias(linear, vectors[0, index], undone)
                else:
                    vector = vectors[:, index, None].to(linear.weight)
                    undone.callback(linear.register_forward_pre_hook(_adding(vector)).remove)
        yield


def _hold_in_bias(linear: nn.Linear, vector: Tensor, undone: ExitStack) -> None:
    """Give a projection the bias that stands for a vector [H] added to its first H inputs."""
    weight, bias = linear.weight.data, linear.bias
    shift = weight[:, : len(vector)].float() @ vector.to(weight.device, torch.float32)
    if bias is None:
        undone.callback(setattr, linear, "bias", None)
        linear.bias = nn.Parameter(shift.to(weight.dtype), requires_grad=False)
    else:
        undone.callback(_set_data, bias, bias.data)
        _set_data(bias, (bias.data.float() + shift).to(bias.dtype))


def _set_data(parameter: nn.Parameter, value: Tensor) -> None:
    parameter.data = value


def _adding(vector: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def add_vector(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        # The projection's input was made for it alone; a single block's ends with its MLP.
        args[0][..., : vector.shape[2]].add_(vector)

    return add_vector
