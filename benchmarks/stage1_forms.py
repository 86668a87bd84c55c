"""FLUX transformers of random weights, and the forms of the bokeh adapter on them."""

import importlib
import importlib.util
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(2, str(Path(__file__).resolve().parents[1] / "tests/helpers/flux"))
import make_tiny_flux
import make_tiny_flux2
from published_form import published

from bokehdepth_core.generator.adapter import adapter_from_state_dict, folded
from bokehdepth_core.generator.flux.architectures import base_named
from bokehdepth_core.generator.flux.layers import attention_layers, strengths_added

ROOT = Path(__file__).resolve().parents[1]
HEAD = 128
POOLED_WIDTH = 768
CONTEXT = 768


def make_adapter(options):
    """A random adapter, and the `to_k_dof` weights that only the published form has a use for."""
    width, layers = options.width, options.doubles + options.singles
    state = {
        "embedding_layer.0.weight": (64, 1),
        "embedding_layer.0.bias": (64,),
        "embedding_layer.2.weight": (CONTEXT, 64),
        "embedding_layer.2.bias": (CONTEXT,),
    }
    for index in range(layers):
        for name, size in (("v_dof", CONTEXT), ("q_adp", width), ("k_adp", width)):
            state[f"{index}.to_{name}.down.weight"] = (options.rank, size)
            state[f"{index}.to_{name}.up.weight"] = (width, options.rank)
    state = {key: 0.01 * torch.randn(shape) for key, shape in state.items()}
    return adapter_from_state_dict(state, base=options.base)


def is_flux2(options):
    return base_named(options.base).family.name == "FLUX.2"


def text_width(options):
    return base_named(options.base).text_width


# --- diffusers: none, published, folded ----------------------------------------------------------


def make_transformer(options):
    import diffusers

    kinds = (diffusers.FluxTransformer2DModel, diffusers.Flux2Transformer2DModel)
    torch.manual_seed(0)
    with torch.device(options.device):
        model = kinds[is_flux2(options)](
            in_channels=128 if is_flux2(options) else 64,
            num_layers=options.doubles,
            num_single_layers=options.singles,
            attention_head_dim=HEAD,
            num_attention_heads=options.width // HEAD,
            joint_attention_dim=text_width(options),
            guidance_embeds=base_named(options.base).guidance_embeds,
        )
    return model.to(options.dtype).eval().requires_grad_(False)


def make_inputs(options, values):
    place = {"device": options.device, "dtype": options.dtype}
    batch, side = len(values), options.size // 16
    grid = torch.cartesian_prod(*[torch.arange(side)] * 2)
    ids = torch.cat([F.pad(grid, (1, 0), value=which) for which in (0, 1)])  # latent, reference
    inputs = {
        "hidden_states": torch.randn(batch, 2 * side * side, 64, **place),
        "encoder_hidden_states": torch.randn(batch, options.text, text_width(options), **place),
        "pooled_projections": torch.randn(batch, POOLED_WIDTH, **place),
        "timestep": torch.full((batch,), 0.7, **place),
        "guidance": torch.full((batch,), 7.0, device=options.device),
        "txt_ids": torch.zeros(options.text, 3, **place),
        "img_ids": ids.to(**place),
        "return_dict": False,
    }
    if is_flux2(options):
        del inputs["pooled_projections"]
        inputs["hidden_states"] = torch.randn(batch, 2 * side * side, 128, **place)
        inputs["img_ids"] = F.pad(ids, (0, 1)).to(options.device)
        inputs["txt_ids"] = F.pad(torch.arange(options.text)[:, None], (3, 0)).to(options.device)
    return inputs


@contextmanager
def ours(layers, adapter, values):
    """The adapter folded, its vectors added."""
    vectors = adapter.strength_vectors(values)
    with folded(layers.projections, adapter.query_key_pairs()), strengths_added(layers, vectors):
        yield


def diffusers_forms(options, adapter):
    """Return for each form a context manager, in which the forward that it yields has that form."""
    model = make_transformer(options)
    layers = attention_layers(model)

    @contextmanager
    def form(context, values):
        inputs = make_inputs(options, values)
        with context:
            yield lambda: model(**inputs)[0]

    return {
        "a": lambda values: form(nullcontext(), values),
        "b": lambda values: form(published(layers, adapter, values), values),
        "c folded": lambda values: form(ours(layers, adapter, values), values),
    }


# --- ComfyUI: none, hooked -----------------------------------------------------------------------


def comfyui_forms(options, adapter):
    """As `diffusers_forms`, on the class of the ComfyUI checkout that COMFYUI_PATH names."""
    make_tiny_flux.use_comfyui(cpu=options.device == "cpu")
    hooks = _pack_module("nodes.flux.hooks")
    make = make_tiny_flux2.flux2_patcher if is_flux2(options) else make_tiny_flux.flux_patcher
    model = make(
        options.dtype,
        hidden_size=options.width,
        num_heads=options.width // HEAD,
        depth=options.doubles,
        depth_single_blocks=options.singles,
        context_in_dim=text_width(options),
        vec_in_dim=None if is_flux2(options) else POOLED_WIDTH,
        guidance_embed=base_named(options.base).guidance_embeds,
    )
    updates = hooks.query_key_updates(model, adapter)
    flux = model.model.diffusion_model.to(options.device)
    updates.model.to(options.device)

    @contextmanager
    def form(patcher, values):
        inputs = comfyui_inputs(options, values)
        transformer_options = {"wrappers": patcher.wrappers}
        yield lambda: flux(**inputs, transformer_options=transformer_options)

    def hooked(values):
        return hooks.attach(model, updates, adapter.strength_vectors(values))

    return {
        "a native": lambda values: form(model, values),
        "c hooked": lambda values: form(hooked(values), values),
    }


def comfyui_inputs(options, values):
    place = {"device": options.device, "dtype": options.dtype}
    family, batch = base_named(options.base).family, len(values)
    side = options.size // family.latent_side
    latent, reference = torch.randn(2, batch, family.latent_channels, side, side, **place)
    return {
        "x": latent,
        "timestep": torch.full((batch,), 0.7, **place),
        "context": torch.randn(batch, options.text, text_width(options), **place),
        "y": torch.randn(batch, POOLED_WIDTH, **place),
        "guidance": torch.full((batch,), 7.0, **place),
        "ref_latents": [reference],
    }


def _pack_module(name):
    """Return a module of the pack, which ComfyUI loads by its path under a name of its own."""
    spec = importlib.util.spec_from_file_location(
        "bokehdepth_pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
    return importlib.import_module(f"{spec.name}.{name}")
