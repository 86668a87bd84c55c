"""The bokeh adapter on ComfyUI's FLUX beside what other nodes do to the same MODEL.

torch.compile in both orders, a ControlNet, and layers that keep their weights quantised.
"""

import copy

import make_tiny_flux as tiny
import native_parts as parts
import pytest
import torch
from comfyui_pack import flux_hooks
from torch import nn

import comfy_api.torch_helpers  # isort: skip
import comfy_extras.nodes_slg as core_slg  # isort: skip
import comfy_extras.nodes_torch_compile as core_node  # isort: skip

try:
    import comfy_extras.nodes_easycache as core_cache
except ImportError:
    core_cache = None

pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]
BLOCKS = [f"diffusion_model.double_blocks.{i}" for i in range(tiny.DOUBLES)]
BLOCKS += [f"diffusion_model.single_blocks.{i}" for i in range(tiny.SINGLES)]


@pytest.fixture
def _no_graphs_left():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def _compiled(model, keys=("diffusion_model",)):
    """As Torch Compile Model does, with the backend that only traces."""
    skip = getattr(core_node, "skip_torch_compile_dict", None)
    options = {"options": {"guard_filter_fn": skip}} if skip else {}
    model = model.clone()
    comfy_api.torch_helpers.set_torch_compile_wrapper(
        model, backend="eager", keys=list(keys), **options
    )
    return model


@pytest.mark.usefixtures("_no_graphs_left")
@pytest.mark.parametrize("keys", [["diffusion_model"], BLOCKS], ids=["whole", "blocks"])
def test_the_adapter_acts_on_a_compiled_model_in_either_order(keys):
    base = tiny.flux_patcher()
    down, up, vectors = parts.random_adapter()
    updates = parts.updates_of(down, up)

    def adapted(model, index):
        return flux_hooks.attach(model, updates, vectors[index : index + 1])

    bare = parts.sample(base, steps=1)
    first, second = (parts.sample(adapted(base, index), steps=1) for index in (0, 1))
    compiled = _compiled(base, keys)
    # A graph of the bare network exists before the adapter comes, and after it is gone.
    runs = [
        (compiled, bare),
        (adapted(compiled, 0), first),
        (adapted(compiled, 1), second),
        (_compiled(adapted(base, 0), keys), first),
        (compiled, bare),
    ]
    for model, wanted in runs:
        torch.testing.assert_close(parts.sample(model, steps=1), wanted, rtol=0, atol=2e-5)
    assert (first - bare).abs().mean() > 0.01


@pytest.mark.usefixtures("_no_graphs_left")
def test_a_torch_that_cannot_leave_a_graph_refuses_a_compiled_model(monkeypatch):
    base = tiny.flux_patcher()
    down, up, vectors = parts.random_adapter()
    monkeypatch.delattr(torch.compiler, "set_stance")
    patched = flux_hooks.attach(base, parts.updates_of(down, up), vectors[:1])
    parts.sample(patched, steps=1)
    with pytest.raises(RuntimeError, match=r"^model: take Torch Compile Model out, or .* 2\.6"):
        parts.sample(_compiled(patched), steps=1)


def test_a_controlnet_adds_to_the_blocks_as_it_does_without_the_adapter():
    model, inputs = tiny.flux_patcher(), parts.make_inputs()
    down, up, vectors = parts.random_adapter()
    generator = torch.Generator().manual_seed(7)
    tokens = 4 * 6  # of the latent; ComfyUI adds a control to the first tokens only

    def signals(count):
        return [
            0.3 * torch.randn(3, tokens, tiny.HIDDEN, generator=generator) for _ in range(count)
        ]

    control = {"input": signals(tiny.DOUBLES), "output": signals(tiny.SINGLES)}
    inputs["ref_latents"] = None
    before = parts.weights_of(model)
    kept = {name: [one.clone() for one in given] for name, given in control.items()}
    patched = flux_hooks.attach(model, parts.updates_of(down, up), vectors)
    plain = parts.predict(patched, inputs)
    hooked = parts.predict(patched, inputs | {"control": control})
    for index in range(3):
        folded = parts.fold(model.model.diffusion_model, down, up, vectors[index])
        pick = slice(index, index + 1)
        row = {name: value[pick] for name, value in inputs.items() if value is not None}
        row["control"] = {name: [one[pick] for one in given] for name, given in control.items()}
        torch.testing.assert_close(hooked[pick], folded(**row), rtol=0, atol=2e-5)
    assert (hooked - plain).abs().mean() > 0.01
    for name, given in control.items():
        assert all(map(torch.equal, given, kept[name]))
    parts.assert_untouched(model, before)


