"""The DINOv2 encoder of both depth networks, on transformers' blocks."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from ...callbacks import CheckCancelled, never_cancelled
from ...devices import interpolate
from ...weights.errors import CheckpointError
from ...weights.reading import StateDict
from ...weights.strict import Rules
from .preprocess import PATCH

if TYPE_CHECKING:
    from transformers import Dinov2Config

HEAD_DIM = 64  # channels of an attention head in every published DINOv2
WIDTH_STEP = 2  # attention heads of an encoder are at least two
STAGES = 4
STAGES_AFTER = {12: (2, 5, 8, 11), 24: (4, 11, 17, 23), 40: (9, 19, 29, 39)}


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of a DINOv2 encoder.

    Attributes:
        width: channels of a token.
        depth: number of blocks.
        grid: side of the grid that the position table was trained on, patches.
        patch: side of a patch, px.
        gated: True where the MLPs are SwiGLU (ViT-G).
        mlp_ratio: hidden channels of an MLP by the width; SwiGLU keeps two thirds of them.
    """

    width: int
    depth: int
    grid: int
    patch: int
    gated: bool
    mlp_ratio: int = 4

    @property
    def heads(self) -> int:
        """Attention heads: 64 channels each, and two in encoders too narrow for that."""
        return self.width // HEAD_DIM if self.width % HEAD_DIM == 0 else 2


class _Embeddings(Protocol):
    patch_size: int
    patch_embeddings: Callable[[Tensor], Tensor]
    cls_token: Tensor
    position_embeddings: Tensor


class _Blocks(Protocol):
    layer: Sequence[Callable[[Tensor], Tensor | tuple[Tensor, ...]]]


class _Backbone(Protocol):
    """The parts of transformers' Dinov2Backbone that `encode` calls, in every version of it."""

    embeddings: _Embeddings
    encoder: _Blocks
    layernorm: Callable[[Tensor], Tensor]


def encoder_shape(
    state: Mapping[str, Tensor], positions: str, patches: str, block: str, name: str
) -> EncoderShape:
    """Read an encoder's sizes off its tensors.

    Args:
        state: tensors by name.
        positions: key of the position table.
        patches: key of the patch kernel.
        block: pattern of a block's keys; its first group is the block's number.
        name: the file's, for messages.

    Raises:
        CheckpointError: a key is missing or has an unusable shape.
    """
    numbers = [int(m.group(1)) for key in state if (m := re.match(block, key))]
    missing = [key for key in (positions, patches) if key not in state]
    if missing or not numbers:
        raise CheckpointError(f"{name}: no encoder, '{(missing or [block])[0]}' is missing.")
    table, kernel = state[positions].shape, state[patches].shape
    grid = round(max(0, table[1] - 1) ** 0.5) if len(table) == 3 else 0
    usable = grid > 0 and grid * grid + 1 == table[1]
    usable &= len(kernel) == 4 and kernel[0] > 0 and kernel[0] % WIDTH_STEP == 0
    if not usable or kernel[2] != kernel[3]:
        raise CheckpointError(
            f"{name}: unusable encoder, position table {list(table)}, patches {list(kernel)}."
        )
    if kernel[2] != PATCH:
        raise CheckpointError(f"{name}: patches of {kernel[2]} px; expected {PATCH}.")
    if max(numbers) + 1 != len(set(numbers)):
        raise CheckpointError(
            f"{name}: an encoder of {max(numbers) + 1} blocks, of which {len(set(numbers))} are "
            "there. Get the file again."
        )
    gated = any(".mlp.weights_in." in key or ".mlp.gate_proj." in key for key in state)
    ratio = _mlp_ratio(state, kernel[0], gated)
    return EncoderShape(kernel[0], max(numbers) + 1, grid, kernel[2], gated, ratio)


def blocks_after(stages: Sequence[int] | None, depth: int, name: str) -> tuple[int, ...] | None:
    """Return the encoder blocks, 0-based, of stages counted from 1; None without stages.

    Raises:
        CheckpointError: a block that the encoder does not have.

    Example:
        >>> blocks_after((2, 5, 9, 12), 12, "file")
        (1, 4, 8, 11)
    """
    if stages is None:
        return None
    if max(stages) > depth:
        raise CheckpointError(
            f"{name}: stages end after block {max(stages)}; its encoder has {depth}. Give stages."
        )
    return tuple(stage - 1 for stage in stages)


