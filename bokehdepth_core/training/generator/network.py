"""A frozen FLUX with the adapter that learns: hooks for the length of a run, no weight touched."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ...generator.flux.layers import AttentionLayers, attention_layers
from .flow import FlowBatch
from .weights import AdapterWeights


class TrainedFlux(nn.Module):
    """The adapter on its base model, with one call; what DistributedDataParallel wraps.

    Args:
        weights: the adapter's.
        base: diffusers' FLUX transformer, frozen; no part of this module, so that it is neither
            saved nor sent to other processes.
        guidance: embedded guidance that it is given, for bases that take one.
    """

    def __init__(self, weights: AdapterWeights, base: Any, guidance: float = 1.0) -> None:
        super().__init__()
        self.weights, self.guidance = weights, guidance
        self._base = (base,)
        self.vectors: Tensor | None = None  # of the batch that runs, for the hooks

    @property
    def base(self) -> Any:
        """The frozen transformer."""
        return self._base[0]

    def forward(self, batch: FlowBatch) -> Tensor:
        """Return the velocity that the network predicts for each latent token, [B,T,C]."""
        base, count = self.base, batch.noisy.shape[1]
        self.vectors = self.weights.vectors(batch.strengths) * batch.with_strength[:, None, None]
        more: dict[str, Any] = {}
        if base.config.guidance_embeds:
            more["guidance"] = torch.full_like(batch.times, self.guidance)
        if batch.pooled.shape[1]:
            more["pooled_projections"] = batch.pooled.to(base.dtype)
        found: Tensor = base(
            hidden_states=torch.cat([batch.noisy, batch.reference], dim=1).to(base.dtype),
            timestep=batch.times,
            encoder_hidden_states=batch.text.to(base.dtype),
            txt_ids=batch.text_places,
            img_ids=batch.places,
            return_dict=False,
            **more,
        )[0]
        return found[:, :count]


@contextmanager
def adapter_on(
    network: TrainedFlux, *, group: int = 1, checkpointing: bool = False
) -> Iterator[None]:
    """Let a base model run with the adapter while the block runs; then it is as it was before.

    Args:
        network: the adapter on its base; between its calls the base is as without it.
        group: with more than 1, grounded attention among so many neighbours of a batch.
        checkpointing: forget what is inside of blocks, and compute it again for the gradient.
    """
    base = network.base
    layers = attention_layers(base)
    with ExitStack() as undone:
        for index in range(len(layers.attention)):
            for hook in _hooks(network, layers, index):
                undone.callback(hook.remove)
        for one in layers.attention if group > 1 else ():
            undone.callback(setattr, one, "processor", one.processor)
            one.processor = Grounded(one.processor, group, network)
        if checkpointing and not base.is_gradient_checkpointing:
            base.enable_gradient_checkpointing()
            undone.callback(base.disable_gradient_checkpointing)
        try:
            yield
        finally:
            network.vectors = None


def _hooks(network: TrainedFlux, layers: AttentionLayers, index: int) -> Iterator[Any]:
    """Register and yield the hooks of one attention layer."""
    weights = network.weights
    width = weights.shape.hidden

    def gaining(first: int, update: Callable[[int, Tensor], Tensor]) -> Any:
        def add(_: nn.Module, __: object, out: Tensor) -> Tensor:
            if network.vectors is None:  # the base is used by itself
                return out
            before, rows, after = out.tensor_split((first, first + width), dim=-1)
            gained = rows + update(index, rows).to(rows.dtype)
            return gained if out.shape[-1] == width else torch.cat([before, gained, after], dim=-1)

        return add

    def add_vector(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if network.vectors is None:
            return args
        x, vector = args[0], network.vectors[:, index, None]
        # A single block's input ends with its MLP, which gains nothing.
        padded = functional.pad(vector, (0, x.shape[-1] - vector.shape[-1]))
        return (x + padded.to(x.dtype), *args[1:])

    updates = (weights.query_update, weights.key_update)
    for rows, update in zip(layers.projections[index], updates, strict=True):
        yield rows.linear.register_forward_hook(gaining(rows.first, update))
    for linear in layers.outputs[index]:
        yield linear.register_forward_pre_hook(add_vector)


class Grounded:
    """A layer's attention in which all of a group look where its first sample does.

    Queries are those of the group's first sample; keys are [own, the first's], values [own, own].

    Args:
        inner: the attention processor that is asked as ever.
        group: samples of a group, neighbours in the batch.
        network: that is trained; while it is not, nothing is changed.

    Reference:
        arXiv 2512.12425, the grounded attention of stage 1; it is off at inference.
    """

    def __init__(self, inner: Any, group: int, network: nn.Module) -> None:
        self.inner, self.group, self.network = inner, group, network

    def __call__(self, attention: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what the attention gives."""
        if not self.network.training:
            return self.inner(attention, *args, **kwargs)
        with _GroundedCall(self.group) as call:
            found = self.inner(attention, *args, **kwargs)
        if call.count != 1:
            raise RuntimeError(
                "grounded: this version of diffusers computes attention in another way. Train "
                "without grounded attention."
            )
        return found


class _GroundedCall(TorchFunctionMode):
    """Changes what the attention inside of it is given; counts how often."""

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group, self.count = group, 0

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func is not functional.scaled_dot_product_attention:
            return func(*args, **given)
        names = ("query", "key", "value")
        given |= dict(zip(names[: len(args)], args[:3], strict=True))
        query, key, value = (given.pop(name) for name in names)
        self.count += 1
        key = torch.cat([key, _of_first(key, self.group)], dim=-2)
        value = torch.cat([value, value], dim=-2)
        return func(_of_first(query, self.group), key, value, *args[3:], **given)


def _of_first(x: Tensor, group: int) -> Tensor:
    """Return [B,...] with each group's first sample in place of all of it."""
    return x[::group].repeat_interleave(group, dim=0)


@contextmanager
def without_adapter(network: TrainedFlux) -> Iterator[None]:
    """Let the base be used by itself while the block runs, between two steps."""
    network.vectors = None
    yield


@contextmanager
def frozen(base: Any) -> Iterator[None]:
    """Hold a network without gradients of its own while the block runs."""
    before = [(one, one.requires_grad) for one in base.parameters()]
    base.requires_grad_(False)
    try:
        yield
    finally:
        for one, needed in before:
            one.requires_grad_(needed)
