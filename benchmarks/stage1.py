"""Cost of the bokeh adapter in a FLUX transformer: a forward without it, published, folded, hooked.

    python benchmarks/stage1.py [--base FLUX.1-Kontext] [--width 1536] [--rank 64] [--doubles 1]
                                [--singles 2]
                                [--size 128] [--text 32] [--strengths 1 3] [--repeats 60]
                                [--device cpu] [--dtype float32]

The defaults fit a small machine and keep the proportions of the published case: rank to width, and
prompt tokens to image tokens at 512 px. That case itself, on a GPU: --width 3072 --rank 128
--doubles 19 --singles 38 --size 512 --text 512 --repeats 15 --device cuda --dtype bfloat16
FLUX.2 klein 4B: --base FLUX.2-klein-4B --width 3072 --doubles 5 --singles 20, the rest alike.

Random weights. Forms on diffusers' class: (a) no adapter; (b) as published: low-rank products of
query and key, and an attention of every query to one context token, in every layer; (c) folded:
updates inside the weights, strength vectors added before the output projections. Where COMFYUI_PATH
names a ComfyUI checkout, on its class as well: (a) no adapter; (c) hooked: the updates and the
vectors from hooks on the projections, weights left alone.

Every form runs once in each round, the starting form moves on from round to round, and a ratio is
the median over the rounds of that round's ratio to (a) on the same class. The interval beside it
holds the true median at 95 %, by the ranks of a binomial; the ratio of the fastest rounds follows,
which others on the machine disturbed least. (a) is timed twice in each round: a/a shows the noise
of the run. A goal counts as missed when the whole interval lies above it. On the CPU one thread
works, and the seconds are those that it worked, without its waits for others.
"""

import argparse
import math
import os
import statistics
import time

import torch
from stage1_forms import comfyui_forms, diffusers_forms, make_adapter

SIZES = {"width": 1536, "rank": 64, "doubles": 1, "singles": 2, "size": 128, "text": 32}
GOALS = {"c folded": 1.00, "c hooked": 1.03}
BASES = {"b": "a", "c folded": "a", "a again": "a", "c hooked": "a native"}
BASES["a native again"] = "a native"


def timed(forward, device):
    """Seconds of one forward, and the peak of the device's memory in GB (0 on the CPU)."""
    if device == "cpu":
        start = time.process_time()
        out = forward()
        return time.process_time() - start, 0.0, out
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    out = forward()
    torch.cuda.synchronize()
    return time.perf_counter() - start, torch.cuda.max_memory_allocated() / 1e9, out


def measure(forms, values, options):
    """Return seconds of each form by round, peak memory, and how far folded lies from published."""
    names = [*forms, *(f"{name} again" for name in forms if name.startswith("a"))]
    seconds, memory, outs = {name: [] for name in names}, {}, {}
    for turn in range(options.repeats + 1):  # the first round warms up
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            torch.manual_seed(0)  # the same inputs for all
            with forms[name.removesuffix(" again")](values) as forward:
                taken, memory[name], outs[name] = timed(forward, options.device)
            seconds[name].append(taken)
    differs = float((outs["b"] - outs["c folded"]).norm() / outs["b"].norm())
    return {name: rounds[1:] for name, rounds in seconds.items()}, memory, differs


def median_with_interval(values):
    """Return the median and the ends of an interval that holds the true one at 95 % or more."""
    ordered, count = sorted(values), len(values)
    outside, rank = 0.0, 0  # ranks below `rank` may be left out at each end
    while rank < count // 2:
        outside += math.comb(count, rank) / 2**count
        if outside > 0.025:
            break
        rank += 1
    rank = max(rank - 1, 0)
    return statistics.median(ordered), ordered[rank], ordered[-1 - rank]


def report(values, seconds, memory, differs):
    print(f"\n{len(values)} strengths in a batch")
    print(f"{'form':14}  median s  ratio to a (95 %)      fastest  peak GB")
    for name, rounds in seconds.items():
        base = seconds[BASES.get(name, name)]
        ratios = [one / other for one, other in zip(rounds, base, strict=True)]
        middle, low, high = median_with_interval(ratios)
        line = f"{name:14}  {statistics.median(rounds):8.3f}  {middle:.3f} ({low:.3f}…{high:.3f})"
        line += f"  {min(rounds) / min(base):7.3f}  {memory[name]:7.2f}"
        if name in GOALS:
            kept = (
                "missed" if low > GOALS[name] else "met" if high <= GOALS[name] else "within noise"
            )
            line += f"  goal {GOALS[name]:.2f}: {kept}"
        print(line)
    print(f"folded differs from published by rel l2 {differs:.1e}")


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="FLUX.1-Kontext", help="whose class and text width")
    for name, default in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--strengths", type=int, nargs="+", default=[1, 3], help="batch sizes")
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", type=lambda name: getattr(torch, name), default=torch.float32)
    options = parser.parse_args()
    print(", ".join(f"{name} {getattr(options, name)}" for name in SIZES))
    print(f"{options.base}, {options.dtype}, {options.device}")
    torch.set_num_threads(1)
    adapter = make_adapter(options)
    forms = diffusers_forms(options, adapter)
    if os.environ.get("COMFYUI_PATH"):
        forms |= comfyui_forms(options, adapter)
    for count in options.strengths:
        values = [30.0 * (index + 1) / count for index in range(count)]
        report(values, *measure(forms, values, options))


if __name__ == "__main__":
    main()
