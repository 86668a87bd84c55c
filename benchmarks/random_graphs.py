"""Random graphs of all nodes, wrong values among them, queued in one real ComfyUI server.

    COMFYUI_PATH=... python benchmarks/random_graphs.py [--count 500] [--minutes 60] [--seed 0]
                                                            [--first 0] [--core]

After each graph the server must answer; at the end its memory and open files are compared with
those after the first graphs, which load what is loaded once. Linux only: both are read from /proc.
The last line says how many graphs ran, were refused before the run, and failed in it. With
MALLOC_MMAP_THRESHOLD_=65536 the C library gives large blocks back to the system at once, and what
still grows is held by somebody. With --core the graphs hold ComfyUI's own nodes alone: what grows
then as well is not this pack's. --first leaves out graphs, to come to one again.
"""

import argparse
import collections
import json
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = map(str, (ROOT, *ROOT.glob("tests/helpers/*/")))

from comfyui_server import ComfyServer  # noqa: E402 - found by the line above

FIRST = 100  # graphs, after which everything that is loaded once has been
DEEPEST = 4  # nodes behind each other
MOST_FRAMES = 6
NODES = [
    *("GenerateBokehStack", "BokehStackFromImages", "DefocusAwareDepth", "RenderBokeh"),
    *("LensBokehStrength", "SaveMetricDepth", "DepthFromMask", "LoadMetricDepth"),
    *("FocusStackFromImages", "FocusPull", "BokehLens", "BokehDepthExample", "LoadBokehDepth"),
]
CORE_NODES = [  # ComfyUI's own, for --core
    *("ImageScale", "ImageInvert", "ImageBlur", "ImageSharpen", "ImageBlend", "ImageBatch"),
    *("ImageCrop", "ImageToMask", "MaskToImage", "InvertMask", "GrowMask"),
    *("CropMask", "MaskComposite", "FeatherMask", "ImageQuantize", "ThresholdMask"),
]
SOURCES = {"IMAGE": ("LoadImage", "EmptyImage"), "MASK": ("SolidMask", "LoadImage")}
TEXTS = ("", "10, 20", "10 20 30", "1,5 2,5", "ten", "0: 0.5,0.5", "0: 1 m; 3: 4 m", "<i>")
NAN, INFINITE = float("nan"), float("inf")
ODD = (None, True, "x", [], {}, -1, 0, 1e-20, 1e39, 1e300, -1e300, NAN, INFINITE, 2**63)
LARGEST = {"frames": MOST_FRAMES, "batch_size": 3, "width": 97, "height": 83}


class RandomGraph:
    """A graph in API format that grows from its end to its sources."""

    def __init__(self, chance: random.Random, nodes: dict, kinds: list[str]):
        self.chance, self.nodes, self.kinds, self.graph = chance, nodes, kinds, {}
        kind = chance.choice(kinds)
        end = self._node(kind, 0)
        for at, output in enumerate(nodes[kind]["output"]):
            shown = "PreviewImage" if output == "IMAGE" else "PreviewAny"
            key = "images" if output == "IMAGE" else "source"
            self._add(shown, {key: [end, at]})

    def _add(self, kind, inputs):
        name = str(len(self.graph) + 1)
        self.graph[name] = {"class_type": kind, "inputs": inputs}
        return name

    def _node(self, kind, depth):
        inputs = {}
        for place in ("required", "optional"):
            for name, (type_, *options) in self.nodes[kind]["input"].get(place, {}).items():
                if place == "required" or self.chance.random() < 0.4:
                    value = self._value(name, type_, (options or [{}])[0], depth)
                    if value is not None:
                        inputs[name] = value
        if self.chance.random() < 0.01 and inputs:  # one is missing
            inputs.pop(self.chance.choice(list(inputs)))
        return self._add(kind, inputs)

    def _value(self, name, type_, options, depth):
        chance = self.chance
        if isinstance(type_, list) or type_ == "COMBO":
            choices = type_ if isinstance(type_, list) else options.get("options", [])
            usual = chance.random() < 0.995 and choices
            return chance.choice(choices) if usual else "no such choice"
        if type_ in ("INT", "FLOAT", "STRING", "BOOLEAN"):
            return self._number_or_text(name, type_, options)
        return self._link(type_.split(","), depth)

    def _number_or_text(self, name, type_, options):
        chance = self.chance
        if chance.random() < 0.01:
            return chance.choice(ODD)
        if type_ == "BOOLEAN":
            return chance.random() < 0.5
        if type_ == "STRING":
            usual = chance.random() < 0.6
            return options.get("default", "") if usual else chance.choice(TEXTS)
        if chance.random() < 0.5 and name != "frames":
            return options.get("default", 1)
        low, high = options.get("min", 0), options.get("max", 100)
        most = 100 if self.kinds is CORE_NODES else 1e4
        high = min(high, LARGEST.get(name, most))
        if name in ("width", "height"):
            low = 16
        value = low + (max(high, low) - low) * chance.random() ** 4
        return round(value) if type_ == "INT" else value

    def _link(self, types, depth):
        chance = self.chance
        wanted = chance.choice(types)
        if chance.random() < 0.01:  # a socket of another type
            wanted = chance.choice(["IMAGE", "MASK", "METRIC_DEPTH", "BOKEH_STACK", "FLOAT"])
        made = [
            [name, at]
            for name, node in self.graph.items()
            for at, output in enumerate(self.nodes[node["class_type"]]["output"])
            if output == wanted
        ]
        if made and chance.random() < 0.5:
            return chance.choice(made)
        makers = list(SOURCES.get(wanted, ()))
        if depth < DEEPEST or not makers:
            makers += [one for one in self.kinds if wanted in self.nodes[one]["output"]]
        if not makers or depth > 2 * DEEPEST:
            return None
        kind = chance.choice(makers)
        name = self._node(kind, depth + 1)
        outputs = self.nodes[kind]["output"]
        return [name, chance.choice([at for at, one in enumerate(outputs) if one == wanted])]


