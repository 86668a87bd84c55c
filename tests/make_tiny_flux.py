"""Tiny random FLUX.1-Kontext in ComfyUI's own classes and file layout; stands in for the weights.

As a script it writes the transformer as files that ComfyUI's Load Diffusion Model node reads
(0.26 and later take the width from the file; 0.3.64 assumes the full width):

    COMFYUI_PATH=... python tests/make_tiny_flux.py models/diffusion_models
"""

import argparse
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import save_file

# Head width 128 is the one that ComfyUI assumes for a file; two heads, two double and three single
# blocks are enough to tell layers and heads apart.
HIDDEN, DOUBLES, SINGLES = 256, 2, 3
TEXT_WIDTH, POOLED_WIDTH = 64, 32
UNET = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "hidden_size": HIDDEN,
    "num_heads": 2,
    "mlp_ratio": 4.0,
    "depth": DOUBLES,
    "depth_single_blocks": SINGLES,
    "axes_dim": [16, 56, 56],
    "theta": 10000,
    "qkv_bias": True,
    "guidance_embed": True,
    "context_in_dim": TEXT_WIDTH,
    "vec_in_dim": POOLED_WIDTH,
}
FP8_MAX = 448.0  # largest finite float8_e4m3fn


def use_comfyui(cpu=True):
    """Put the checkout of COMFYUI_PATH on the path, set up for the CPU or what it finds."""
    root = os.environ["COMFYUI_PATH"]
    if root not in sys.path:
        sys.path.insert(0, root)
        arguments, sys.argv = sys.argv, ["main.py"] + ["--cpu"] * cpu
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.cli_args
        import utils.extra_config  # noqa: F401 before nodes.py puts comfy/, with its utils, in front

        sys.argv = arguments


def randomize(module, seed=0):
    """Fill a module's parameters with random values of the usual size; returns it."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        value = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1:
            value = value / value[0].numel() ** 0.5
        elif name.endswith(("weight", "scale")):
            value = 1 + 0.1 * value
        else:
            value = 0.02 * value
        parameter.data = value.to(parameter.dtype)
    return module


def flux_model(dtype=torch.float32, seed=0, **changes):
    """Return ComfyUI's `Flux` model object with random weights of a storage type."""
    use_comfyui()
    import comfy.model_base
    import comfy.supported_models
    from comfy.ldm.flux.model import FluxParams

    config = UNET | changes
    if "txt_ids_dims" in FluxParams.__dataclass_fields__:  # newer versions want it
        config = config | {"txt_ids_dims": []}
    model_config = comfy.supported_models.Flux(config)
    storage = dtype if dtype.itemsize > 1 else torch.bfloat16
    model_config.set_inference_dtype(dtype, None if dtype is storage else storage)
    model = comfy.model_base.Flux(model_config)
    random = randomize(comfy.model_base.Flux(_float_config(config)).diffusion_model, seed)
    state = random.state_dict()
    model.diffusion_model.load_state_dict({k: v.to(dtype) for k, v in state.items()})
    return model.eval().requires_grad_(False)


def _float_config(config):
    import comfy.supported_models

    model_config = comfy.supported_models.Flux(config)
    model_config.set_inference_dtype(torch.float32, None)
    return model_config


def flux_patcher(dtype=torch.float32, seed=0, **changes):
    """Return a MODEL socket's content: the tiny FLUX in ComfyUI's memory management."""
    model = flux_model(dtype, seed, **changes)
    import comfy.model_management as mm
    import comfy.model_patcher

    kind = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    return kind(model, mm.get_torch_device(), mm.unet_offload_device())


