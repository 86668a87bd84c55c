"""Stage 1 on ComfyUI's own FLUX in a real ComfyUI, from files of four number formats.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import json
import os
import time

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

import make_tiny_flux as tiny
from comfyui_server import ROOT, TINY_FLUX_NODES, ComfyServer
from links import link_folder
from PIL import Image
from server_graphs import node, tiny_flux

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
KINDS = ["fp32", "bf16", "fp8", "fp8_scaled"]


def _start(folder, models, **environment):
    server = ComfyServer(folder, TINY_FLUX_NODES, **environment)
    (folder / "models").rmdir()
    link_folder(folder / "models", models)
    return server


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("diffusion_models", "bokehdepth", "loras"):
        (folder / name).mkdir()
    tiny.save_flux(folder / "diffusion_models")
    tiny.save_adapter(folder / "bokehdepth" / "bokeh_lora.safetensors")
    tiny.save_lora(folder / "loras" / "lora.safetensors")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, models):
    server = _start(tmp_path_factory.mktemp("normal"), models)
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["LOW_VRAM", "NO_VRAM"])
def small_server(request, tmp_path_factory, models):
    server = _start(tmp_path_factory.mktemp("small"), models, TINY_VRAM=request.param)
    yield server
    server.stop()


def parts(kind):
    return tiny_flux(f"tiny_flux_{kind}.safetensors", "TinyFluxParts")


def whole(kind, steps=2, model="flux"):
    """Photo, FLUX stack, depth, refocus; then the hash of the MODEL."""
    return parts(kind) | {
        "load": node(
            "LoadBokehDepth",
            bokeh_adapter="bokeh_lora.safetensors",
            base_model="built-in",
            depth_checkpoint="built-in",
            precision="auto",
            model=[model, 0],
            clip=["parts", 0],
            vae=["parts", 1],
        ),
        "stack": node(
            "GenerateBokehStack",
            image=["photo", 0],
            generator=["load", 0],
            strengths="10, 20, 30",
            steps=steps,
            guidance=7.0,
            seed=1,
            match_color=True,
        ),
        "depth": node(
            "DefocusAwareDepth", image=["photo", 0], depth_model=["load", 1], stack=["stack", 0]
        ),
        "render": node(
            "RenderBokeh",
            image=["photo", 0],
            depth=["depth", 0],
            strength=12.0,
            focus_x=0.5,
            focus_y=0.5,
            focus_distance=0.0,
        ),
        "frames": node("SaveImage", images=["stack", 1], filename_prefix=f"{kind}/frames"),
        "refocused": node("SaveImage", images=["render", 0], filename_prefix=f"{kind}/refocused"),
        "hash": node("HashModel", model=["flux", 0], after=["render", 0]),
    }


def edit(kind, model="flux"):
    """A Kontext edit at one strength with KSampler."""
    return parts(kind) | {
        "adapter": node(
            "ApplyBokehDepthAdapter",
            model=[model, 0],
            bokeh_adapter="bokeh_lora.safetensors",
            strength=20.0,
        ),
        "text": node("CLIPTextEncode", text="a photo", clip=["parts", 0]),
        "latent": node("VAEEncode", pixels=["photo", 0], vae=["parts", 1]),
        "positive": node("ReferenceLatent", conditioning=["text", 0], latent=["latent", 0]),
        "negative": node("ConditioningZeroOut", conditioning=["text", 0]),
        "sampled": node(
            "KSampler",
            model=["adapter", 0],
            seed=1,
            steps=2,
            cfg=2.0,
            sampler_name="euler",
            scheduler="simple",
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            denoise=1.0,
        ),
        "picture": node("VAEDecode", samples=["sampled", 0], vae=["parts", 1]),
        "edited": node("SaveImage", images=["picture", 0], filename_prefix=f"{kind}/edited"),
        "hash": node("HashModel", model=["flux", 0], after=["picture", 0]),
    }


def state_before(server, kind):
    """Return what HashModel shows of a MODEL on which nothing runs."""
    run = server.run({"flux": parts(kind)["flux"], "hash": node("HashModel", model=["flux", 0])})
    assert run.error == ""
    return run.outputs["hash"]["text"]


def pictures(server, run, *names):
    """Return size and pixels of the pictures that a run saved; the files hold the graph as well."""
    images = [image for name in names for image in run.outputs[name]["images"]]
    found = []
    for image in images:
        path = server.folder / "output" / image["subfolder"] / image["filename"]
        with Image.open(path) as picture:
            found.append((picture.size, picture.tobytes()))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_both_graphs_run_and_leave_the_weights_bit_for_bit(server, kind):
    before = state_before(server, kind)
    run = server.run(whole(kind))
    assert run.error == ""
    assert run.outputs["hash"]["text"][:2] == before[:2]
    assert before[1] == "0"
    frames = pictures(server, run, "frames")
    assert len(frames) == len(set(frames)) == 3
    run = server.run(edit(kind))
    assert run.error == ""
    assert run.outputs["hash"]["text"][:2] == before[:2]


@pytest.mark.parametrize("kind", ["fp32", "fp8_scaled"])
def test_a_cancel_leaves_the_weights_bit_for_bit(server, kind):
    before = state_before(server, kind)
    prompt_id = server.start(whole(kind, steps=200))
    for _ in range(600):
        if server.get("/queue")["queue_running"] and _samples(server):
            break
        time.sleep(0.1)
    time.sleep(2)
    server.post("/interrupt", {})
    assert server.wait(prompt_id).interrupted
    assert state_before(server, kind)[:2] == before[:2]
    run = server.run(whole(kind))
    assert run.error == ""
    assert run.outputs["hash"]["text"][:2] == before[:2]


def _samples(server):
    return "/200" in server.log.read_text(encoding="utf-8")[-2000:]  # the bar of the sampler


@pytest.mark.parametrize("kind", ["fp32", "fp8_scaled"])
@pytest.mark.parametrize("graph", [whole, edit])
def test_an_error_inside_the_network_leaves_the_weights_bit_for_bit(server, graph, kind):
    before = state_before(server, kind)
    run = server.run(
        graph(kind, model="failing") | {"failing": node("FailInside", model=["flux", 0])}
    )
    assert run.error == "injected"
    assert state_before(server, kind)[:2] == before[:2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_loaded_in_part_gives_the_same_pictures(server, small_server, kind):
    runs = [one.run(whole(kind)) for one in (server, small_server)]
    assert [run.error for run in runs] == ["", ""]
    shown = [run.outputs["hash"]["text"] for run in runs]
    assert shown[0][:2] == shown[1][:2]
    assert int(shown[0][2]) == 0 < int(shown[1][2])  # layers that are streamed
    wanted, got = (
        pictures(one, run, "frames", "refocused")
        for one, run in zip((server, small_server), runs, strict=True)
    )
    assert got == wanted
    edits = [one.run(edit(kind)) for one in (server, small_server)]
    wanted, got = (
        pictures(one, run, "edited") for one, run in zip((server, small_server), edits, strict=True)
    )
    assert got == wanted


TINY = {
    "unet_name": "tiny_flux_fp8_scaled.safetensors",
    "bokeh_adapter": "bokeh_lora.safetensors",
    "lora_name": "lora.safetensors",
    "megapixels": 0.01,
    "steps": 2,
}
STANDS_IN = {"DualCLIPLoader": ("parts", 0), "VAELoader": ("parts", 1), "LoadImage": ("photo", 0)}


def as_prompt(workflow):
    """Return an example graph as the front end would send it, with tiny files and few steps."""
    links = {link[0]: (link[1], link[2]) for link in workflow["links"]}
    nodes = {one["id"]: one for one in workflow["nodes"] if one["type"] != "MarkdownNote"}
    prompt = {"parts": node("TinyFluxParts"), "photo": node("BokehDepthExample")}

    def source(link):
        name, output = links[link]
        stand_in = STANDS_IN.get(nodes[name]["type"])
        return list(stand_in) if stand_in else [str(name), output]

    for name, one in nodes.items():
        if one["type"] in STANDS_IN:
            continue
        values = iter(one["widgets_values"])
        inputs = {}
        for given in one["inputs"]:
            if "widget" in given:
                inputs[given["name"]] = TINY.get(given["name"], next(values))
                if given["name"] == "seed":
                    assert next(values) == "fixed"  # what becomes of it after the run
            elif given["link"] is not None:
                inputs[given["name"]] = source(given["link"])
        assert list(values) == []
        prompt[str(name)] = node(one["type"], **inputs)
    return prompt


@pytest.mark.parametrize("name", ["08 Kontext edit with bokeh", "07 FLUX stack, depth, refocus"])
def test_the_example_graph_runs(server, name):
    path = ROOT / "workflows" / f"{name}.json"
    run = server.run(as_prompt(json.loads(path.read_text(encoding="utf-8"))))
    assert run.error == ""
    assert sum(len(output.get("images", [])) for output in run.outputs.values()) >= 1


def lora(model):
    return node(
        "LoraLoaderModelOnly", model=[model, 0], lora_name="lora.safetensors", strength_model=1.0
    )


# Last: some versions cannot put a LoRA on fp8-scaled weights again after they were unloaded,
# whether the adapter is there or not.
@pytest.mark.parametrize("kind", KINDS)
def test_a_lora_before_and_after_the_adapter_gives_the_same_picture(server, kind):
    before = state_before(server, kind)
    plain = server.run(edit(kind))
    lora_first = server.run(edit(kind, model="lora") | {"lora": lora("flux")})
    graph = edit(kind) | {"lora": lora("adapter")}
    graph["sampled"]["inputs"]["model"] = ["lora", 0]
    adapter_first = server.run(graph)
    runs = (plain, lora_first, adapter_first)
    assert [run.error for run in runs] == ["", "", ""]
    without, first, second = (pictures(server, run, "edited") for run in runs)
    assert first == second != without
    server.post("/free", {"unload_models": True})
    deadline = time.monotonic() + 60  # the prompt worker frees when it wakes up
    after = None
    while after != before[:2] and time.monotonic() < deadline:
        time.sleep(1.5)
        after = state_before(server, kind)[:2]
    assert after == before[:2]
