"""Divided Space-Focus Attention: one photo's tokens learn from the blur of its stack.

Space attention works within each frame, focus attention at one place over the frames. Only the
reference leaves the block, so of the focus part only the reference's query is computed.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS = 8
ALIBI = 1.0  # logits fall by this much per px·m between two frames' strengths
MLP_RATIO = 4


def _gain(width: int) -> nn.Parameter:
    """Return the gain of a residual branch, one number for each channel."""
    return nn.Parameter(torch.full((width,), 0.1))


class _Attention(nn.Module):
    """Weights of one attention; `qkv` is [query | key | value]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)


class _FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        # In two halves: the hidden layer is the block's largest tensor.
        halves = [self.fc2(F.gelu(self.fc1(half))) for half in tokens.chunk(2, dim=-2)]
        return torch.cat(halves, dim=-2)


class DividedSpaceFocusAttention(nn.Module):
    """Fuse the tokens of a photo and its stack into the photo's tokens.

    Args:
        width: channels of a token, a multiple of `heads`.
        heads: attention heads.
        scale_space_twice: divide space logits by head_dim, as the published weights were trained,
            instead of by its root.
        alibi: by how much focus logits fall for each px·m between two frames' strengths.
        k_scale: factor of strengths before anything is made of them; 1 as published. With it raw
            strengths of 10 to 30 leave frames e^-10 of the attention, too little to learn from.

    Reference:
        arXiv 2512.12425, stage 2.
    """

    def __init__(
        self,
        width: int,
        heads: int = HEADS,
        scale_space_twice: bool = True,
        alibi: float = ALIBI,
        k_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.alibi = alibi
        self.k_scale = k_scale
        head_dim = width // heads
        self.space_scale = 1 / head_dim if scale_space_twice else head_dim**-0.5
        self.ln_space_attn = nn.LayerNorm(width)
        self.space_attn = _Attention(width)
        self.gamma_space_attn = _gain(width)
        self.ln_space_ffn = nn.LayerNorm(width)
        self.space_ffn = _FeedForward(width)
        self.gamma_space_ffn = _gain(width)
        self.ln_focus_attn = nn.LayerNorm(width)
        self.focus_attn = _Attention(width)
        self.gamma_focus_attn = _gain(width)
        self.ln_focus_ffn = nn.LayerNorm(width)
        self.focus_ffn = _FeedForward(width)
        self.gamma_focus_ffn = _gain(width)
        self.k_embed = nn.Sequential(
            nn.Linear(1, width // 4), nn.ReLU(), nn.Linear(width // 4, width)
        )
        self.focus_film = nn.Linear(width, 2 * width)

    def forward(self, tokens: Tensor, strengths: Tensor) -> Tensor:
        """Return the reference's tokens after the block, [B,T,D].

        Args:
            tokens: [B,F,T,D]; frame 0 is the reference.
            strengths: [B,F], px·m, raw; 0 for the reference.
        """
        frames, width = tokens.shape[1], tokens.shape[3]
        strengths = strengths * self.k_scale
        embedded = self.embed_strengths(strengths, tokens.dtype)
        shift, scale = self.film(embedded)
        weight, bias = self.focus_attn.qkv.weight, self.focus_attn.qkv.bias

        def conditioned(frame: int) -> Tensor:
            x = self.space(tokens[:, frame], embedded[:, frame])
            return torch.addcmul(shift[:, frame, None], x, scale[:, frame, None])

        reference = conditioned(0)
        normed = self.ln_focus_attn(reference)
        query, key, value = F.linear(normed, weight, bias).chunk(3, dim=-1)
        keys, values = [key], [value]
        for frame in range(1, frames):  # one at a time: a quarter of the memory of all at once
            normed = self.ln_focus_attn(conditioned(frame))
            key, value = F.linear(normed, weight[width:], bias[width:]).chunk(2, dim=-1)
            keys.append(key)
            values.append(value)
        attended = self._focus(query, torch.stack(keys, 2), torch.stack(values, 2), strengths)
        x = torch.addcmul(reference, self.gamma_focus_attn, self.focus_attn.out_proj(attended))
        return torch.addcmul(x, self.gamma_focus_ffn, self.focus_ffn(self.ln_focus_ffn(x)))

    def focus_shares(self, tokens: Tensor, strengths: Tensor) -> Tensor:
        """Return how much attention the photo pays to each frame, [B,F], itself first; sums to 1.

        Args:
            tokens: [B,F,T,D]; frame 0 is the reference.
            strengths: [B,F], px·m, raw.
        """
        scaled = strengths * self.k_scale
        embedded = self.embed_strengths(scaled, tokens.dtype)
        shift, scale = self.film(embedded)
        parts = []
        for frame in range(tokens.shape[1]):
            x = self.space(tokens[:, frame], embedded[:, frame])
            x = torch.addcmul(shift[:, frame, None], x, scale[:, frame, None])
            qkv = self.focus_attn.qkv(self.ln_focus_attn(x))
            parts.append(qkv.unflatten(-1, (3, self.heads, -1)))
        query = parts[0][:, :, 0]
        keys = torch.stack([part[:, :, 1] for part in parts], 2)  # [B,T,F,heads,head_dim]
        logits = (query[:, :, None] * keys).sum(-1) * keys.shape[-1] ** -0.5
        bias = -self.alibi * (scaled - scaled[:, :1]).float().abs()
        weights = torch.softmax(logits.float() + bias[:, None, :, None], dim=2)
        return weights.mean((1, 3))

    def embed_strengths(self, strengths: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the strength tokens [B,F,D] of strengths [B,F]; computed in float32."""
        hidden = strengths.float()[..., None]
        first, last = cast(nn.Linear, self.k_embed[0]), cast(nn.Linear, self.k_embed[2])
        hidden = F.linear(hidden, first.weight.float(), first.bias.float()).relu()
        return F.linear(hidden, last.weight.float(), last.bias.float()).to(dtype)

    def film(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shift and the factor of each frame, [B,F,D] both."""
        scale, shift = self.focus_film(embedded).chunk(2, dim=-1)
        return shift, 1 + torch.tanh(scale)

    def space(self, tokens: Tensor, embedded: Tensor) -> Tensor:
        """Return one frame's tokens [B,T,D] after attention within the frame and the MLP.

        Args:
            tokens: [B,T,D].
            embedded: [B,D]; the strength, attended to as one more token.
        """
        x = torch.cat([embedded[:, None], tokens], dim=1)
        qkv = self.space_attn.qkv(self.ln_space_attn(x))
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=-1)
        )
        # The strength token is read, never written: its own query is not needed.
        mixed = F.scaled_dot_product_attention(query[:, :, 1:], key, value, scale=self.space_scale)
        out = self.space_attn.out_proj(mixed.transpose(1, 2).flatten(2))
        x = torch.addcmul(tokens, self.gamma_space_attn, out)
        return torch.addcmul(x, self.gamma_space_ffn, self.space_ffn(self.ln_space_ffn(x)))

    def _focus(self, query: Tensor, keys: Tensor, values: Tensor, strengths: Tensor) -> Tensor:
        """Return [B,T,D] from the reference's query [B,T,D] over keys and values [B,T,F,D]."""
        batch, count, frames, width = keys.shape
        shape = (batch * count, frames, self.heads, width // self.heads)
        key, value = keys.view(shape).transpose(1, 2), values.view(shape).transpose(1, 2)
        bias = -self.alibi * (strengths - strengths[:, :1]).float().abs()
        bias = bias[:, None].expand(-1, count, -1).reshape(batch * count, 1, 1, frames)
        mixed = F.scaled_dot_product_attention(
            query.reshape(batch * count, 1, self.heads, -1).transpose(1, 2),
            key,
            value,
            attn_mask=bias.to(query.dtype),
        )
        return mixed.reshape(batch, count, width)
