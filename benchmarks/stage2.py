"""Time and memory of the DSFA block: all frames through every part, and as this project does it.

Run with the package installed: python benchmarks/stage2.py
"""

import time

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from bokehdepth_core.depth.dsfa import ALIBI, DividedSpaceFocusAttention

WIDTH, FRAMES, TOKENS, RUNS = 1024, 3, 37 * 37, 3


def heads_of(tokens, heads):
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def feed_forward(part, tokens):
    return part.fc2(F.gelu(part.fc1(tokens)))


def literal(block, tokens, strengths):
    """Return the block's output from its formula, all frames computed to the end."""
    batch, frames, count = tokens.shape[:3]
    embedded = block.embed_strengths(strengths, tokens.dtype)
    x = torch.cat([embedded[:, :, None], tokens], dim=2).flatten(0, 1)
    q, k, v = (
        heads_of(p, block.heads) for p in block.space_attn.qkv(block.ln_space_attn(x)).chunk(3, -1)
    )
    mixed = F.scaled_dot_product_attention(q, k, v, scale=block.space_scale)
    x = x + block.gamma_space_attn * block.space_attn.out_proj(mixed.transpose(1, 2).flatten(2))
    x = x + block.gamma_space_ffn * feed_forward(block.space_ffn, block.ln_space_ffn(x))
    x = x[:, 1:].unflatten(0, (batch, frames))
    shift, scale = block.film(embedded)
    x = (x * scale[:, :, None] + shift[:, :, None]).transpose(1, 2).flatten(0, 1)
    q, k, v = (
        heads_of(p, block.heads) for p in block.focus_attn.qkv(block.ln_focus_attn(x)).chunk(3, -1)
    )
    bias = -ALIBI * (strengths[:, :, None] - strengths[:, None]).abs()
    bias = bias.repeat_interleave(count, 0)[:, None]
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    x = x + block.gamma_focus_attn * block.focus_attn.out_proj(mixed.transpose(1, 2).flatten(2))
    x = x + block.gamma_focus_ffn * feed_forward(block.focus_ffn, block.ln_focus_ffn(x))
    return x.unflatten(0, (batch, count))[:, :, 0]


def peak_bytes(run):
    """Return the most bytes held at once above what was held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


@torch.inference_mode()
def main():
    torch.manual_seed(0)
    block = DividedSpaceFocusAttention(WIDTH).eval()
    tokens = torch.randn(1, FRAMES, TOKENS, WIDTH)
    strengths = torch.tensor([[0.0, 10.0, 20.0]])
    forms = {
        "literal": lambda: literal(block, tokens, strengths),
        "ours": lambda: block(tokens, strengths),
    }
    torch.testing.assert_close(forms["ours"](), forms["literal"](), rtol=1e-4, atol=1e-4)
    seconds = dict.fromkeys(forms, float("inf"))
    for _ in range(RUNS):
        for name, run in forms.items():
            start = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    memory = {name: peak_bytes(run) for name, run in forms.items()}
    print(f"DSFA block, width {WIDTH}, {FRAMES} frames, {TOKENS} tokens")
    print(f"time ratio {seconds['ours'] / seconds['literal']:.3f}")
    print(f"extra memory ratio {memory['ours'] / memory['literal']:.3f}")


if __name__ == "__main__":
    main()