def _children(pid):
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(one) for one in text.split()]


def _measured(server):
    """Return resident memory, MB, and open files of the server, its cache and history emptied."""
    server.post("/history", {"clear": True})
    server.post("/free", {"unload_models": True, "free_memory": True})
    time.sleep(3)
    (pid,) = _children(server.process.pid)
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    resident = next(int(one.split()[1]) for one in lines if one.startswith("VmRSS")) / 1024
    return resident, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _pictures(folder):
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (61, 90, 3), np.uint8)).save(folder / "photo.png")
    (folder / "broken.png").write_bytes(b"no picture")
    np.savez(folder / "depth.npz", depth=1 + rng.random((61, 90), np.float32))
    np.savez(folder / "broken.npz", depth=np.full((9, 9), "a"))


def _outcome(server, graph, at):
    """Return what came of a graph, refused, failed or done, and its error."""
    try:
        status, answer = server.post("/prompt", {"prompt": graph})
        if status != 200:
            assert status == 400, (status, answer, graph)
            return "refused", ""
        found = server.wait(answer["prompt_id"], 1800)
        server.get("/system_stats")
    except TimeoutError:
        print(f"graph {at}: no answer: {json.dumps(graph)}", flush=True)
        raise
    if "\n" in found.error:
        print(f"graph {at}: several lines: {found.error[:300]!r}", flush=True)
    return ("failed" if found.error else "done"), found.error


def run(server, count, minutes, seed, kinds, first=0):
    """Queue graphs of some kinds of nodes, and print what came of them."""
    chance, nodes = random.Random(seed), server.get("/object_info")
    ends, errors = collections.Counter(), collections.Counter()
    begin, before = time.monotonic(), None
    for at in range(count):
        if time.monotonic() - begin > 60 * minutes:
            break
        graph = RandomGraph(chance, nodes, kinds).graph
        if at < first:
            continue
        end, error = _outcome(server, graph, at)
        ends[end] += 1
        errors.update([error[:150]] if error else [])
        if (at + 1) % FIRST == 0:
            now = _measured(server)
            before = before or now
            print(f"after {at + 1} graphs: {now[0]:.0f} MB, {now[1]} files open", flush=True)
    for error, times in errors.most_common():
        print(f"{times:4d} x {json.dumps(error)}")
    after = _measured(server)
    print(f"at the end: {after[0]:.0f} MB, {after[1]} files open")
    if before:
        print(f"memory {100 * (after[0] / before[0] - 1):+.1f} %, files {after[1] - before[1]:+d}")
    seconds = time.monotonic() - begin
    print(f"seed {seed}: {sum(ends.values())} graphs in {seconds:.0f} s: {dict(ends)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--core", action="store_true", help="nodes of ComfyUI alone")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "server").mkdir()
        started = ComfyServer(Path(home) / "server")
        try:
            _pictures(Path(home) / "server" / "input")
            kinds = CORE_NODES if chosen.core else NODES
            run(started, chosen.count, chosen.minutes, chosen.seed, kinds, chosen.first)
        finally:
            started.stop()
