"""A small convolutional network with DSFA, which a laptop can train from nothing.

Photo and frames go through one encoder down to an eighth of their size; DSFA fuses their tokens;
the photo's own finer maps lead back to full size. What a stack tells is |d − d_f| in blur, so with
a stack the network gives signed blur in px at the largest strength, with the side of the focus told
to it; from the photo alone, in a head of its own, disparity up to scale and offset.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...callbacks import CheckCancelled, never_cancelled
from ...weights.errors import CheckpointError, listed
from ...weights.reading import StateDict
from .dsfa import ALIBI, HEADS, DividedSpaceFocusAttention

PATCH = 8  # px of a token
MEAN, SPREAD = 0.45, 0.25  # of sRGB values
BANDS = (1, 3, 7, 15)  # px; box filters, whose differences are the bands of contrast
_ENERGY_BOX = 5  # px that contrast is averaged over
_QUIET = 2e-5  # variance of 8-bit rounding and a little noise
_LOG_MEAN, _LOG_SPREAD = -8.0, 2.5  # of the logarithm of a band's energy
RADIUS_UNIT = 10.0  # px that an output of 1 stands for
_MARK = "small.side.weight"


@dataclass(frozen=True)
class SmallShape:
    """Sizes of a small network.

    Attributes:
        channels: of the maps at half and at a quarter of the size.
        width: channels of a token.
    """

    channels: tuple[int, int] = (16, 32)
    width: int = 64


def memory_floats(shape: SmallShape, frames: int) -> float:
    """Return the most numbers held at once for each pixel of the input, weights left out.

    Read off the tensors that torch holds while frames are encoded, and while maps go up again.
    """
    first, second = shape.channels
    maps = first / 4 + second / 16  # at half and at a quarter of the size
    encoding = frames * (9 + first)
    means = maps if frames > 1 else 0.0
    going_up = frames * (3 + maps + shape.width / 64) + means + 1.7 * first
    return max(encoding, going_up)


def is_small(state: Mapping[str, Tensor]) -> bool:
    """Tell whether tensors are a small network."""
    return _MARK in state


def read_shape(state: StateDict, name: str) -> SmallShape:
    """Read the sizes of a small network off its tensors.

    Raises:
        CheckpointError: missing keys.
    """
    needed = [f"backbone.{stage}.first.weight" for stage in range(3)]
    missing = [key for key in needed if key not in state or state[key].ndim != 4]
    if missing:
        raise CheckpointError(f"{name}: {len(missing)} missing keys: {listed(missing)}.")
    first, second, width = (state[key].shape[0] for key in needed)
    if width < 4:
        raise CheckpointError(f"{name}: tokens of {width} channels; no network here is so narrow.")
    return SmallShape((first, second), width)


class _Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.gain = nn.Parameter(torch.full((width, 1, 1), 0.3))

    def forward(self, maps: Tensor) -> Tensor:
        inside = self.second(F.gelu(self.first(F.gelu(maps))))
        return torch.addcmul(maps, self.gain, inside)


class _Stage(nn.Module):
    """A convolution of stride 2 and residual ones."""

    def __init__(self, width_in: int, width: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width_in, width, 5, stride=2, padding=2)
        self.blocks = nn.Sequential(*(_Residual(width) for _ in range(blocks)))

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.blocks(self.first(maps))
        return found


class _Up(nn.Module):
    """Twice the size, with the photo's finer map and the mean one of the frames."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(width_in, width, 1)
        self.skip = nn.Conv2d(2 * width, width, 1)
        self.block = _Residual(width)

    def forward(self, maps: Tensor, photo: Tensor, frames: Tensor) -> Tensor:
        finer = F.interpolate(
            self.reduce(maps), photo.shape[-2:], mode="bilinear", align_corners=False
        )
        found: Tensor = self.block(finer + self.skip(torch.cat([photo, frames], dim=1)))
        return found


