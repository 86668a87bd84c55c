"""What the tests of the native path share: random adapters, inputs, predictions, comparisons."""

import copy

import make_tiny_flux as tiny
import torch
from comfyui_pack import architectures, flux_hooks, host, native  # first: it sets ComfyUI up

import comfy.patcher_extension  # isort: skip
import comfy.sample  # isort: skip
import comfy.samplers  # isort: skip

ARGUMENTS = ("timestep", "context", "y", "guidance", "ref_latents")  # of the network, after x
LAYERS, RANK = tiny.DOUBLES + tiny.SINGLES, 4


def random_adapter(seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = tiny.HIDDEN
    down = torch.randn(LAYERS, 2, RANK, hidden, generator=generator) / hidden**0.5
    up = torch.randn(LAYERS, 2, hidden, RANK, generator=generator) / RANK**0.5
    vectors = 0.5 * torch.randn(3, LAYERS, hidden, generator=generator)
    return down, up, vectors


def updates_of(down, up):
    layers = {i: flux_hooks.QueryKeyUpdate(down[i], up[i]) for i in range(LAYERS)}
    return host.managed(flux_hooks.QueryKeyUpdates(layers))


def fold(flux, down, up, vectors):
    """Return a copy of the network with one strength folded into its weights, in float64."""
    flux, hidden = copy.deepcopy(flux), tiny.HIDDEN
    for projection in flux_hooks.projections(flux, LAYERS):
        weight, bias, layer = projection.module.weight, projection.module.bias, projection.layer
        if not projection.makes_queries:
            bias += weight[:, :hidden] @ vectors[layer]
            continue
        for part in range(2):
            rows = slice(part * hidden, (part + 1) * hidden)
            change = torch.eye(hidden, dtype=torch.float64)
            change += up[layer, part].double() @ down[layer, part].double()
            weight[rows] = (change @ weight[rows].double()).to(weight)
            bias[rows] = (change @ bias[rows].double()).to(bias)
    return flux


def make_inputs(batch=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    sizes = [(16, 8, 12), (9, tiny.TEXT_WIDTH), (tiny.POOLED_WIDTH,), (16, 8, 12)]
    x, context, pooled, reference = (
        torch.randn(batch, *size, generator=generator) for size in sizes
    )
    return {
        "x": x,
        "timestep": torch.full((batch,), 0.7),
        "context": context,
        "y": pooled,
        "guidance": torch.full((batch,), 2.5),
        "ref_latents": [reference],
    }


def predict(patcher, inputs):
    options = comfy.patcher_extension.merge_nested_dicts(
        {"wrappers": patcher.wrappers}, patcher.model_options["transformer_options"]
    )
    return patcher.model.diffusion_model(**inputs, transformer_options=options)


def watched(model, see):
    """Return a copy of MODEL that shows `see(x, **arguments)` every call of the network."""
    model = model.clone()

    def show(executor, x, *args, **kwargs):
        see(x, **dict(zip(ARGUMENTS, args, strict=False)) | kwargs)
        return executor(x, *args, **kwargs)

    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    model.add_wrapper_with_key(kind, "watch", show)
    return model


def rows(inputs, index):
    pick = slice(index, index + 1)
    rows = {name: value[pick] for name, value in inputs.items() if name != "ref_latents"}
    return rows | {"ref_latents": [value[pick] for value in inputs["ref_latents"]]}


def weights_of(patcher):
    state = patcher.model.diffusion_model.state_dict()
    return {name: value.clone() for name, value in state.items()}


def assert_untouched(patcher, before):
    flux = patcher.model.diffusion_model
    after = flux.state_dict()
    assert after.keys() == before.keys()
    for name, value in after.items():
        same = [one.flatten().view(torch.uint8) for one in (value, before[name])]
        assert torch.equal(*same), name
    hooks = [m for m in flux.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooks == []


def make_conditioning(seed=3, batch=1):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(batch, 9, tiny.TEXT_WIDTH, generator=generator)
    pooled = torch.randn(batch, tiny.POOLED_WIDTH, generator=generator)
    reference = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(5))
    return [[tokens, {"pooled_output": pooled, "guidance": 2.5, "reference_latents": [reference]}]]


def levels(steps):
    return native.noise_levels(architectures.FLUX1, steps, 24)


def sample(model, cfg=1.0, steps=2, callback=None):
    latent = torch.zeros(1, 16, 8, 12)
    return comfy.sample.sample_custom(
        model,
        comfy.sample.prepare_noise(latent, 4),
        cfg,
        comfy.samplers.sampler_object("euler"),
        levels(steps),
        make_conditioning(3),
        make_conditioning(8),
        latent,
        callback=callback,
        disable_pbar=True,
        seed=4,
    )


class RandomAdapter:
    """A bokeh adapter of random numbers, with the strength as a factor of one vector."""

    hidden_size, layer_count, base = tiny.HIDDEN, LAYERS, architectures.KONTEXT

    def query_key_pairs(self, lora_scale=1.0):
        down, up, _ = random_adapter()
        return {i: (down[i], lora_scale * up[i]) for i in range(LAYERS)}

    def strength_vectors(self, strengths, bokeh_scale=1.0):
        vector = bokeh_scale * random_adapter()[2][:1]
        return torch.cat([vector * strength / 30 for strength in strengths])
