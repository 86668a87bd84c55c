"""Cost of the bokeh adapter in a FLUX transformer: a forward without it, published form, folded.

    python benchmarks/stage1.py [--width 1024] [--doubles 2] [--singles 4] [--size 256]
                                [--strengths 1] [--repeats 9] [--device cpu] [--dtype float32]

Random weights. Forms: (a) no adapter; (b) as published: low-rank products of query and key, and an
attention of every query to one context token, in every layer; (c) folded weights and strength
vectors added before the output projections. The forms take turns; times are the median of this
run's rounds, ratios the median of each round's ratio, with their quartiles. (a) is timed twice in
each round: a/a shows the noise of the run.
"""

import argparse
import statistics
import sys
import time
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bokehdepth_core.generator.adapter import adapter_from_state_dict, folded
from bokehdepth_core.generator.kontext import attention_layers, strengths_added

HEAD = 128
TEXT_TOKENS = 512
CONTEXT, RANK = 768, 128


def make_transformer(options):
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(0)
    with torch.device(options.device):
        model = FluxTransformer2DModel(
            in_channels=64,
            num_layers=options.doubles,
            num_single_layers=options.singles,
            attention_head_dim=HEAD,
            num_attention_heads=options.width // HEAD,
            joint_attention_dim=4096,
            guidance_embeds=True,
        )
    return model.to(options.dtype).eval().requires_grad_(False)


def make_adapter(options):
    """A random adapter, and the `to_k_dof` weights that only the published form has a use for."""
    width, layers = options.width, options.doubles + options.singles
    state = {
        "embedding_layer.0.weight": (64, 1),
        "embedding_layer.0.bias": (64,),
        "embedding_layer.2.weight": (CONTEXT, 64),
        "embedding_layer.2.bias": (CONTEXT,),
    }
    for index in range(layers):
        for name, size in (("v_dof", CONTEXT), ("q_adp", width), ("k_adp", width)):
            state[f"{index}.to_{name}.down.weight"] = (RANK, size)
            state[f"{index}.to_{name}.up.weight"] = (width, RANK)
    state = {key: 0.01 * torch.randn(shape) for key, shape in state.items()}
    return adapter_from_state_dict(state)


@contextmanager
def published(layers, adapter, options):
    """The adapter as extra work in every layer; one context token for each sample."""
    embedded = adapter.embed(options.values).to(options.device, options.dtype)[:, None]
    with ExitStack() as hooks:
        for index, attention in enumerate(layers.attention):
            layer = adapter.layers[index]
            place = {"device": options.device, "dtype": options.dtype}
            value_pair = layer.value_down.to(**place), layer.value_up.to(**place)
            key_pair = tuple(torch.randn_like(part) * 0.01 for part in value_pair)
            kept = {}
            for which, linear in enumerate((attention.to_q, attention.to_k)):
                pair = layer.down[which].to(**place), layer.up[which].to(**place)
                hook = linear.register_forward_hook(_low_rank(pair))
                hooks.callback(hook.remove)
            norms = [attention.norm_q]
            if attention.added_kv_proj_dim is not None:
                norms.append(attention.norm_added_q)
            for which, norm in enumerate(norms):
                hooks.callback(norm.register_forward_hook(_keep(kept, which)).remove)
            for which, linear in enumerate(layers.outputs[index]):
                hook = linear.register_forward_pre_hook(
                    _one_token_attention(kept, which, embedded, key_pair, value_pair)
                )
                hooks.callback(hook.remove)
        yield


def _low_rank(pair):
    down, up = pair

    def hook(_, __, out):
        return out + F.linear(F.linear(out, down), up)

    return hook


def _keep(kept, which):
    def hook(_, __, out):
        kept[which] = out  # [B,T,heads,HEAD]

    return hook


def _one_token_attention(kept, which, context, key_pair, value_pair):
    def hook(_, args):
        query = kept[which].transpose(1, 2)
        key, value = (
            F.linear(F.linear(context, down), up).unflatten(-1, (-1, HEAD)).transpose(1, 2)
            for down, up in (key_pair, value_pair)
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        attended = attended.transpose(1, 2).flatten(2)
        args[0][..., : attended.shape[2]].add_(attended)

    return hook


@contextmanager
def ours(layers, adapter, options):
    """The adapter folded, its vectors added."""
    projections = {i: (layer.to_q, layer.to_k) for i, layer in enumerate(layers.attention)}
    vectors = adapter.strength_vectors(options.values)
    with folded(projections, adapter.query_key_pairs()), strengths_added(layers, vectors):
        yield


def make_inputs(options):
    place = {"device": options.device, "dtype": options.dtype}
    batch, side = len(options.values), options.size // 16
    grid = torch.cartesian_prod(*[torch.arange(side)] * 2)
    ids = [F.pad(grid, (1, 0), value=which) for which in (0, 1)]  # latent and reference
    return {
        "hidden_states": torch.randn(batch, 2 * side * side, 64, **place),
        "encoder_hidden_states": torch.randn(batch, TEXT_TOKENS, 4096, **place),
        "pooled_projections": torch.randn(batch, 768, **place),
        "timestep": torch.full((batch,), 0.7, **place),
        "guidance": torch.full((batch,), 7.0, device=options.device),
        "txt_ids": torch.zeros(TEXT_TOKENS, 3, **place),
        "img_ids": torch.cat(ids).to(**place),
        "return_dict": False,
    }


def timed(model, inputs):
    """Seconds of one forward, and the peak of the device's memory in GB (0 on the CPU)."""
    cuda = inputs["hidden_states"].is_cuda
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    out = model(**inputs)[0]
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return seconds, torch.cuda.max_memory_allocated() / 1e9 if cuda else 0.0, out


@torch.no_grad()
def measure(options):
    model, adapter, inputs = make_transformer(options), make_adapter(options), make_inputs(options)
    layers = attention_layers(model)
    forms = {
        "a": nullcontext,
        "b": lambda: published(layers, adapter, options),
        "c": lambda: ours(layers, adapter, options),
        "a again": nullcontext,
    }
    seconds, memory, outs = {name: [] for name in forms}, {}, {}
    for _ in range(options.repeats + 1):  # the first round warms up
        for name, form in forms.items():
            with form():
                taken, memory[name], outs[name] = timed(model, inputs)
            seconds[name].append(taken)
    differs = float((outs["b"] - outs["c"]).norm() / outs["b"].norm())
    return {name: values[1:] for name, values in seconds.items()}, memory, differs


def report(options, seconds, memory, differs):
    base = seconds["a"]
    print(f"{options.doubles}+{options.singles} blocks, width {options.width}, {options.size}²,")
    print(f"{len(options.values)} strengths, {options.dtype}, {options.device}")
    print("form      median s  ratio to a (quartiles)   peak GB")
    for name, values in seconds.items():
        ratios = [one / other for one, other in zip(values, base, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        spread = f"{middle:.3f} ({low:.3f}…{high:.3f})"
        print(f"{name:9} {statistics.median(values):8.3f}  {spread:23}  {memory[name]:7.2f}")
    print(f"c differs from b by rel l2 {differs:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("width", 1024), ("doubles", 2), ("singles", 4), ("size", 256)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--strengths", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", type=lambda name: getattr(torch, name), default=torch.float32)
    options = parser.parse_args()
    options.values = [10.0 * (index + 1) for index in range(options.strengths)]
    report(options, *measure(options))


if __name__ == "__main__":
    main()