def check_heads(width: int, heads: int, name: str) -> None:
    """Check that DSFA's attention heads divide the channels of a token.

    Raises:
        CheckpointError: they do not.

    Example:
        >>> check_heads(384, 4, "file")
    """
    if width % heads:
        raise CheckpointError(
            f"{name}: {heads} heads do not divide the {width} channels of DSFA. Give heads."
        )


def fused_stages(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    """Return the stages (0-based) that have DSFA, rising, in tensors named `fusion.<stage>.…`.

    Raises:
        CheckpointError: a stage that no network has.
    """
    found = {int(m.group(1)) for key in state if (m := re.match(r"fusion\.(\d+)\.", key))}
    if any(stage >= STAGES for stage in found):
        raise CheckpointError(f"{name}: DSFA at stage {max(found)}; there are {STAGES}.")
    return tuple(sorted(found))


def _mlp_ratio(state: Mapping[str, Tensor], width: int, gated: bool) -> int:
    """Return the ratio that makes an MLP's hidden layer as wide as the file's, at least 1."""
    last = re.compile(r".*\.mlp\.(weights_out|down_proj|fc2)\.weight")
    hidden = next((v.shape[-1] for k, v in state.items() if last.fullmatch(k) and v.ndim == 2), 0)
    return max(1, 3 * hidden // (2 * width) if gated else hidden // width)


def encoder_config(shape: EncoderShape) -> "Dinov2Config":
    """Return transformers' configuration of an encoder."""
    from transformers import Dinov2Config

    return Dinov2Config(
        hidden_size=shape.width,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads,
        image_size=shape.grid * shape.patch,
        patch_size=shape.patch,
        mlp_ratio=shape.mlp_ratio,
        use_swiglu_ffn=shape.gated,
        use_mask_token=False,
        reshape_hidden_states=False,
    )


def build_backbone(config: "Dinov2Config", *, scale_twice: bool = False) -> nn.Module:
    """Return transformers' DINOv2 without weights, its attention through torch's SDPA."""
    from transformers import Dinov2Backbone

    backbone = Dinov2Backbone(config)
    backbone.config._attn_implementation = "sdpa"
    if scale_twice:
        modules: Iterable[Any] = backbone.modules()
        for module in modules:
            if hasattr(module, "scaling"):
                module.scaling = module.scaling**2
    return backbone


def resample_positions(table: Tensor, height: int, width: int, offset: float) -> Tensor:
    """Return the position embedding of a patch grid, [1,1+height·width,D], class token first.

    Args:
        table: [1,1+g·g,D], trained on a g × g grid.
        height: rows of patches.
        width: columns of patches.
        offset: 0.1 for the scale factor (size + 0.1)/g of Depth Anything; 0 for UniDepth's
            target size.
    """
    grid = round((table.shape[1] - 1) ** 0.5)
    if height == width == grid:
        return table
    planes = table[:, 1:].float().reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    if offset:
        scale = ((height + offset) / grid, (width + offset) / grid)
        planes = interpolate(planes, scale_factor=scale, mode="bicubic")
    else:
        planes = interpolate(planes, (height, width), mode="bicubic")
    patches = planes.flatten(2).transpose(1, 2).to(table.dtype)
    return torch.cat([table[:, :1], patches], dim=1)


def encode(
    backbone: nn.Module,
    pixels: Tensor,
    stages: Sequence[int],
    offset: float,
    check_cancelled: CheckCancelled = never_cancelled,
) -> list[Tensor]:
    """Return the normed tokens after each stage's block, [N,1+T,D] each, class token first.

    Args:
        backbone: as from `build_backbone`.
        pixels: [N,3,h,w], normalised, sides multiples of the patch.
        stages: 0-based blocks after which a stage ends, rising; later blocks are not run.
        offset: rule of the position embedding, see `resample_positions`.
        check_cancelled: raises to stop.
    """
    parts = cast(_Backbone, backbone)
    embeddings = parts.embeddings
    patch = embeddings.patch_size
    tokens = embeddings.patch_embeddings(pixels)
    tokens = torch.cat([embeddings.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
    height, width = pixels.shape[-2] // patch, pixels.shape[-1] // patch
    tokens = tokens + resample_positions(embeddings.position_embeddings, height, width, offset)
    found = []
    for index in range(stages[-1] + 1):
        check_cancelled()
        out = parts.encoder.layer[index](tokens)
        tokens = out[0] if isinstance(out, tuple) else out  # a tuple before transformers 4.56
        if index in stages:
            found.append(parts.layernorm(tokens))
    return found


def original_encoder_rules(prefix: str) -> Rules:
    """Return the table from DINOv2's own names below `prefix` to `backbone.*`."""
    block = prefix + r"blocks\.(\d+)\."
    layer = r"backbone.encoder.layer.\1."
    return {
        prefix + r"(mask_token|register_tokens)": None,  # used in pretraining only
        prefix + r"cls_token": "backbone.embeddings.cls_token",
        prefix + r"pos_embed": "backbone.embeddings.position_embeddings",
        prefix + r"patch_embed\.proj\.(.*)": r"backbone.embeddings.patch_embeddings.projection.\1",
        prefix + r"norm\.(.*)": r"backbone.layernorm.\1",
        block + r"norm([12])\.(.*)": layer + r"norm\2.\3",
        block + r"attn\.(query|key|value)\.(.*)": layer + r"attention.attention.\2.\3",
        block + r"attn\.proj\.(.*)": layer + r"attention.output.dense.\2",
        block + r"ls([12])\.gamma": layer + r"layer_scale\2.lambda1",
        block + r"mlp\.(fc[12])\.(.*)": layer + r"mlp.\2.\3",
        block + r"mlp\.w12\.(.*)": layer + r"mlp.weights_in.\2",
        block + r"mlp\.w3\.(.*)": layer + r"mlp.weights_out.\2",
    }


def split_qkv(state: StateDict, name: str) -> StateDict:
    """Return the tensors with the encoder's `attn.qkv` cut into query, key and value.

    Raises:
        CheckpointError: rows that are not a multiple of three.
    """
    split: StateDict = {}
    for key, value in state.items():
        if ".attn.qkv." not in key:
            split[key] = value
            continue
        if value.ndim == 0 or value.shape[0] % 3:
            raise CheckpointError(
                f"{name}: '{key}' has shape {list(value.shape)}, not three parts."
            )
        for part, rows in zip(("query", "key", "value"), value.chunk(3), strict=True):
            split[key.replace(".attn.qkv.", f".attn.{part}.")] = rows
    return split


# Names inside a block in transformers 4 and 5, both ways. SwiGLU's first layer is one in 4 and
# two in 5: the gate's rows, then the others.
_NAMES_4_TO_5 = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
    "mlp.weights_out": "mlp.down_proj",
}
_JOINED, _GATE, _UP = ".mlp.weights_in.", ".mlp.gate_proj.", ".mlp.up_proj."


def match_names(state: StateDict, module: nn.Module) -> StateDict:
    """Return the tensors under the names that the built module's blocks use."""
    wanted = module.state_dict().keys()
    newer = any(".attention.q_proj." in key for key in wanted)
    pairs = [(a, b) if newer else (b, a) for a, b in _NAMES_4_TO_5.items()]

    def matched(key: str) -> str:
        for old, new in pairs:
            if f".{old}." in key and key not in wanted:
                return key.replace(f".{old}.", f".{new}.")
        return key

    gated = _split_gates if any(_GATE in key for key in wanted) else _join_gates
    return gated({matched(key): value for key, value in state.items()})


def names_of_transformers_4(state: StateDict) -> StateDict:
    """Return tensors under the names that transformers 4 has for an encoder's blocks."""
    plain: StateDict = {}
    for key, value in state.items():
        for old, new in _NAMES_4_TO_5.items():
            if f".{new}." in key and key.startswith("backbone."):
                key = key.replace(f".{new}.", f".{old}.")
                break
        plain[key] = value
    return _join_gates(plain)


def _split_gates(state: StateDict) -> StateDict:
    split: StateDict = {}
    for key, value in state.items():
        if _JOINED in key and value.ndim and value.shape[0] % 2 == 0:
            split[key.replace(_JOINED, _GATE)], split[key.replace(_JOINED, _UP)] = value.chunk(2)
        else:
            split[key] = value
    return split


def _join_gates(state: StateDict) -> StateDict:
    joined = dict(state)
    for key in state:
        if _GATE in key and (up := key.replace(_GATE, _UP)) in state:
            rows = torch.cat([joined.pop(key), joined.pop(up)])
            joined[key.replace(_GATE, _JOINED)] = rows
    return joined