def text_encoder(seed=1):
    """Return a CLIP socket's content: FLUX's two encoders, tiny, with the real tokenizers."""
    use_comfyui()
    import comfy.sd
    from comfy.text_encoders import flux

    target = SimpleNamespace(
        params={"dtype_t5": torch.float32},
        clip=flux.FluxClipModel,
        tokenizer=flux.FluxTokenizer,
    )
    options = {
        "dtype": torch.float32,
        "clip_l_model_config": {
            "hidden_size": POOLED_WIDTH,
            "intermediate_size": 64,
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
        },
        "t5xxl_model_config": {
            "d_model": TEXT_WIDTH,
            "d_ff": 64,
            "d_kv": 16,
            "num_heads": 4,
            "num_layers": 2,
        },
    }
    clip = comfy.sd.CLIP(target, model_options=options)
    randomize(clip.cond_stage_model, seed)
    return clip


def image_autoencoder(seed=2):
    """Return a VAE socket's content: FLUX's 16-channel layout at a small width."""
    use_comfyui()
    import comfy.sd
    from comfy.ldm.models.autoencoder import AutoencoderKL

    shape = {
        "double_z": True,
        "z_channels": 16,
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 32,
        "ch_mult": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    config = {"params": {"ddconfig": shape, "embed_dim": 16}}
    weights = randomize(AutoencoderKL(**config["params"]), seed).state_dict()
    vae = comfy.sd.VAE(sd=weights, config=config)
    vae.latent_channels = 16
    return vae


def save_flux(folder):
    """Write the transformer as fp32, bf16, fp8 and fp8-scaled files; returns their paths."""
    folder = Path(folder)
    # Files call the norm gains "scale"; newer versions hold them as "weight".
    state = {
        name.replace("_norm.weight", "_norm.scale"): value.contiguous()
        for name, value in flux_model().diffusion_model.state_dict().items()
    }
    wanted = {
        "tiny_flux_fp32": state,
        "tiny_flux_bf16": {k: v.to(torch.bfloat16) for k, v in state.items()},
        "tiny_flux_fp8": {k: v.to(torch.float8_e4m3fn) for k, v in state.items()},
        "tiny_flux_fp8_scaled": _scaled_fp8(state),
    }
    paths = []
    for name, tensors in wanted.items():
        paths.append(folder / f"{name}.safetensors")
        save_file(tensors, paths[-1])
    return paths


def save_adapter(path, seed=3, rank=4, context=24, base=None):
    """Write a random bokeh adapter that fits, under its published names; `base` as it states it."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(shape, generator=generator) / shape[-1] ** 0.5

    state = {
        "embedding_layer.0.weight": random(64, 1),
        "embedding_layer.0.bias": torch.zeros(64),
        "embedding_layer.2.weight": random(context, 64),
        "embedding_layer.2.bias": torch.zeros(context),
    }
    sizes = {"k_dof": context, "v_dof": context, "q_adp": HIDDEN, "k_adp": HIDDEN}
    for index in range(DOUBLES + SINGLES):
        for name, size in sizes.items():
            state[f"adapter_modules.{index}.to_{name}.down.weight"] = random(rank, size)
            state[f"adapter_modules.{index}.to_{name}.up.weight"] = random(HIDDEN, rank)
    save_file(state, path, base and {"base": base})


def save_lora(path, seed=4, rank=4):
    """Write a random LoRA of one layer, under the names that trainers give."""
    generator = torch.Generator().manual_seed(seed)
    name = "lora_unet_double_blocks_1_img_attn_qkv"
    state = {
        f"{name}.lora_down.weight": torch.randn(rank, HIDDEN, generator=generator) / HIDDEN**0.5,
        f"{name}.lora_up.weight": torch.randn(3 * HIDDEN, rank, generator=generator) / rank**0.5,
    }
    save_file(state, path)


def _scaled_fp8(state):
    tensors = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for name, value in state.items():
        if value.ndim == 2 and "_blocks." in name:
            scale = value.abs().max() / FP8_MAX
            tensors[name] = (value / scale).to(torch.float8_e4m3fn)
            tensors[name.removesuffix("weight") + "scale_weight"] = scale.float()
        else:
            tensors[name] = value.to(torch.bfloat16)
    return tensors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write tiny FLUX files in ComfyUI's layout.")
    parser.add_argument("folder", type=Path, help="where the files go")
    for path in save_flux(parser.parse_args().folder):
        sys.stdout.write(f"{path}\n")