def contrast_maps(pictures: Tensor) -> Tensor:
    """Return pictures with the logarithm of their local contrast in three bands, [N,6,h,w].

    Blur takes contrast away, the finer the sooner: the difference of these maps between a frame and
    the photo tells its radius, whatever the texture. A network this small learns from it at once
    what it would need many scenes to find.

    Args:
        pictures: [N,3,h,w], sRGB, 0…1.

    Example:
        >>> contrast_maps(torch.full((1, 3, 8, 8), 0.45))[0, :3].abs().max()
        tensor(0.)
    """
    levels = [_box(pictures.mean(1, keepdim=True), size) for size in BANDS]
    energies = [_box((fine - coarse) ** 2, _ENERGY_BOX) for fine, coarse in pairwise(levels)]
    energy = torch.log(torch.cat(energies, dim=1) + _QUIET)
    return torch.cat([(pictures - MEAN) / SPREAD, (energy - _LOG_MEAN) / _LOG_SPREAD], dim=1)


def _box(maps: Tensor, size: int) -> Tensor:
    if size == 1:
        return maps
    # Down, then across: the mean over what lies inside the picture is the same, and far quicker.
    half = size // 2
    down = F.avg_pool2d(maps, (size, 1), 1, (half, 0), count_include_pad=False)
    return F.avg_pool2d(down, (1, size), 1, (0, half), count_include_pad=False)


class SmallDepth(nn.Module):
    """Signed blur from a stack, or relative disparity from a photo.

    Args:
        shape: sizes of the network.
        alibi: of DSFA.
        heads: of DSFA.
        k_scale: of DSFA.
    """

    def __init__(
        self,
        shape: SmallShape,
        alibi: float = ALIBI,
        heads: int = HEADS,
        k_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.shape = shape
        first, second = shape.channels
        width = shape.width
        self.backbone = nn.ModuleList(
            [_Stage(2 + len(BANDS), first, 1), _Stage(first, second, 2), _Stage(second, width, 2)]
        )
        self.fusion = nn.ModuleDict(
            {"0": DividedSpaceFocusAttention(width, heads, False, alibi, k_scale)}
        )
        self.small = nn.ModuleDict({"side": nn.Linear(1, width)})
        self.up = nn.ModuleList([_Up(width, second), _Up(second, first)])
        self.head = nn.ModuleDict(
            {"stack": nn.Conv2d(first, 1, 3, padding=1), "photo": nn.Conv2d(first, 1, 3, padding=1)}
        )

    def forward(
        self,
        frames: Tensor,
        strengths: Tensor,
        side: Tensor,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> Tensor:
        """Return what the photo's pixels are, [B,h,w], float32.

        With a stack: signed blur at the largest strength, px, K (d − d_f), positive in front of the
        focus. Without: disparity up to scale and offset.

        Args:
            frames: [B,F,3,h,w], sRGB, 0…1, sides multiples of 8; frame 0 is the photo.
            strengths: [B,F], px·m; 0 for the photo.
            side: [B]; -1 where all lies behind the focus plane, 1 where all lies in front of it, 0
                where things may lie on both sides.
            check_cancelled: raises to stop.
        """
        batch, count = frames.shape[:2]
        maps = contrast_maps(frames.flatten(0, 1))
        finer: list[tuple[Tensor, Tensor]] = []
        for stage in self.backbone:
            check_cancelled()
            maps = stage(maps)
            each = torch.unflatten(maps, 0, (batch, count))
            finer.append((each[:, 0], each[:, 1:].mean(1) if count > 1 else each[:, 0]))
        rows, columns = maps.shape[-2:]
        tokens = each.flatten(3).transpose(2, 3)
        fused = self.fusion["0"](tokens, strengths) if count > 1 else tokens[:, 0]
        if count > 1:
            fused = fused + self.small["side"](side[:, None].to(fused.dtype))[:, None]
        maps = fused.transpose(1, 2).reshape(batch, -1, rows, columns)
        for up, (photo, others) in zip(self.up, reversed(finer[:-1]), strict=True):
            check_cancelled()
            maps = up(maps, photo, others)
        found = cast(Tensor, self.head["stack" if count > 1 else "photo"](F.gelu(maps)))
        found = F.interpolate(
            found.float(), frames.shape[-2:], mode="bilinear", align_corners=False
        )
        return found[:, 0] * (RADIUS_UNIT if count > 1 else 1.0)