class QuantisedLinear(nn.Module):
    """A linear layer as GGUF loaders make them: 8-bit blocks, turned into floats in its forward.

    Its `weight` has no meaning for others, so reading it is an error.
    """

    BLOCK = 32

    def __init__(self, linear):
        super().__init__()
        blocks = linear.weight.unflatten(1, (-1, self.BLOCK))
        scales = blocks.abs().amax(dim=2, keepdim=True) / 127
        self.register_buffer("quants", (blocks / scales).round().to(torch.int8))
        self.register_buffer("scales", scales.half())
        self.bias = linear.bias

    @property
    def weight(self):
        raise AssertionError("a quantised weight was read")

    def dequantised(self):
        return (self.quants * self.scales.float()).flatten(1)

    def forward(self, x):
        return nn.functional.linear(x, self.dequantised().to(x), self.bias)


def _replace_linears(flux, make):
    for block in [*flux.double_blocks, *flux.single_blocks]:
        for name, module in list(block.named_modules()):
            if hasattr(module, "in_features") or isinstance(module, QuantisedLinear):
                parent, _, leaf = name.rpartition(".")
                setattr(block.get_submodule(parent), leaf, make(module))


def _plain(layer):
    linear = nn.Linear(layer.quants.shape[1] * layer.BLOCK, layer.quants.shape[0])
    linear.weight = nn.Parameter(layer.dequantised(), requires_grad=False)
    linear.bias = layer.bias
    return linear


def test_a_quantised_weight_is_never_read():
    model, inputs = tiny.flux_patcher(), parts.make_inputs()
    flux = model.model.diffusion_model
    _replace_linears(flux, QuantisedLinear)
    down, up, vectors = parts.random_adapter()
    before = parts.weights_of(model)
    hooked = parts.predict(flux_hooks.attach(model, parts.updates_of(down, up), vectors), inputs)
    parts.assert_untouched(model, before)
    plain = copy.deepcopy(flux)
    _replace_linears(plain, _plain)
    for index in range(3):
        wanted = parts.fold(plain, down, up, vectors[index])(**parts.rows(inputs, index))
        torch.testing.assert_close(hooked[index : index + 1], wanted, rtol=0, atol=2e-5)


def _cached(model):
    return core_cache.EasyCacheNode.execute(model, 0.9, 0.0, 1.0, False).result[0]


def _skipping(model):
    return core_slg.SkipLayerGuidanceDiT.execute(model, 3.0, 0.0, 1.0, "0", "1", 0.0).result[0]


@pytest.mark.parametrize("other", [_cached, _skipping])
def test_nodes_that_skip_calls_or_layers_work_before_and_after_the_adapter(other):
    if core_cache is None or not hasattr(core_slg.SkipLayerGuidanceDiT, "define_schema"):
        pytest.skip("this ComfyUI is older than EasyCache")
    down, up, vectors = parts.random_adapter()
    updates, base = parts.updates_of(down, up), tiny.flux_patcher()
    plain = parts.sample(other(base), cfg=2.0, steps=6)
    first = parts.sample(other(flux_hooks.attach(base, updates, vectors[:1])), cfg=2.0, steps=6)
    second = parts.sample(flux_hooks.attach(other(base), updates, vectors[:1]), cfg=2.0, steps=6)
    assert torch.isfinite(first).all()
    assert (first - plain).abs().mean() > 0.05
    if other is _skipping:  # a cache keeps other things in either order
        torch.testing.assert_close(first, second, rtol=0, atol=1e-5)


class TransposedLinear(nn.Module):
    """A linear layer whose result is laid out the other way round, as some kernels give it."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight, self.bias = (nn.Parameter(p, requires_grad=False) for p in (weight, bias))

    def forward(self, x):
        return (self.weight @ x.mT).mT + self.bias


def test_a_projection_that_is_laid_out_otherwise_gains_its_update_too():
    down, up, vectors = parts.random_adapter()
    patchers = tiny.flux_patcher(), tiny.flux_patcher()
    for block in patchers[1].model.diffusion_model.double_blocks:
        qkv = block.img_attn.qkv
        block.img_attn.qkv = TransposedLinear(qkv.weight.data, qkv.bias.data)
    inputs = parts.make_inputs(batch=3)
    wanted, got = (
        parts.predict(flux_hooks.attach(one, parts.updates_of(down, up), vectors), inputs)
        for one in patchers
    )
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-4)
