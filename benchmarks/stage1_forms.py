"""FLUX transformers of random weights, and the forms of the bokeh adapter on them."""

import importlib
import importlib.util
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "tests"))
import make_tiny_flux

from bokehdepth_core.generator.adapter import adapter_from_state_dict, folded
from bokehdepth_core.generator.flux.layers import attention_layers, strengths_added

ROOT = Path(__file__).resolve().parents[1]
HEAD = 128
TEXT_WIDTH, POOLED_WIDTH = 4096, 768
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
    return adapter_from_state_dict(state)


# --- diffusers: none, published, folded ----------------------------------------------------------


def make_transformer(options):
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(0)
    with torch.device(options.device):
        model = FluxTransformer2DModel(
            in_channels=64,
            num_layers=options.doubles,
            num_single_layers=options.singles,
            attention_head_dim=HEAD,
            num_attention_heads=options.width // HEAD,
            joint_attention_dim=TEXT_WIDTH,
            guidance_embeds=True,
        )
    return model.to(options.dtype).eval().requires_grad_(False)


def make_inputs(options, values):
    place = {"device": options.device, "dtype": options.dtype}
    batch, side = len(values), options.size // 16
    grid = torch.cartesian_prod(*[torch.arange(side)] * 2)
    ids = [F.pad(grid, (1, 0), value=which) for which in (0, 1)]  # latent and reference
    return {
        "hidden_states": torch.randn(batch, 2 * side * side, 64, **place),
        "encoder_hidden_states": torch.randn(batch, options.text, TEXT_WIDTH, **place),
        "pooled_projections": torch.randn(batch, POOLED_WIDTH, **place),
        "timestep": torch.full((batch,), 0.7, **place),
        "guidance": torch.full((batch,), 7.0, device=options.device),
        "txt_ids": torch.zeros(options.text, 3, **place),
        "img_ids": torch.cat(ids).to(**place),
        "return_dict": False,
    }


@contextmanager
def published(layers, adapter, options, values):
    """The adapter as extra work in every layer; one context token for each sample."""
    embedded = adapter.embed(values).to(options.device, options.dtype)[:, None]
    with ExitStack() as hooks:
        for index, attention in enumerate(layers.attention):
            layer = adapter.layers[index]
            place = {"device": options.device, "dtype": options.dtype}
            value_pair = layer.value_down.to(**place), layer.value_up.to(**place)
            key_pair = tuple(torch.randn_like(part) * 0.01 for part in value_pair)
            kept = {}
            for which, linear in enumerate((attention.to_q, attention.to_k)):
                pair = layer.down[which].to(**place), layer.up[which].to(**place)
                hook = linear.register_forward_hook(_low_rank(pair))
                hooks.callback(hook.remove)
            norms = [attention.norm_q]
            if attention.added_kv_proj_dim is not None:
                norms.append(attention.norm_added_q)
            for which, norm in enumerate(norms):
                hooks.callback(norm.register_forward_hook(_keep(kept, which)).remove)
            for which, linear in enumerate(layers.outputs[index]):
                hook = linear.register_forward_pre_hook(
                    _one_token_attention(kept, which, embedded, key_pair, value_pair)
                )
                hooks.callback(hook.remove)
        yield


def _low_rank(pair):
    down, up = pair

    def hook(_, __, out):
        return out + F.linear(F.linear(out, down), up)

    return hook


def _keep(kept, which):
    def hook(_, __, out):
        kept[which] = out  # [B,T,heads,HEAD]

    return hook


def _one_token_attention(kept, which, context, key_pair, value_pair):
    def hook(_, args):
        query = kept[which].transpose(1, 2)
        key, value = (
            F.linear(F.linear(context, down), up).unflatten(-1, (-1, HEAD)).transpose(1, 2)
            for down, up in (key_pair, value_pair)
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        attended = attended.transpose(1, 2).flatten(2)
        args[0][..., : attended.shape[2]].add_(attended)

    return hook


@contextmanager
def ours(layers, adapter, values):
    """The adapter folded, its vectors added."""
    projections = {i: (layer.to_q, layer.to_k) for i, layer in enumerate(layers.attention)}
    vectors = adapter.strength_vectors(values)
    with folded(projections, adapter.query_key_pairs()), strengths_added(layers, vectors):
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
        "b": lambda values: form(published(layers, adapter, options, values), values),
        "c folded": lambda values: form(ours(layers, adapter, values), values),
    }


# --- ComfyUI: none, hooked -----------------------------------------------------------------------


def comfyui_forms(options, adapter):
    """As `diffusers_forms`, on the class of the ComfyUI checkout that COMFYUI_PATH names."""
    make_tiny_flux.use_comfyui(cpu=options.device == "cpu")
    hooks = _pack_module("nodes.generator.flux_hooks")
    model = make_tiny_flux.flux_patcher(
        options.dtype,
        hidden_size=options.width,
        num_heads=options.width // HEAD,
        depth=options.doubles,
        depth_single_blocks=options.singles,
        context_in_dim=TEXT_WIDTH,
        vec_in_dim=POOLED_WIDTH,
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
    batch, side = len(values), options.size // 8
    latent, reference = torch.randn(2, batch, 16, side, side, **place)
    return {
        "x": latent,
        "timestep": torch.full((batch,), 0.7, **place),
        "context": torch.randn(batch, options.text, TEXT_WIDTH, **place),
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
