"""UniDepthV2, with or without DSFA: metric depth, its confidence and the camera."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...callbacks import CheckCancelled, never_cancelled
from ...devices import interpolate, without_autocast
from ...optics.camera import pixel_rays
from ...weights.errors import CheckpointError, listed
from ...weights.reading import StateDict
from ...weights.strict import Rules, rename
from .dinov2 import (
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
from .unidepth_decoder import Camera, DecoderShape, DepthLayers, StageAdapters

FINAL_NORM_EPS = 1e-5
SAME_ROW = 1e-6  # of a unit ray's y; float32 rays of a middle row are off by 1e-8

KEYS: Rules = {
    **original_encoder_rules(r"pixel_encoder\.backbone\."),
    r"pixel_encoder\.fusion_blocks\.(\d)\.(.*)": r"fusion.\1.\2",
    r"pixel_decoder\.level_embeds": None,  # influences no output
    r"pixel_decoder\.(.*)": r"\1",
}


@dataclass(frozen=True)
class UniDepthShape:
    """Sizes of a UniDepthV2 network.

    Attributes:
        encoder: sizes of the encoder.
        decoder: sizes of the decoder.
        fused: stages (0-based) with DSFA; empty for plain networks.
        stages: encoder blocks (0-based) after which the four stages end.
    """

    encoder: EncoderShape
    decoder: DecoderShape
    fused: tuple[int, ...]
    stages: tuple[int, ...]


class Prediction(NamedTuple):
    """What the network says about each pixel of its input.

    Attributes:
        points: [B,3,h,w], m, camera coordinates; the third is depth.
        confidence: [B,h,w], > 0; unbounded.
        intrinsics: [B,3,3], px of the network's input; predicted even where one was given.
        rays: [B,3,h,w], unit viewing rays that were used.
    """

    points: Tensor
    confidence: Tensor
    intrinsics: Tensor
    rays: Tensor


def is_unidepth(state: Mapping[str, Tensor]) -> bool:
    """Tell whether tensors are a UniDepthV2 network."""
    return "pixel_decoder.camera_layer.latents_pos" in state


def to_own_names(state: StateDict, name: str) -> StateDict:
    """Return the tensors under this module's names.

    Raises:
        CheckpointError: keys that belong to no UniDepthV2 network.
    """
    return rename(split_qkv(state, name), KEYS, name)


def read_shape(state: StateDict, name: str, stages: tuple[int, ...] | None = None) -> UniDepthShape:
    """Read the sizes of a network off its tensors.

    Args:
        state: tensors as from `to_own_names`.
        name: the file's, for messages.
        stages: four encoder blocks, counted from 1; None for four equal stages, as published.

    Raises:
        CheckpointError: missing keys.
    """
    encoder = encoder_shape(
        state,
        "backbone.embeddings.position_embeddings",
        "backbone.embeddings.patch_embeddings.projection.weight",
        r"backbone\.encoder\.layer\.(\d{1,9})\.",
        name,
    )
    if stages is None and encoder.depth % 4:
        raise CheckpointError(
            f"{name}: {encoder.depth} encoder blocks; expected four equal stages. Give stages."
        )
    quarter = encoder.depth // 4
    equal = tuple(quarter * stage - 1 for stage in range(1, 5))
    blocks = blocks_after(stages, encoder.depth, name) or equal
    needed = ["depth_layer.to_latents.weight"]
    needed += [f"depth_layer.ups.{stage}.up.0.weight" for stage in range(3)]
    needed += ["depth_layer.to_depth_lr.weight", "depth_layer.to_depth_hr.0.weight"]
    missing = [key for key in needed if key not in state or state[key].ndim < 2]
    if missing:
        raise CheckpointError(f"{name}: {len(missing)} missing keys: {listed(missing)}.")
    units = re.compile(r"depth_layer\.ups\.(\d)\.convs\.(\d+)\.gamma")
    counts = [0, 0, 0]
    for key in state:
        if (match := units.fullmatch(key)) and int(match.group(1)) < len(counts):
            counts[int(match.group(1))] += 1
    fused = fused_stages(state, name)
    rows = [state[key].shape[0] for key in needed]
    decoder = DecoderShape(
        encoder.width, rows[0], tuple(rows[1:4]), tuple(counts), rows[4], rows[5]
    )
    return UniDepthShape(encoder, decoder, fused, blocks)


class UniDepth(nn.Module):
    """UniDepthV2 whose stages may read a bokeh stack.

    Args:
        shape: sizes of the network.
        alibi: of DSFA.
        heads: of DSFA.
        k_scale: of DSFA.
    """

    def __init__(
        self,
        shape: UniDepthShape,
        alibi: float = ALIBI,
        heads: int = HEADS,
        k_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.stages = shape.stages
        self.backbone = build_backbone(encoder_config(shape.encoder))
        cast(nn.LayerNorm, self.backbone.layernorm).eps = FINAL_NORM_EPS
        width = shape.encoder.width
        self.fusion = nn.ModuleDict(
            {
                str(stage): DividedSpaceFocusAttention(width, heads, alibi=alibi, k_scale=k_scale)
                for stage in shape.fused
            }
        )
        self.input_adapter = StageAdapters(shape.encoder.width, shape.decoder.width)
        self.camera_token_adapter = StageAdapters(shape.encoder.width, shape.decoder.width)
        self.camera_layer = Camera(shape.decoder.width)
        self.depth_layer = DepthLayers(shape.decoder)

    def forward(
        self,
        frames: Tensor,
        strengths: Tensor,
        intrinsics: Tensor | None = None,
        chunk: int | None = None,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> Prediction:
        """Return points, confidence and camera; arithmetic of the camera in float32.

        Args:
            frames: [B,F,3,h,w], normalised, sides multiples of 14; frame 0 is the photo.
            strengths: [B,F], px·m; 0 for the photo.
            intrinsics: [B,3,3], px of this input; None takes the predicted camera.
            chunk: frames encoded at once; None for all.
            check_cancelled: raises to stop.
        """
        height, width = frames.shape[-2:]
        maps, classes = self.features(frames, strengths, chunk, check_cancelled)
        with without_autocast(frames.device):
            return self._decoded(maps, classes, (height, width), intrinsics, check_cancelled)

    def _decoded(
        self,
        maps: list[Tensor],
        classes: list[Tensor],
        size: tuple[int, int],
        intrinsics: Tensor | None,
        check_cancelled: CheckCancelled,
    ) -> Prediction:
        """Return what the decoder makes of the stages' maps and class tokens."""
        height, width = size
        dtype = cast(nn.Linear, self.input_adapter.input_adapters[0]).weight.dtype
        levels = self.input_adapter([stage.to(dtype) for stage in maps])
        tokens = self.camera_token_adapter([token.to(dtype) for token in classes])
        predicted = self.camera_layer.intrinsics(torch.cat(tokens, dim=1), height, width)
        camera = predicted if intrinsics is None else intrinsics.float()
        rays = unit_rays(camera, height, width)
        grid = (height // self.shape.encoder.patch, width // self.shape.encoder.patch)
        embedding = ray_features(rays, grid, self.shape.decoder.width).to(dtype)
        log_radius, log_confidence = self.depth_layer(
            levels, embedding, grid, (height, width), check_cancelled
        )
        radius = torch.exp(log_radius.float().clip(-8, 8) + 2)
        confidence = torch.exp(log_confidence.float().clip(-8, 8))
        return Prediction(rays * radius, confidence[:, 0], predicted, rays)

    def features(
        self,
        frames: Tensor,
        strengths: Tensor,
        chunk: int | None = None,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the photo's maps [B,T,D] and class tokens [B,1,D] of the four stages."""
        batch, count = frames.shape[:2]
        if not self.fusion:
            frames, count = frames[:, :1], 1
        kept: list[list[Tensor]] = [[] for _ in self.stages]
        for part in torch.split(frames.flatten(0, 1), chunk or batch * count):
            found = encode(self.backbone, part, self.stages, 0.0, check_cancelled)
            for stage, tokens in enumerate(found):
                kept[stage].append(tokens)
        maps, classes = [], []
        for stage in range(len(self.stages)):
            tokens = torch.unflatten(torch.cat(kept[stage]), 0, (batch, count))
            kept[stage].clear()
            classes.append(tokens[:, 0, :1].clone())  # views would hold the tokens of all frames
            fuse = count > 1 and str(stage) in self.fusion
            patches = tokens[:, :, 1:]
            maps.append(
                self.fusion[str(stage)](patches, strengths) if fuse else patches[:, 0].clone()
            )
            check_cancelled()
        return maps, classes


def unit_rays(intrinsics: Tensor, height: int, width: int) -> Tensor:
    """Return the unit viewing ray of every pixel centre, [B,3,h,w], float32."""
    rays = pixel_rays(intrinsics.float(), height, width)
    return F.normalize(rays, dim=-1).movedim(-1, 1)


def ray_features(rays: Tensor, grid: tuple[int, int], width: int) -> Tensor:
    """Return sine features of the rays' angles on the token grid, [B,T,width], float32.

    The first half is of the polar angle, the second of the azimuth.

    Args:
        rays: [B,3,h,w], unit.
        grid: rows and columns of tokens.
        width: channels of a feature.
    """
    small = interpolate(rays, grid, antialias=True)
    x, y, z = F.normalize(small, dim=1).flatten(2).unbind(1)
    polar = torch.acos(z.clip(-1, 1))
    x = torch.where(x < 0, -1.0, 1.0) * x.abs().clip(min=1e-3)
    # The azimuth jumps by a turn at y = 0, where the middle row of a centred camera lies: rounding
    # must not choose its side.
    y = torch.where(y.abs() < SAME_ROW, 0.0, y)
    angles = torch.stack([polar, torch.atan2(y, x)], dim=-1)
    octaves = torch.linspace(0, math.log2(max(grid) // 2), width // 2, device=rays.device)
    waves = torch.sin(math.pi * angles[..., None] * 2**octaves)
    return waves.flatten(2)
