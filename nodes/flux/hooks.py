"""The bokeh adapter on ComfyUI's own FLUX.1 or FLUX.2, put on for the length of each model call.

The adapter changes a FLUX attention layer in two places (arXiv 2512.12425, stage 1):

* queries and keys of the image stream gain a low-rank update of themselves, s·BA(Wx + b);
* every token gains the vector v(K) before the output projection.

Both are done by torch hooks on the projections, from a `DIFFUSION_MODEL` wrapper that puts them on
before the call and takes them off after it, whatever happens. No weight is read or written, so the
adapter works the same on streamed, quantised and compiled weights and beside LoRAs, and the MODEL
that came in stays as it was.

A graph that torch.compile made knows nothing of hooks that come and go: it keeps those that it saw
first. While the adapter is on, compiled parts therefore run as the Python they were made from.
"""

import functools
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import comfy.ops
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor, nn

from ...bokehdepth_core.generator.adapter import BokehAdapter
from ...bokehdepth_core.generator.flux.architectures import Family, check_base, family_of
from ..host import services

KEY = "bokehdepth"
_COMPILE_KEY = "torch.compile"  # of ComfyUI's own wrapper, which other packs' nodes use too
_TAKE_OUT = "model: take out the node that replaced blocks of it: the bokeh adapter"
_LOG = logging.getLogger(__name__)


class SplitBatchError(ValueError):
    """A batch does not hold every strength, because another node runs it in parts."""


class QueryKeyUpdate(nn.Module):
    """The low-rank update of one layer's query and key, both in one batched product.

    The weights sit in `manual_cast` layers, so ComfyUI can stream them when memory is short.
    """

    def __init__(self, down: Tensor, up: Tensor):
        """Take the stacked pairs.

        Args:
            down: [2,r,H], A of query and key.
            up: [2,H,r], s·B of query and key.
        """
        super().__init__()
        self.hidden, self.rank = down.shape[2], down.shape[1]
        self.down, self.up = _layer(down.flatten(0, 1)), _layer(up.flatten(0, 1))

    def add_to(self, projected: Tensor) -> Tensor:
        """Add the update to the first 2H columns of a fresh [B,T,≥2H] projection."""
        projected = projected.contiguous()  # else the next line would be a copy, not a view
        pair = projected.flatten(0, 1)[:, : 2 * self.hidden]
        pair = pair.unflatten(1, (2, self.hidden)).transpose(0, 1)  # [2,B·T,H]
        with _streamed(self.down, pair) as down, _streamed(self.up, pair) as up:
            down = down.view(2, self.rank, self.hidden)
            up = up.view(2, self.hidden, self.rank)
            pair.baddbmm_(pair @ down.transpose(1, 2), up.transpose(1, 2))
        return projected


