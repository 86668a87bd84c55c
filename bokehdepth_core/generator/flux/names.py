"""FLUX's networks in ComfyUI's files under the names that diffusers and transformers give them.

Where the weights' own shapes tell the sizes, they are read from them.
"""

import re
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...weights.errors import CheckpointError
from ...weights.reading import StateDict
from ...weights.strict import rename

HEAD_WIDTH = 128  # FLUX's; its rotary axes are 16 + 56 + 56 wide
ROTARY_AXES = (16, 56, 56)
CLIP_HEAD_WIDTH = 64

_OUTSIDE = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
}
_DOUBLE = {
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
}
_SINGLE = {
    "modulation.lin": "norm.linear",
    "linear2": "proj_out",
    "norm.query_norm": "attn.norm_q",
    "norm.key_norm": "attn.norm_k",
}
_TRANSFORMER = {
    pattern: own
    for before, after, layers in (
        ("", "", _OUTSIDE),
        (r"double_blocks\.(\d+)\.", r"transformer_blocks.\1.", _DOUBLE),
        (r"single_blocks\.(\d+)\.", r"single_transformer_blocks.\1.", _SINGLE),
    )
    for layer, name in layers.items()
    for pattern, own in (
        # The gains of the norms are called "scale" in older files and "weight" in newer ones.
        (rf"{before}{re.escape(layer)}\.(?:weight|scale)", f"{after}{name}.weight"),
        (rf"{before}{re.escape(layer)}\.bias", f"{after}{name}.bias"),
    )
}
# Layers that hold several of diffusers' layers, one above the other.
_FUSED = {
    r"double_blocks\.(\d+)\.img_attn\.qkv": (
        r"transformer_blocks.\1.attn.",
        ("to_q", "to_k", "to_v"),
    ),
    r"double_blocks\.(\d+)\.txt_attn\.qkv": (
        r"transformer_blocks.\1.attn.",
        ("add_q_proj", "add_k_proj", "add_v_proj"),
    ),
    r"single_blocks\.(\d+)\.linear1": (
        r"single_transformer_blocks.\1.",
        ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    ),
}


def transformer_config(state: StateDict, name: str) -> dict[str, object]:
    """Return the arguments of diffusers' `FluxTransformer2DModel` that fit weights.

    Args:
        state: tensors by ComfyUI's names.
        name: the file's, for messages.

    Raises:
        CheckpointError: attention heads of another width than FLUX's.
    """
    hidden, channels = state["img_in.weight"].shape
    if hidden % HEAD_WIDTH:
        raise CheckpointError(
            f"{name}: FLUX of width {hidden}, expected a multiple of {HEAD_WIDTH}."
        )
    return {
        "in_channels": channels,
        "num_layers": _count(state, "double_blocks"),
        "num_single_layers": _count(state, "single_blocks"),
        "attention_head_dim": HEAD_WIDTH,
        "num_attention_heads": hidden // HEAD_WIDTH,
        "joint_attention_dim": state["txt_in.weight"].shape[1],
        "pooled_projection_dim": state["vector_in.in_layer.weight"].shape[1],
        "guidance_embeds": "guidance_in.in_layer.weight" in state,
        "axes_dims_rope": ROTARY_AXES,
        "patch_size": 1,
    }


def transformer_names(state: StateDict, name: str) -> StateDict:
    """Return the weights of FLUX's transformer by diffusers' names.

    Raises:
        CheckpointError: keys of another network, or rows that are not those of its parts.
    """
    hidden = state["img_in.weight"].shape[0]
    whole: StateDict = {}
    parts: StateDict = {}
    for key, value in state.items():
        layer, _, end = key.rpartition(".")
        fused = next((hit for rule in _FUSED.items() if (hit := _fused(rule, layer))), None)
        if fused is None:
            whole[key] = value
            continue
        rows = len(value) if value.ndim else 0
        ends = (0, hidden, 2 * hidden, 3 * hidden, rows)
        pieces = [value[first:last] for first, last in pairwise(ends) if first < rows]
        if len(pieces) != len(fused):
            raise CheckpointError(
                f"{name}: '{key}' has {rows} rows, not those of {len(fused)} parts of "
                f"{hidden}. Get the file again."
            )
        parts |= {f"{own}.{end}": piece for own, piece in zip(fused, pieces, strict=True)}
    named = rename(whole, _TRANSFORMER, name) | parts
    for end in ("weight", "bias"):
        # Files hold shift above scale, diffusers wants scale above shift.
        key = f"norm_out.linear.{end}"
        if key in named:
            named[key] = torch.cat(named[key].chunk(2)[::-1])
    return named


