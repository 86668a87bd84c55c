"""Trained networks back under the names of the published files, query, key and value joined."""

import re

import torch

from ...weights.reading import StateDict
from ...weights.strict import Rules, rename
from .dinov2 import names_of_transformers_4

_BLOCK, _LAYER = r"backbone\.encoder\.layer\.(\d+)\.", r"{prefix}blocks.\1."


def _encoder(prefix: str) -> Rules:
    """Return the table from `backbone.*` to DINOv2's own names below `prefix`."""
    embeddings, layer = r"backbone\.embeddings\.", _LAYER.format(prefix=prefix)
    return {
        embeddings + "cls_token": prefix + "cls_token",
        embeddings + "position_embeddings": prefix + "pos_embed",
        embeddings + r"patch_embeddings\.projection\.(.*)": prefix + r"patch_embed.proj.\1",
        r"backbone\.layernorm\.(.*)": prefix + r"norm.\1",
        _BLOCK + r"norm([12])\.(.*)": layer + r"norm\2.\3",
        _BLOCK + r"attention\.attention\.(query|key|value)\.(.*)": layer + r"attn.\2.\3",
        _BLOCK + r"attention\.output\.dense\.(.*)": layer + r"attn.proj.\2",
        _BLOCK + r"layer_scale([12])\.lambda1": layer + r"ls\2.gamma",
        _BLOCK + r"mlp\.(fc[12])\.(.*)": layer + r"mlp.\2.\3",
        _BLOCK + r"mlp\.weights_in\.(.*)": layer + r"mlp.w12.\2",
        _BLOCK + r"mlp\.weights_out\.(.*)": layer + r"mlp.w3.\2",
    }


_FUSE = r"neck\.fusion_stage\.layers\."
_REFINE = "depth_head.scratch.refinenet"
DEPTH_ANYTHING: Rules = {
    **_encoder("pretrained."),
    r"neck\.reassemble_stage\.layers\.(\d)\.projection\.(.*)": r"depth_head.projects.\1.\2",
    r"neck\.reassemble_stage\.layers\.(\d)\.resize\.(.*)": r"depth_head.resize_layers.\1.\2",
    **{
        rf"neck\.convs\.{stage}\.(.*)": rf"depth_head.scratch.layer{stage + 1}_rn.\1"
        for stage in range(4)
    },
    **{
        rf"{_FUSE}{layer}\.projection\.(.*)": rf"{_REFINE}{4 - layer}.out_conv.\1"
        for layer in range(4)
    },
    **{
        rf"{_FUSE}{layer}\.residual_layer([12])\.convolution([12])\.(.*)": (
            rf"{_REFINE}{4 - layer}.resConfUnit\1.conv\2.\3"
        )
        for layer in range(4)
    },
    r"head\.conv1\.(.*)": r"depth_head.scratch.output_conv1.\1",
    r"head\.conv2\.(.*)": r"depth_head.scratch.output_conv2.0.\1",
    r"head\.conv3\.(.*)": r"depth_head.scratch.output_conv2.2.\1",
    r"fusion\.(\d)\.focus_film\.(.*)": r"encoder_fusion.layers.\1.block.focus_film.0.\2",
    r"fusion\.(\d)\.(?!focus_film)(.*)": r"encoder_fusion.layers.\1.block.\2",
}
UNIDEPTH: Rules = {
    **_encoder("pixel_encoder.backbone."),
    r"fusion\.(\d)\.(.*)": r"pixel_encoder.fusion_blocks.\1.\2",
    r"(?!backbone\.|fusion\.)(.*)": r"pixel_decoder.\1",
}


def published_names(state: StateDict, rules: Rules) -> StateDict:
    """Return a network's tensors under the names of the published files.

    What the published files hold and no output depends on, such as a mask token, is not there.

    Args:
        state: as `state_dict()` of a network gives it, whatever transformers calls its parts.
        rules: `DEPTH_ANYTHING` or `UNIDEPTH`.

    Raises:
        CheckpointError: tensors of another network.

    Example:
        >>> head = {"head.conv1.weight": torch.zeros(1)}
        >>> list(published_names(head, DEPTH_ANYTHING))
        ['depth_head.scratch.output_conv1.weight']
    """
    plain = rename(names_of_transformers_4(state), rules, "network")
    joined: StateDict = {}
    for key, value in plain.items():
        part = re.search(r"\.attn\.(query|key|value)\.", key)
        if part is None:
            joined[key] = value
        elif part[1] == "query":
            parts = [plain[key.replace(".query.", f".{one}.")] for one in ("query", "key", "value")]
            joined[key.replace(".query.", ".qkv.")] = torch.cat(parts)
    return joined
