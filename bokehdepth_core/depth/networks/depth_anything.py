"""Depth Anything V2, with or without DSFA, on transformers' neck and head."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...callbacks import CheckCancelled, never_cancelled
from ...devices import without_autocast
from ...weights.errors import CheckpointError, listed
from ...weights.reading import StateDict
from ...weights.strict import Rules, rename
from .dinov2 import (
    STAGES_AFTER,
    EncoderShape,
    blocks_after,
    build_backbone,
    encode,
    encoder_config,
    encoder_shape,
    fused_stages,
    original_encoder_rules,
    split_qkv,
)
from .dsfa import ALIBI, HEADS, DividedSpaceFocusAttention
from .options import ATTENTION_SCALES

POSITION_OFFSET = 0.1  # of the original's position embedding
DSFA_MAX_DEPTH_M = 80.0  # the released network's sigmoid reaches this far

_REFINE = r"depth_head\.scratch\.refinenet"
_FUSE = "neck.fusion_stage.layers."
ORIGINAL_KEYS: Rules = {
    **original_encoder_rules(r"pretrained\."),
    r"depth_head\.projects\.(\d)\.(.*)": r"neck.reassemble_stage.layers.\1.projection.\2",
    r"depth_head\.resize_layers\.(\d)\.(.*)": r"neck.reassemble_stage.layers.\1.resize.\2",
    **{
        rf"depth_head\.scratch\.layer{stage + 1}_rn\.(.*)": rf"neck.convs.{stage}.\1"
        for stage in range(4)
    },
    **{
        rf"{_REFINE}{4 - layer}\.out_conv\.(.*)": rf"{_FUSE}{layer}.projection.\1"
        for layer in range(4)
    },
    **{
        rf"{_REFINE}{4 - layer}\.resConfUnit([12])\.conv([12])\.(.*)": (
            rf"{_FUSE}{layer}.residual_layer\1.convolution\2.\3"
        )
        for layer in range(4)
    },
    r"depth_head\.scratch\.output_conv1\.(.*)": r"head.conv1.\1",
    r"depth_head\.scratch\.output_conv2\.0\.(.*)": r"head.conv2.\1",
    r"depth_head\.scratch\.output_conv2\.2\.(.*)": r"head.conv3.\1",
    r"encoder_fusion\.layers\.(\d)\.block\.focus_film\.0\.(.*)": r"fusion.\1.focus_film.\2",
    r"encoder_fusion\.layers\.(\d)\.block\.(.*)": r"fusion.\1.\2",
}
HUGGING_FACE_KEYS: Rules = {
    r"backbone\.embeddings\.mask_token": None,  # used in pretraining only
    r"((?:backbone|neck|head|fusion)\..*)": r"\1",
}


@dataclass(frozen=True)
class DepthAnythingShape:
    """Sizes and meaning of a Depth Anything network.

    Attributes:
        encoder: sizes of the encoder.
        features: channels of the fused maps.
        channels: channels of the four stages in the neck.
        head: channels before the last layer.
        fused: stages (0-based) with DSFA; empty for plain networks.
        max_depth: end of the depth range, m; None for relative disparity.
        stages: encoder blocks (0-based) after which the four stages end.
    """

    encoder: EncoderShape
    features: int
    channels: tuple[int, ...]
    head: int
    fused: tuple[int, ...]
    max_depth: float | None
    stages: tuple[int, ...]

    @property
    def metric(self) -> bool:
        """True where the network gives metres."""
        return self.max_depth is not None


def is_depth_anything(state: Mapping[str, Tensor]) -> bool:
    """Tell whether tensors are a Depth Anything network, in either layout."""
    keys = state.keys()
    return "depth_head.scratch.layer1_rn.weight" in keys or "neck.convs.0.weight" in keys


def has_dsfa(state: Mapping[str, Tensor]) -> bool:
    """Tell whether tensors of a Depth Anything network, in any layout, have DSFA."""
    return any(key.startswith(("encoder_fusion.", "fusion.")) for key in state)


def to_own_names(state: StateDict, name: str) -> StateDict:
    """Return the tensors of either layout under this module's names.

    Raises:
        CheckpointError: keys that belong to no Depth Anything network.
    """
    if "neck.convs.0.weight" in state:
        return rename(state, HUGGING_FACE_KEYS, name)
    return rename(split_qkv(state, name), ORIGINAL_KEYS, name)


def read_shape(
    state: StateDict,
    name: str,
    max_depth: float | None,
    stages: tuple[int, ...] | None = None,
) -> DepthAnythingShape:
    """Read the sizes of a network off its tensors.

    Args:
        state: tensors as from `to_own_names`.
        name: the file's, for messages.
        max_depth: metres of a metric network, which no tensor tells; None for a relative one.
        stages: four encoder blocks, counted from 1; None as published.

    Raises:
        CheckpointError: missing keys or an encoder of unknown depth.
    """
    encoder = encoder_shape(
        state,
        "backbone.embeddings.position_embeddings",
        "backbone.embeddings.patch_embeddings.projection.weight",
        r"backbone\.encoder\.layer\.(\d{1,9})\.",
        name,
    )
    if stages is None and encoder.depth not in STAGES_AFTER:
        known = ", ".join(map(str, STAGES_AFTER))
        raise CheckpointError(
            f"{name}: {encoder.depth} encoder blocks; expected {known}. Give stages, the four "
            "blocks whose tokens are used."
        )
    blocks = blocks_after(stages, encoder.depth, name) or STAGES_AFTER[encoder.depth]
    needed = [f"neck.convs.{stage}.weight" for stage in range(4)] + ["head.conv2.weight"]
    missing = [key for key in needed if key not in state or state[key].ndim != 4]
    if missing:
        raise CheckpointError(f"{name}: {len(missing)} missing keys: {listed(missing)}.")
    fused = fused_stages(state, name)
    return DepthAnythingShape(
        encoder,
        state[needed[0]].shape[0],
        tuple(state[key].shape[1] for key in needed[:4]),
        state[needed[4]].shape[0],
        fused,
        DSFA_MAX_DEPTH_M if fused and max_depth is None else max_depth,
        blocks,
    )


class DepthAnything(nn.Module):
    """Depth Anything V2 whose later stages may read a bokeh stack.

    Args:
        shape: sizes of the network.
        attention_scale: how often logits are scaled by head_dim^-½. "trained": in DSFA's space
            part twice, elsewhere once. "single": once everywhere. "double": twice in the encoder
            too. The reference's commands disagree; the training configuration means the first.
        alibi: of DSFA.
        heads: of DSFA.
        k_scale: of DSFA.
    """

    def __init__(
        self,
        shape: DepthAnythingShape,
        attention_scale: str = "trained",
        alibi: float = ALIBI,
        heads: int = HEADS,
        k_scale: float = 1.0,
    ) -> None:
        from transformers import DepthAnythingConfig
        from transformers.models.depth_anything import modeling_depth_anything

        super().__init__()
        if attention_scale not in ATTENTION_SCALES:
            known = ", ".join(ATTENTION_SCALES)
            raise ValueError(f"attention_scale: expected {known}, found '{attention_scale}'.")
        self.shape = shape
        self.stages = shape.stages
        config = encoder_config(shape.encoder)
        self.backbone = build_backbone(config, scale_twice=attention_scale == "double")
        layout = DepthAnythingConfig(
            backbone_config=encoder_config(shape.encoder),  # it writes into what it is given
            patch_size=shape.encoder.patch,
            reassemble_hidden_size=shape.encoder.width,
            neck_hidden_sizes=list(shape.channels),
            fusion_hidden_size=shape.features,
            head_hidden_size=shape.head,
            depth_estimation_type="metric" if shape.metric else "relative",
        )
        parts: Any = modeling_depth_anything  # whose classes have no types
        self.neck = parts.DepthAnythingNeck(layout)
        self.head = parts.DepthAnythingDepthEstimationHead(layout)
        self.head.max_depth = shape.max_depth or 1.0  # the configuration takes whole numbers only
        width, twice = shape.encoder.width, attention_scale != "single"
        self.fusion = nn.ModuleDict(
            {
                str(stage): DividedSpaceFocusAttention(width, heads, twice, alibi, k_scale)
                for stage in shape.fused
            }
        )

    def forward(
        self,
        frames: Tensor,
        strengths: Tensor,
        chunk: int | None = None,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> Tensor:
        """Return metres, or relative disparity from a relative network, [B,h,w], float32.

        Args:
            frames: [B,F,3,h,w], normalised, sides multiples of 14; frame 0 is the photo.
            strengths: [B,F], px·m; 0 for the photo.
            chunk: frames encoded at once; None for all.
            check_cancelled: raises to stop.
        """
        tokens = self.tokens(frames, strengths, chunk, check_cancelled)
        patch = self.shape.encoder.patch
        rows, columns = frames.shape[-2] // patch, frames.shape[-1] // patch
        with without_autocast(frames.device):
            maps = self.neck([stage.to(self.neck_dtype) for stage in tokens], rows, columns)
            check_cancelled()
            found: Tensor = self.head(maps, rows, columns)
        return found.float()

    @property
    def neck_dtype(self) -> torch.dtype:
        """Number type that neck and head compute in."""
        weight: Tensor = self.neck.convs[0].weight
        return weight.dtype

    def tokens(
        self,
        frames: Tensor,
        strengths: Tensor,
        chunk: int | None = None,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> list[Tensor]:
        """Return the photo's tokens of the four stages, [B,1+T,D] each, fused where DSFA is."""
        batch, count = frames.shape[:2]
        if not self.fusion:
            frames, count = frames[:, :1], 1
        kept: list[list[Tensor]] = [[] for _ in self.stages]
        for part in torch.split(frames.flatten(0, 1), chunk or batch * count):
            found = encode(self.backbone, part, self.stages, POSITION_OFFSET, check_cancelled)
            for stage, tokens in enumerate(found):
                kept[stage].append(tokens)
        result = []
        for stage, parts in enumerate(kept):
            tokens = torch.unflatten(torch.cat(parts), 0, (batch, count))
            parts.clear()
            result.append(self._fused(stage, tokens, strengths) if count > 1 else tokens[:, 0])
            check_cancelled()
        return result

    def _fused(self, stage: int, tokens: Tensor, strengths: Tensor) -> Tensor:
        photo = tokens[:, 0].clone()  # a view would hold the tokens of all frames
        if str(stage) not in self.fusion:
            return photo
        patches = self.fusion[str(stage)](tokens[:, :, 1:], strengths)
        return torch.cat([photo[:, :1], patches], dim=1)
