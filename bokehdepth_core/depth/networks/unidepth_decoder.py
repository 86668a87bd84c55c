"""The decoder of UniDepthV2: camera from class tokens, depth and confidence from maps and rays."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...callbacks import CheckCancelled, never_cancelled

HEADS = 8
STAGES = 4
EXPANSION = 4
SLOPE = 0.01  # of every LeakyReLU
DEFAULT_FOCAL = 0.7  # of the diagonal, where the camera head says 0


@dataclass(frozen=True)
class DecoderShape:
    """Sizes of the decoder.

    Attributes:
        encoder_width: channels of the encoder's tokens.
        width: channels of the decoder's tokens.
        levels: channels after each upsampling stage.
        units: residual units of each upsampling stage.
        low: channels of the low-resolution outputs.
        high: channels before the last layer.
    """

    encoder_width: int
    width: int
    levels: tuple[int, ...]
    units: tuple[int, ...]
    low: int
    high: int


class StageAdapters(nn.Module):
    """One linear layer for each encoder stage."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.input_adapters = nn.ModuleList(nn.Linear(inputs, outputs) for _ in range(STAGES))

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Return each stage's tokens in the decoder's width."""
        return [layer(x) for layer, x in zip(self.input_adapters, stages, strict=True)]


class FeedForward(nn.Module):
    """LayerNorm and a two-layer perceptron; no residual."""

    def __init__(self, width: int, expansion: int = EXPANSION, outputs: int | None = None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.proj1 = nn.Linear(width, expansion * width)
        self.proj2 = nn.Linear(expansion * width, width if outputs is None else outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B,T,outputs] from [B,T,C]."""
        found: Tensor = self.proj2(F.gelu(self.proj1(self.norm(x))))
        return found


