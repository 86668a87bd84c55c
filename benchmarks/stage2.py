"""Time and memory of the DSFA block and of whole estimates, beside their plain forms in one run.

Run with the package installed: python benchmarks/stage2.py
"""

import functools
import time
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from memory import peak_bytes

from bokehdepth_core import BokehStack
from bokehdepth_core.depth.estimator import NetworkEstimator
from bokehdepth_core.depth.networks.depth_anything import DepthAnything, DepthAnythingShape
from bokehdepth_core.depth.networks.dinov2 import EncoderShape
from bokehdepth_core.depth.networks.dsfa import ALIBI, DividedSpaceFocusAttention

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


def measure(forms, sizes):
    """Print seconds and extra memory of each form, and both as shares of the first form's."""
    seconds = dict.fromkeys(forms, float("inf"))
    for _ in range(RUNS):
        for name, run in forms.items():
            start = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    memory = {name: peak_bytes(run) for name, run in forms.items()}
    first = next(iter(forms))
    print(sizes)
    for name in forms:
        print(
            f"  {name:16s} {seconds[name]:6.2f} s  {memory[name] / 2**20:6.0f} MiB  "
            f"time ratio {seconds[name] / seconds[first]:.3f}  "
            f"extra memory ratio {memory[name] / memory[first]:.3f}"
        )


@torch.inference_mode()
def compare_blocks():
    block = DividedSpaceFocusAttention(WIDTH).eval()
    tokens = torch.randn(1, FRAMES, TOKENS, WIDTH)
    strengths = torch.tensor([[0.0, 10.0, 20.0]])
    forms = {
        "literal": lambda: literal(block, tokens, strengths),
        "ours": lambda: block(tokens, strengths),
    }
    torch.testing.assert_close(forms["ours"](), forms["literal"](), rtol=1e-4, atol=1e-4)
    measure(forms, f"DSFA block, width {WIDTH}, {FRAMES} frames, {TOKENS} tokens")


@contextmanager
def literal_fusion(network):
    """Run the network's DSFA blocks from their formula, as `literal`."""
    for block in network.fusion.values():
        block.forward = functools.partial(literal, block)
    try:
        yield
    finally:
        for block in network.fusion.values():
            del block.forward


def compare_estimates():
    """Whole estimates of Depth Anything V2 small with DSFA.

    Frames one by one with the blocks from their formula, then with ours, then all frames at once.
    """
    encoder = EncoderShape(384, 12, 37, 14, False)
    shape = DepthAnythingShape(encoder, 64, (48, 96, 192, 384), 32, (2, 3), 80.0)
    estimator = NetworkEstimator(DepthAnything(shape).eval())
    image = torch.rand(1, 518, 518, 3)
    stack = BokehStack(image[0], torch.rand(FRAMES - 1, 518, 518, 3), (10.0, 20.0))

    def estimate(chunk, fusion):
        with fusion(estimator.network):
            return estimator.estimate(image, stack, chunk=chunk).depth

    forms = {
        "literal, 1 by 1": lambda: estimate(1, literal_fusion),
        "ours, 1 by 1": lambda: estimate(1, nullcontext),
        "ours, at once": lambda: estimate(None, nullcontext),
    }
    wanted, *found = (run() for run in forms.values())
    for depth in found:
        torch.testing.assert_close(depth, wanted, rtol=1e-4, atol=0)
    measure(forms, f"Estimate at 518x518, ViT-S, {FRAMES} frames")
    for chunk in (1, None):
        asked = estimator.memory_required(518, 518, FRAMES, chunk=chunk)
        print(f"  memory_required with chunk={chunk}: {asked / 2**20:.0f} MiB")


if __name__ == "__main__":
    torch.manual_seed(0)
    compare_blocks()
    compare_estimates()
