"""A tiny FLUX.1-Kontext in the files that ComfyUI loads, written without ComfyUI."""

import json
from pathlib import Path

import torch
from golden import recipe_state
from kontext_parts import STAGE1, tiny_text_encoders
from safetensors.torch import save_file

HIDDEN, TEXT, POOLED = 256, 48, 64
FP8_MAX = 448.0  # largest finite float8_e4m3fn


def make_tiny(words=(20, 20)):
    """Return diffusers' and transformers' networks, random: transformer, CLIP, T5 and VAE.

    Args:
        words: in the vocabularies of CLIP and T5.
    """
    from diffusers import AutoencoderKL, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    torch.manual_seed(5)
    transformer = FluxTransformer2DModel(
        in_channels=64,
        num_layers=2,
        num_single_layers=3,
        attention_head_dim=128,
        num_attention_heads=2,
        joint_attention_dim=TEXT,
        pooled_projection_dim=POOLED,
        guidance_embeds=True,
        axes_dims_rope=(16, 56, 56),
        patch_size=1,
    )
    clip = CLIPTextConfig(
        vocab_size=words[0],
        hidden_size=POOLED,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=1,
        hidden_act="quick_gelu",
        bos_token_id=words[0] - 2,
        eos_token_id=words[0] - 1,
        pad_token_id=words[0] - 1,
    )
    t5 = T5Config(
        vocab_size=words[1],
        d_model=TEXT,
        d_ff=32,
        d_kv=8,
        num_layers=2,
        num_heads=3,
        feed_forward_proj="gated-gelu",
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    networks = {
        "transformer": transformer,
        "clip": CLIPTextModel(clip),
        "t5": T5EncoderModel(t5),
        "vae": vae,
    }
    for network in networks.values():
        network.eval().requires_grad_(False)
        for name, value in network.named_parameters():
            if "norm" in name:  # gains of one would hide a mistaken order
                value += 0.1 * torch.randn(value.shape)
    return networks


def file_states(networks):
    """Return the networks' weights by the names in ComfyUI's files, transformer, clip, t5, vae."""
    clip = {
        f"text_model.{key.removeprefix('text_model.')}": value
        for key, value in networks["clip"].state_dict().items()
    }
    t5 = networks["t5"].state_dict()
    del t5["encoder.embed_tokens.weight"]
    states = {
        "transformer": _flux_state(networks["transformer"].state_dict()),
        "clip": clip | {"logit_scale": torch.tensor(4.6)},
        "t5": t5,
        "vae": _vae_state(networks["vae"].state_dict()),
    }
    return {name: {k: v.contiguous() for k, v in one.items()} for name, one in states.items()}


def save_parts(folder, states):
    """Write the four files into folders as ComfyUI has them; returns the transformer's."""
    names = {
        "transformer": "diffusion_models/kontext.safetensors",
        "clip": "text_encoders/some_clip.safetensors",
        "t5": "text_encoders/some_t5.safetensors",
        "vae": "vae/some_vae.safetensors",
    }
    for role, name in names.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(states[role], path)
    return Path(folder) / names["transformer"]


def save_whole(path, states):
    """Write one file with all four networks, as ComfyUI's Save Checkpoint does."""
    prefixes = {
        "transformer": "model.diffusion_model.",
        "clip": "text_encoders.clip_l.transformer.",
        "t5": "text_encoders.t5xxl.transformer.",
        "vae": "vae.",
    }
    save_file({prefixes[role] + k: v for role, one in states.items() for k, v in one.items()}, path)
    return path


def save_adapter(path):
    """Write a random bokeh adapter that fits, under its published names."""
    shapes = {
        key: [HIDDEN if side == 128 else side for side in shape]
        for key, shape in STAGE1["parameters"]["adapter"].items()
    }
    save_file(recipe_state(shapes, 1), path)
    return path


def save_tokenizers(folder):
    """Write two tokenizers into the folders that diffusers names."""
    text = tiny_text_encoders()
    for name in ("tokenizer", "tokenizer_2"):
        text[name].save_pretrained(Path(folder) / name)


def scaled_fp8(state, newer):
    """Return weights as scaled 8-bit files hold them, in the older or the newer layout."""
    tensors = {} if newer else {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for name, value in state.items():
        if value.ndim != 2 or "_blocks." not in name:
            tensors[name] = value
            continue
        scale = value.abs().max() / FP8_MAX
        tensors[name] = (value / scale).to(torch.float8_e4m3fn)
        layer = name.removesuffix(".weight")
        tensors[f"{layer}.{'weight_scale' if newer else 'scale_weight'}"] = scale
        if newer:
            text = json.dumps({"format": "float8_e4m3fn"}).encode()
            tensors[f"{layer}.comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)
            tensors[f"{layer}.input_scale"] = torch.tensor(1.0)
    return tensors


def _flux_state(state):
    """The layout of the original FLUX files, the other way round than the code under test."""
    made = {}
    for here, there in (
        ("x_embedder", "img_in"),
        ("context_embedder", "txt_in"),
        ("proj_out", "final_layer.linear"),
        ("time_text_embed.timestep_embedder.linear_1", "time_in.in_layer"),
        ("time_text_embed.timestep_embedder.linear_2", "time_in.out_layer"),
        ("time_text_embed.guidance_embedder.linear_1", "guidance_in.in_layer"),
        ("time_text_embed.guidance_embedder.linear_2", "guidance_in.out_layer"),
        ("time_text_embed.text_embedder.linear_1", "vector_in.in_layer"),
        ("time_text_embed.text_embedder.linear_2", "vector_in.out_layer"),
    ):
        _put(made, there, state, [here])
    scale, shift = (
        state["norm_out.linear.weight"].chunk(2),
        state["norm_out.linear.bias"].chunk(2),
    )
    made["final_layer.adaLN_modulation.1.weight"] = torch.cat([scale[1], scale[0]])
    made["final_layer.adaLN_modulation.1.bias"] = torch.cat([shift[1], shift[0]])
    for i in range(2):
        home, old = f"double_blocks.{i}", f"transformer_blocks.{i}"
        for stream, norm, ff, names in (
            ("img", "norm1", "ff", ("to_q", "to_k", "to_v", "to_out.0", "norm_q", "norm_k")),
            (
                "txt",
                "norm1_context",
                "ff_context",
                (
                    *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
                    *("norm_added_q", "norm_added_k"),
                ),
            ),
        ):
            q, k, v, out, norm_q, norm_k = (f"{old}.attn.{name}" for name in names)
            _put(made, f"{home}.{stream}_mod.lin", state, [f"{old}.{norm}.linear"])
            _put(made, f"{home}.{stream}_attn.qkv", state, [q, k, v])
            _put(made, f"{home}.{stream}_attn.proj", state, [out])
            _put(made, f"{home}.{stream}_mlp.0", state, [f"{old}.{ff}.net.0.proj"])
            _put(made, f"{home}.{stream}_mlp.2", state, [f"{old}.{ff}.net.2"])
            made[f"{home}.{stream}_attn.norm.query_norm.scale"] = state[f"{norm_q}.weight"]
            made[f"{home}.{stream}_attn.norm.key_norm.scale"] = state[f"{norm_k}.weight"]
    for i in range(3):
        home, old = f"single_blocks.{i}", f"single_transformer_blocks.{i}"
        attention = [f"{old}.attn.{name}" for name in ("to_q", "to_k", "to_v")]
        _put(made, f"{home}.modulation.lin", state, [f"{old}.norm.linear"])
        _put(made, f"{home}.linear1", state, [*attention, f"{old}.proj_mlp"])
        _put(made, f"{home}.linear2", state, [f"{old}.proj_out"])
        made[f"{home}.norm.query_norm.scale"] = state[f"{old}.attn.norm_q.weight"]
        made[f"{home}.norm.key_norm.scale"] = state[f"{old}.attn.norm_k.weight"]
    return made


def _put(made, there, state, here):
    for end in ("weight", "bias"):
        made[f"{there}.{end}"] = torch.cat([state[f"{name}.{end}"] for name in here])


def _vae_state(state):
    """The layout of the original autoencoder: up blocks counted from the output, 1x1 attention."""
    made = {}
    for key, value in state.items():
        name = key
        for i in range(4):
            name = name.replace(f"decoder.up_blocks.{i}.", f"decoder.up.{3 - i}.")
            name = name.replace(f"encoder.down_blocks.{i}.", f"encoder.down.{i}.")
        for here, there in (
            (".resnets.", ".block."),
            (".downsamplers.0.", ".downsample."),
            (".upsamplers.0.", ".upsample."),
            (".mid_block.block.0.", ".mid.block_1."),
            (".mid_block.block.1.", ".mid.block_2."),
            (".mid_block.attentions.0.group_norm.", ".mid.attn_1.norm."),
            (".mid_block.attentions.0.to_out.0.", ".mid.attn_1.proj_out."),
            (".mid_block.attentions.0.to_", ".mid.attn_1."),
            (".conv_shortcut.", ".nin_shortcut."),
            ("conv_norm_out.", "norm_out."),
        ):
            name = name.replace(here, there)
        is_attention = ".attn_1." in name and ".norm." not in name and name.endswith("weight")
        made[name] = value[:, :, None, None] if is_attention else value
    return made
