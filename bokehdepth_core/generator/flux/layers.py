"""Where the bokeh adapter acts in diffusers' FLUX transformer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from ...callbacks import CheckCancelled, never_cancelled
from ..adapter import BokehAdapter, diffusers_attention_names


def check_fit(adapter: BokehAdapter, transformer: Any) -> None:
    """Check that a FLUX transformer is the one that an adapter was made for.

    Raises:
        ValueError: another number of attention layers, or another width.
    """
    count = len(transformer.transformer_blocks) + len(transformer.single_transformer_blocks)
    if (adapter.layer_count, adapter.hidden_size) != (count, transformer.inner_dim):
        raise ValueError(
            f"base_model: the bokeh adapter is made for {adapter.layer_count} attention layers of "
            f"width {adapter.hidden_size}, found {count} of width {transformer.inner_dim}. "
            "Give FLUX.1-Kontext-dev."
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
        attention: the attention modules, which hold `to_q` and `to_k`.
        outputs: the output projections of each: image and text stream, or the one of a single.
    """

    attention: tuple[Any, ...]
    outputs: tuple[tuple[nn.Linear, ...], ...]


def attention_layers(transformer: Any) -> AttentionLayers:
    """Return the parts of diffusers' FLUX transformer that the adapter acts on."""
    doubles, singles = transformer.transformer_blocks, transformer.single_transformer_blocks
    names = diffusers_attention_names(len(doubles), len(singles))
    outputs: list[tuple[nn.Linear, ...]] = [
        (block.attn.to_out[0], block.attn.to_add_out) for block in doubles
    ]
    outputs += [(block.proj_out,) for block in singles]
    return AttentionLayers(tuple(map(transformer.get_submodule, names)), tuple(outputs))


@contextmanager
def strengths_added(layers: AttentionLayers, vectors: Tensor) -> Iterator[None]:
    """Add each sample's strength vectors before the output projections while the block runs.

    One sample's are held in the projections' biases, b + W v, which costs a forward nothing; those
    of several are added to what each projection receives. Biases come back bit for bit.

    Args:
        layers: of the transformer.
        vectors: [B,layers,H], one row for each sample of the batch.
    """
    with ExitStack() as undone:
        for index, outputs in enumerate(layers.outputs):
            for linear in outputs:
                if len(vectors) == 1 and linear.bias is not None:
                    undone.callback(_set_bias, linear, linear.bias.data)
                    _set_bias(linear, _shifted_bias(linear, vectors[0, index]))
                else:
                    vector = vectors[:, index, None].to(linear.weight)
                    undone.callback(linear.register_forward_pre_hook(_adding(vector)).remove)
        yield


def _shifted_bias(linear: nn.Linear, vector: Tensor) -> Tensor:
    """Return the bias that stands for a vector [H] added to the first H inputs."""
    weight = linear.weight.data[:, : len(vector)].float()
    return (linear.bias.data.float() + weight @ vector.to(weight)).to(linear.bias.dtype)


def _set_bias(linear: nn.Linear, bias: Tensor) -> None:
    linear.bias.data = bias


def _adding(vector: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def add_vector(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        # The projection's input was made for it alone; a single block's ends with its MLP.
        args[0][..., : vector.shape[2]].add_(vector)

    return add_vector
