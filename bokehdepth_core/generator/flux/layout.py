"""The attention layers of FLUX.1 by name, in diffusers and in ComfyUI, in the adapter's order."""


def diffusers_attention_names(doubles: int, singles: int) -> list[str]:
    """Return the attention layers of diffusers' FLUX in the adapter's order."""
    return [f"transformer_blocks.{i}.attn" for i in range(doubles)] + [
        f"single_transformer_blocks.{i}.attn" for i in range(singles)
    ]


def fused_projection_names(doubles: int, singles: int) -> list[str]:
    """Return the layers of ComfyUI's FLUX that make queries and keys, in the adapter's order.

    Their first 2H output rows are query and key: `img_attn.qkv` holds q, k and v; `linear1` holds
    q, k, v and the MLP.
    """
    return [f"double_blocks.{i}.img_attn.qkv" for i in range(doubles)] + [
        f"single_blocks.{i}.linear1" for i in range(singles)
    ]


def fused_output_names(doubles: int, singles: int) -> list[tuple[str, ...]]:
    """Return the output projections of ComfyUI's FLUX, of each attention layer in that order.

    Those of a double block are of the image and the text stream; a single block's one takes the
    attention in its first H input columns, and the MLP after them.
    """
    return [
        (f"double_blocks.{i}.img_attn.proj", f"double_blocks.{i}.txt_attn.proj")
        for i in range(doubles)
    ] + [(f"single_blocks.{i}.linear2",) for i in range(singles)]