class _Gain(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class AttentionBlock(nn.Module):
    """Attention to a context, or to itself, and an MLP."""

    def __init__(self, width: int, gains: bool) -> None:
        super().__init__()
        self.norm_attnx = nn.LayerNorm(width)
        self.norm_attnctx = nn.LayerNorm(width)
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.mlp = FeedForward(width)
        self.ls1 = _Gain(width) if gains else nn.Identity()
        self.ls2 = _Gain(width) if gains else nn.Identity()

    def forward(
        self, x: Tensor, context: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """Return [B,T,C].

        Args:
            x: [B,T,C].
            context: [B,S,C]; None attends to `x`.
            positions: [1,T,C], added to the queries.
        """
        query = self.q(self.norm_attnx(x))
        if positions is not None:
            query = query + positions
        key, value = self.kv(self.norm_attnctx(x if context is None else context)).chunk(2, dim=-1)
        query, key, value = (
            torch.unflatten(part, -1, (HEADS, -1)).transpose(1, 2) for part in (query, key, value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + self.ls1(self.out(mixed))
        found: Tensor = x + self.ls2(self.mlp(x))
        return found


class Camera(nn.Module):
    """Predict a pinhole camera from the four class tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.latents_pos = nn.Parameter(torch.zeros(1, STAGES, width))
        self.project = FeedForward(width, expansion=1)
        self.aggregate1 = AttentionBlock(width, gains=True)
        self.aggregate2 = AttentionBlock(width, gains=True)
        self.out_pinhole = FeedForward(width, expansion=1, outputs=1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the four raw numbers of each camera, [B,4], from tokens [B,4,C]."""
        x = self.project(tokens)
        for block in (self.aggregate1, self.aggregate2):
            x = block(x, positions=self.latents_pos)
        numbers: Tensor = self.out_pinhole(x)
        return numbers[..., 0]

    def intrinsics(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """Return camera matrices [B,3,3], px of a height × width picture, float32."""
        x = self(tokens).float()
        focal = DEFAULT_FOCAL * (height**2 + width**2) ** 0.5 * torch.exp(x[:, :2])
        centre = torch.sigmoid(x[:, 2:]) * x.new_tensor([width, height])
        matrix = torch.diag_embed(F.pad(focal, (0, 1), value=1.0))
        matrix[:, :2, 2] = centre
        return matrix


class _ResidualUnit(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.gamma = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(F.leaky_relu(x, SLOPE))
        found: Tensor = x + self.gamma * self.conv2(F.leaky_relu(inner, SLOPE))
        return found


class _Upsample(nn.Module):
    def __init__(self, inputs: int, outputs: int, units: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_ResidualUnit(inputs) for _ in range(units))
        self.up = nn.Sequential(nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        for unit in self.convs:
            x = unit(x)
        return F.interpolate(self.up(x), scale_factor=2, mode="bilinear", align_corners=False)


class _Prompt(nn.Module):
    """Let one level's tokens attend to the ray features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([AttentionBlock(width, gains=False)])

    def forward(self, x: Tensor, rays: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, rays)
        return x


class DepthLayers(nn.Module):
    """From four levels of tokens and the rays to log radius and log confidence."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        width, last = shape.width, shape.levels[-1]
        inputs = (width, *shape.levels[:-1])
        self.prompt_camera = nn.ModuleList(_Prompt(width) for _ in range(STAGES))
        self.to_latents = nn.Linear(width, width)
        self.process_features = nn.ModuleList(
            nn.ConvTranspose2d(width, channels, 2**level, stride=2**level)
            for level, channels in enumerate(inputs)
        )
        self.ups = nn.ModuleList(
            _Upsample(*sizes) for sizes in zip(inputs, shape.levels, shape.units, strict=True)
        )
        self.depth_mlp = nn.ModuleDict(
            {"2": nn.Sequential(nn.LayerNorm(last), nn.Linear(last, last))}
        )
        self.confidence_mlp = nn.Sequential(nn.LayerNorm(last), nn.Linear(last, last))
        for output in ("depth", "confidence"):
            low = nn.Conv2d(last, shape.low, 3, padding=1, padding_mode="reflect")
            high = nn.Sequential(
                nn.Conv2d(shape.low, shape.high, 3, padding=1, padding_mode="reflect"),
                nn.LeakyReLU(SLOPE),
                nn.Conv2d(shape.high, 1, 1),
            )
            setattr(self, f"to_{output}_lr", low)
            setattr(self, f"to_{output}_hr", high)

    def forward(
        self,
        levels: Sequence[Tensor],
        rays: Tensor,
        grid: tuple[int, int],
        size: tuple[int, int],
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> tuple[Tensor, Tensor]:
        """Return log radius and log confidence, [B,1,h,w] each.

        Args:
            levels: four of [B,T,C].
            rays: [B,T,C], features of the rays.
            grid: rows and columns of tokens.
            size: height and width of the output, px.
            check_cancelled: raises to stop.
        """
        prompted = self.prompted(levels, rays)
        x = _as_map(self.to_latents(prompted[0]), grid)
        for level, (up, process) in enumerate(zip(self.ups, self.process_features, strict=True)):
            check_cancelled()
            x = up(x + process(_as_map(prompted[level + 1], grid)))
        pixels = x.movedim(1, -1)
        depth = self._output(self.depth_mlp["2"](pixels), "depth", size)
        check_cancelled()
        return depth, self._output(self.confidence_mlp(pixels), "confidence", size)

    def prompted(self, levels: Sequence[Tensor], rays: Tensor) -> list[Tensor]:
        """Return the four levels after attending to the rays, [B,T,C] each."""
        return [prompt(x, rays) for prompt, x in zip(self.prompt_camera, levels, strict=True)]

    def _output(self, pixels: Tensor, output: str, size: tuple[int, int]) -> Tensor:
        low = getattr(self, f"to_{output}_lr")(pixels.movedim(-1, 1))
        large = F.interpolate(low, size, mode="bilinear", align_corners=True)
        found: Tensor = getattr(self, f"to_{output}_hr")(large)
        return found


def _as_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    return torch.unflatten(tokens.transpose(1, 2), 2, grid)
