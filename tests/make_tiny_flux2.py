"""Tiny random FLUX.2 klein in ComfyUI's own classes and file layout; stands in for the weights.

As a script it writes the transformer as files that ComfyUI's Load Diffusion Model node reads, in
the number formats that people have, with an adapter and a LoRA that fit:

    COMFYUI_PATH=... python tests/make_tiny_flux2.py models/diffusion_models
"""

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import make_tiny_flux as tiny
import torch
from make_tiny_flux import HIDDEN, randomize, use_comfyui
from safetensors.torch import save_file

DOUBLES, SINGLES = 2, 3
TEXT_LAYERS, TEXT_HIDDEN = 28, 32  # the text is read after layers 9, 18 and 27
TEXT_WIDTH = 3 * TEXT_HIDDEN
BASE = "FLUX.2-klein-4B"
UNET = {  # as ComfyUI reads it from a file
    "image_model": "flux2",
    "in_channels": 128,
    "out_channels": 128,
    "patch_size": 1,
    "hidden_size": HIDDEN,
    "num_heads": 2,
    "mlp_ratio": 3.0,
    "depth": DOUBLES,
    "depth_single_blocks": SINGLES,
    "axes_dim": [32, 32, 32, 32],
    "theta": 2000,
    "qkv_bias": False,
    "guidance_embed": False,
    "context_in_dim": TEXT_WIDTH,
    "vec_in_dim": None,
    "global_modulation": True,
    "mlp_silu_act": True,
    "ops_bias": False,
    "default_ref_method": "index",
    "ref_index_scale": 10.0,
    "txt_ids_dims": [3],
}


def flux2_model(dtype=torch.float32, seed=0, **changes):
    """Return ComfyUI's `Flux2` model object with random weights of a number type."""
    use_comfyui()
    import comfy.model_base
    import comfy.supported_models

    model_config = comfy.supported_models.Flux2(UNET | changes)
    model_config.set_inference_dtype(torch.float32, None)
    random = randomize(comfy.model_base.Flux2(model_config).diffusion_model, seed)
    model_config = comfy.supported_models.Flux2(UNET | changes)
    model_config.set_inference_dtype(dtype, None)
    model = comfy.model_base.Flux2(model_config)
    model.diffusion_model.load_state_dict({k: v.to(dtype) for k, v in random.state_dict().items()})
    return model.eval().requires_grad_(False)


def flux2_patcher(dtype=torch.float32, seed=0, **changes):
    """Return a MODEL socket's content: the tiny FLUX.2 in ComfyUI's memory management."""
    model = flux2_model(dtype, seed, **changes)
    import comfy.model_management as mm
    import comfy.model_patcher

    kind = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    return kind(model, mm.get_torch_device(), mm.unet_offload_device())


def file_patcher(path):
    """Return a MODEL socket's content of a file, as Load Diffusion Model makes it."""
    use_comfyui()
    import comfy.sd

    return comfy.sd.load_diffusion_model(str(path))


def text_encoder(seed=1):
    """Return a CLIP socket's content: klein's text encoder, tiny, with the real tokenizer."""
    use_comfyui()
    import comfy.sd
    from comfy.text_encoders import flux

    target = SimpleNamespace(
        params={}, clip=flux.klein_te(torch.float32), tokenizer=flux.KleinTokenizer
    )
    sizes = {
        "hidden_size": TEXT_HIDDEN,
        "intermediate_size": 64,
        "num_hidden_layers": TEXT_LAYERS,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "final_norm": False,
    }
    options = {"dtype": torch.float32, "qwen3_4b_model_config": sizes}
    clip = comfy.sd.CLIP(target, model_options=options)
    randomize(clip.cond_stage_model, seed)
    return clip


def image_autoencoder(seed=2):
    """Return a VAE socket's content: FLUX.2's layout, 32 channels folded to 128, at 32 wide."""
    use_comfyui()
    import comfy.sd
    from comfy.ldm.models.autoencoder import AutoencoderKL

    shape = {
        "double_z": True,
        "z_channels": 32,
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 32,
        "ch_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
        "attn_resolutions": [],
        "dropout": 0.0,
        "batch_norm_latent": True,
    }
    config = {"params": {"ddconfig": shape, "embed_dim": 32}}
    network = randomize(AutoencoderKL(**config["params"]), seed)
    network.bn.running_mean += 0.1
    network.bn.running_var *= 0.5
    vae = comfy.sd.VAE(sd=network.state_dict(), config=config)
    vae.latent_channels, vae.downscale_ratio, vae.upscale_ratio = 128, 16, 16
    return vae


# --- files ---------------------------------------------------------------------------------------


def state_of(model):
    return {k: v.contiguous() for k, v in model.diffusion_model.state_dict().items()}


def formats():
    """Return the number formats of files that this ComfyUI reads."""
    use_comfyui()
    from comfy.quant_ops import QUANT_ALGOS

    known = ("fp32", "bf16", "fp8_scaled", "int8_convrot")
    return known if "int8_tensorwise" in QUANT_ALGOS else known[:-1]


def save_flux2(folder):
    """Write the transformer in each of `formats`; returns paths by format."""
    state = state_of(flux2_model())
    make = {
        "fp32": lambda: state,
        "bf16": lambda: {k: v.to(torch.bfloat16) for k, v in state.items()},
        "fp8_scaled": lambda: quantised(state, _fp8),
        "int8_convrot": lambda: quantised(state, _int8_convrot),
    }
    paths = {name: Path(folder) / f"tiny_flux2_{name}.safetensors" for name in formats()}
    for name, path in paths.items():
        save_file(make[name](), path)
    return paths


def quantised(state, quantise):
    """Return a state with the blocks' matrices in a format of ComfyUI's mixed precision."""
    out = {}
    for name, value in state.items():
        if value.ndim == 2 and "_blocks." in name:
            data, scale, config = quantise(value)
            layer = name.removesuffix("weight")
            out[name], out[f"{layer}weight_scale"] = data, scale
            text = json.dumps(config).encode()
            out[f"{layer}comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)
        else:
            out[name] = value.to(torch.bfloat16)
    return out


def _fp8(weight):
    scale = weight.abs().max() / tiny.FP8_MAX
    return (weight / scale).to(torch.float8_e4m3fn), scale.float(), {"format": "float8_e4m3fn"}


def _int8_convrot(weight):
    from comfy_kitchen.tensor import TensorWiseINT8Layout

    data, params = TensorWiseINT8Layout.quantize(
        weight, per_channel=True, convrot=True, convrot_groupsize=256
    )
    config = {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 256}
    return data.contiguous(), params.scale.contiguous(), config


def save_lora(path, seed=4, rank=4):
    """Write a random LoRA of a double and a fused single layer, by diffusers' trainers' names."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, rows in (
        ("double_blocks.1.img_attn.qkv", 3 * HIDDEN),
        ("single_blocks.0.linear1", 9 * HIDDEN),
    ):
        down, up = torch.randn(rank, HIDDEN, generator=generator), torch.randn(rows, rank)
        state[f"diffusion_model.{name}.lora_A.weight"] = down / HIDDEN**0.5
        state[f"diffusion_model.{name}.lora_B.weight"] = up / rank**0.5
    save_file(state, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write tiny FLUX.2 files in ComfyUI's layout.")
    parser.add_argument("folder", type=Path, help="where the files go")
    for path in save_flux2(parser.parse_args().folder).values():
        sys.stdout.write(f"{path}\n")