def _layer(weight: Tensor) -> nn.Module:
    rows, columns = weight.shape
    layer = comfy.ops.manual_cast.Linear(columns, rows, bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


@contextmanager
def _streamed(layer: nn.Module, like: Tensor) -> Iterator[Tensor]:
    """Hold a layer's weight on the device of `like`, and let ComfyUI take the place back after."""
    if not hasattr(comfy.ops, "uncast_bias_weight"):  # older than asynchronous offloading
        yield comfy.ops.cast_bias_weight(layer, like)[0]
        return
    weight, bias, stream = comfy.ops.cast_bias_weight(layer, like, offloadable=True)
    try:
        yield weight
    finally:
        comfy.ops.uncast_bias_weight(layer, weight, bias, stream)


class QueryKeyUpdates(nn.Module):
    """The updates of all adapted layers, by layer number: doubles first, then singles."""

    def __init__(self, updates: dict[int, QueryKeyUpdate]):
        super().__init__()
        self.layers = nn.ModuleDict({str(index): update for index, update in updates.items()})


@dataclass(frozen=True, eq=False)
class Projection:
    """One hooked projection of ComfyUI's FLUX.

    Attributes:
        name: path inside the diffusion model, for messages.
        module: the linear layer.
        layer: number of the attention layer: doubles first, then singles.
        makes_queries: True where the output holds queries and keys, False for an output projection.
    """

    name: str
    module: nn.Module
    layer: int
    makes_queries: bool


def projections(flux: nn.Module, layers: int) -> list[Projection]:
    """Return the projections that the adapter acts on, in the order of the layers.

    Args:
        flux: ComfyUI's FLUX network.
        layers: attention layers that it has when no other node takes any away.

    Raises:
        RuntimeError: another node put blocks of its own in their place.
    """
    blocks = _family(flux).comfyui
    counts = blocks.counts(flux)
    if sum(counts) != layers:
        raise RuntimeError(f"{_TAKE_OUT} finds {sum(counts)} of {layers} layers.")
    found = []
    for layer, attention in enumerate(blocks.attention(*counts)):
        maker = attention.query.layer  # the keys' too, in the H rows below
        for name in (maker, *attention.outputs):
            try:
                module = flux.get_submodule(name)
            except AttributeError:
                raise RuntimeError(f"{_TAKE_OUT} finds no {name}.") from None
            found.append(Projection(name, module, layer, makes_queries=name == maker))
    return found


class FirstCall:
    """Whether a run of the sampler is still at its first model call; wraps the run.

    That call goes through every layer. Later ones may not: nodes that cache steps or skip layers on
    purpose work beside the adapter.
    """

    passed = False

    def __call__(self, executor, *args, **kwargs):
        """Run the sampler."""
        self.passed = False
        return executor(*args, **kwargs)


@dataclass(frozen=True, eq=False)
class AdapterWrapper:
    """Runs a FLUX call with the adapter on; one strength, or one for each sample of the batch.

    Attributes:
        updates: low-rank updates of queries and keys; ComfyUI loads and moves them.
        vectors: [n,layers,H], float32: bokeh_scale · v_i(K) for each of n strengths.
        first: tells in which call every layer has to be reached.
    """

    updates: QueryKeyUpdates
    vectors: Tensor
    first: FirstCall = field(default_factory=FirstCall)

    def __call__(self, executor, x, *args, **kwargs):
        """Run the wrapped call; the hooks are gone when it returns or raises."""
        flux = executor.class_obj
        handles, fired = [], set()
        vectors = self._vectors_for(x)
        found = projections(flux, layers=vectors.shape[1])
        wanted = [one for one in found if str(one.layer) in self.updates.layers]
        try:
            for projection in wanted:
                handles.append(self._hook(projection, vectors, fired))
            out = executor(x, *args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()
        if not self.first.passed:
            _check_all_fired(wanted, fired)
        self.first.passed = True
        return out

    def _vectors_for(self, x: Tensor) -> Tensor:
        strengths = len(self.vectors)
        # Positive and negative conditioning share a batch: the strengths repeat, in order.
        repeats, rest = divmod(x.shape[0], strengths)
        if rest:
            raise SplitBatchError(
                f"strengths: {strengths} for a batch of {x.shape[0]} samples. Use a batch that "
                "holds every strength once."
            )
        return self.vectors.to(x).repeat(repeats, 1, 1)

    def _hook(self, projection: Projection, vectors: Tensor, fired: set[str]):
        vector = vectors[:, projection.layer, None]  # [B,1,H]
        if not projection.makes_queries:

            def add_vector(module, args):
                fired.add(projection.name)
                args[0][..., : vector.shape[2]] += vector.to(args[0])

            return projection.module.register_forward_pre_hook(add_vector)
        update = self.updates.layers[str(projection.layer)]

        def add_update(module, args, out):
            fired.add(projection.name)
            return update.add_to(out)

        return projection.module.register_forward_hook(add_update)


def _check_all_fired(wanted: list[Projection], fired: set[str]) -> None:
    silent = [projection.name for projection in wanted if projection.name not in fired]
    if silent:
        raise RuntimeError(
            f"{_TAKE_OUT} had no effect on {len(silent)} of {len(wanted)} layers, first "
            f"{silent[0]}."
        )


def run_uncompiled(executor, *args, **kwargs):
    """Run ComfyUI's model call without compiled graphs; wraps the call from outside any graph.

    Raises:
        RuntimeError: a compiled MODEL where torch cannot run one uncompiled.
    """
    if "torch._dynamo" not in sys.modules:  # nothing was ever compiled
        return executor(*args, **kwargs)
    compiled = _is_compiled(executor.class_obj)
    set_stance = getattr(torch.compiler, "set_stance", None)  # torch 2.6
    if set_stance is None:
        if compiled:
            raise RuntimeError(
                "model: take Torch Compile Model out, or install torch 2.6: torch "
                f"{torch.__version__} cannot run a compiled model with the bokeh adapter."
            )
        return executor(*args, **kwargs)
    if compiled:
        _tell_that_it_runs_uncompiled()
    with set_stance("force_eager"):
        return executor(*args, **kwargs)


def _is_compiled(network) -> bool:
    patcher = network.current_patcher
    return bool(patcher and patcher.get_wrappers(WrappersMP.APPLY_MODEL, _COMPILE_KEY))


@functools.cache
def _tell_that_it_runs_uncompiled() -> None:
    _LOG.warning("The MODEL is compiled; with the bokeh adapter it runs uncompiled.")


def query_key_updates(model, adapter: BokehAdapter, lora_scale: float = 1.0):
    """Return an adapter's low-rank updates, ready for ComfyUI's memory management.

    Args:
        model: the MODEL they are for; they are held in the number format that it computes in.
        adapter: the bokeh adapter.
        lora_scale: scales the updates, 1 as trained.

    Raises:
        ValueError: a MODEL that the adapter does not fit.
    """
    check_model(model, adapter)
    dtype = _compute_dtype(model.model)
    pairs = adapter.query_key_pairs(lora_scale)
    return services.managed(
        QueryKeyUpdates(
            {i: QueryKeyUpdate(down.to(dtype), up.to(dtype)) for i, (down, up) in pairs.items()}
        )
    )


def _compute_dtype(network) -> torch.dtype:
    stored = network.manual_cast_dtype or network.get_dtype()
    return stored if stored.itemsize > 1 else torch.bfloat16


def attach(model, updates, vectors: Tensor):
    """Return a copy of MODEL that runs with the adapter; an earlier adapter on it is replaced.

    Args:
        model: ComfyUI's MODEL; left as it is.
        updates: patcher of the `QueryKeyUpdates`.
        vectors: [n,layers,H], as in `AdapterWrapper`.
    """
    patched = model.clone()
    adapter = AdapterWrapper(updates.model, vectors)
    wrappers = {
        WrappersMP.OUTER_SAMPLE: adapter.first,
        WrappersMP.DIFFUSION_MODEL: adapter,
        WrappersMP.APPLY_MODEL: run_uncompiled,
    }
    for kind, wrapper in wrappers.items():
        patched.remove_wrappers_with_key(kind, KEY)
        patched.add_wrapper_with_key(kind, KEY, wrapper)
    patched.set_additional_models(KEY, [updates])
    return patched


def check_model(model, adapter: BokehAdapter) -> None:
    """Check that a MODEL is the one that an adapter was made for.

    Args:
        model: ComfyUI's MODEL.
        adapter: the bokeh adapter.

    Raises:
        ValueError: another network, or one of another size; the message says what it is.
    """
    network = getattr(model.model, "diffusion_model", None)
    found = f"{type(model.model).__name__} ({type(network).__name__})"
    base = adapter.base
    if not _is_flux(network):
        raise ValueError(
            f"model: load {base.title} with Load Diffusion Model or a GGUF loader: found {found}."
        )
    layers, width = adapter.layer_count, adapter.hidden_size
    check_base(base, layers, width, network, base.family.comfyui, "model: load", found)
    channels, out = network.params.in_channels, network.params.out_channels
    if channels != out:
        raise ValueError(
            f"model: load {base.title}, which reads {out} channels: found a FLUX that reads "
            f"{channels}, such as Fill, Canny or Depth."
        )


def _is_flux(network) -> bool:
    """Tell FLUX by its parts; Chroma has the same blocks and none of the families' marks."""
    family = family_of(network)
    if family is None:
        return False
    blocks = family.comfyui
    lists = [getattr(network, name, None) for name in (blocks.doubles, blocks.singles)]
    if not all(lists):
        return False
    try:
        for layer in blocks.attention(1, 1):
            network.get_submodule(layer.query.layer)
    except AttributeError:
        return False
    return True


def _family(flux) -> Family:
    family = family_of(flux)
    if family is None:
        raise RuntimeError(f"{_TAKE_OUT} finds no FLUX in {type(flux).__name__}.")
    return family