def _fused(rule: tuple[str, tuple[str, tuple[str, ...]]], layer: str) -> list[str] | None:
    pattern, (home, own) = rule
    match = re.fullmatch(pattern, layer)
    return [match.expand(home) + one for one in own] if match else None


def clip_config(state: StateDict) -> dict[str, object]:
    """Return the arguments of transformers' `CLIPTextConfig` that fit weights of CLIP-L."""
    vocabulary, width = state["text_model.embeddings.token_embedding.weight"].shape
    layer = "text_model.encoder.layers"
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "projection_dim": width,
        "intermediate_size": state[f"{layer}.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": _count(state, layer),
        "num_attention_heads": max(1, width // CLIP_HEAD_WIDTH),
        "max_position_embeddings": state["text_model.embeddings.position_embedding.weight"].shape[
            0
        ],
        "hidden_act": "quick_gelu",
        # Of a CLIP vocabulary the last two entries are the begin and the end of a text.
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": vocabulary - 1,
    }


def clip_names(state: StateDict, wanted: StateDict) -> StateDict:
    """Return the weights of CLIP's text model by the names of the installed transformers."""
    own = {key: value for key, value in state.items() if key.startswith("text_model.")}
    own.pop("text_model.embeddings.position_ids", None)
    if not any(key.startswith("text_model.") for key in wanted):
        own = {key.removeprefix("text_model."): value for key, value in own.items()}
    return own


def t5_config(state: StateDict) -> dict[str, object]:
    """Return the arguments of transformers' `T5Config` that fit weights of a T5 1.1 encoder."""
    vocabulary, width = state["shared.weight"].shape
    block = "encoder.block.0.layer"
    buckets, heads = state[f"{block}.0.SelfAttention.relative_attention_bias.weight"].shape
    return {
        "vocab_size": vocabulary,
        "d_model": width,
        "d_ff": state[f"{block}.1.DenseReluDense.wi_0.weight"].shape[0],
        "d_kv": state[f"{block}.0.SelfAttention.q.weight"].shape[0] // heads,
        "num_layers": _count(state, "encoder.block"),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
    }


def t5_names(state: StateDict) -> StateDict:
    """Return the weights of a T5 encoder, its word table under both of its names."""
    own = {key: value for key, value in state.items() if not key.startswith("decoder.")}
    own.pop("lm_head.weight", None)
    own["encoder.embed_tokens.weight"] = own["shared.weight"]
    return own


def vae_config(state: StateDict) -> dict[str, object]:
    """Return the arguments of diffusers' `AutoencoderKL` that fit weights of FLUX's VAE."""
    depth = _count(state, "encoder.down")
    return {
        "block_out_channels": tuple(
            state[f"encoder.down.{i}.block.0.conv1.weight"].shape[0] for i in range(depth)
        ),
        "down_block_types": ("DownEncoderBlock2D",) * depth,
        "up_block_types": ("UpDecoderBlock2D",) * depth,
        "layers_per_block": _count(state, "encoder.down.0.block"),
        "latent_channels": state["decoder.conv_in.weight"].shape[1],
        "norm_num_groups": 32,
        "scaling_factor": 0.3611,
        "shift_factor": 0.1159,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "force_upcast": True,
    }


def vae_names(state: StateDict, config: dict[str, object]) -> StateDict:
    """Return the weights of FLUX's VAE by diffusers' names."""
    from diffusers.loaders import single_file_utils

    convert: Any = single_file_utils.convert_ldm_vae_checkpoint  # diffusers has no types
    named: StateDict = convert(dict(state), config)
    return named


def _count(state: StateDict | dict[str, Tensor], home: str) -> int:
    """Return how many numbered parts there are: one more than the highest number."""
    numbers = (re.match(rf"{re.escape(home)}\.(\d+)\.", key) for key in state)
    return 1 + max((int(match[1]) for match in numbers if match), default=-1)
