"""Stage 1 on ComfyUI's own FLUX.2 in a real ComfyUI, from files of all the number formats it reads.

COMFYUI_PATH names a ComfyUI checkout that knows FLUX.2; int8-convrot is read by 0.33 and later.
"""

import os
import time
from pathlib import Path

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

import make_tiny_flux as tiny1
import make_tiny_flux2 as tiny
from comfyui_hosts import version_of
from comfyui_server import TINY_FLUX_NODES, ComfyServer
from links import link_folder
from PIL import Image
from server_graphs import node, tiny_flux

VERSION = tuple(map(int, version_of(Path(os.environ["COMFYUI_PATH"])).split(".")[:2]))
if VERSION < (0, 4):
    pytest.skip("this ComfyUI has no FLUX.2", allow_module_level=True)

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
QUANTISED = ["fp8_scaled", *(["int8_convrot"] if VERSION >= (0, 33) else [])]
KINDS = ["fp32", "bf16", *QUANTISED]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    for name in ("diffusion_models", "bokehdepth", "loras"):
        (models / name).mkdir()
    tiny.save_flux2(models / "diffusion_models")
    tiny.save_lora(models / "loras" / "lora.safetensors")
    tiny1.save_adapter(models / "bokehdepth" / "klein.safetensors", base=tiny.BASE)
    tiny1.save_adapter(models / "bokehdepth" / "kontext.safetensors")
    folder = tmp_path_factory.mktemp("flux2")
    server = ComfyServer(folder, TINY_FLUX_NODES)
    (folder / "models").rmdir()
    link_folder(folder / "models", models)
    yield server
    server.stop()


def parts(kind):
    return tiny_flux(f"tiny_flux2_{kind}.safetensors", "TinyFlux2Parts")


def stack(kind, model="flux", adapter="klein", guidance=1.0, steps=2, **more):
    """Photo and FLUX.2 stack; then the hash of the MODEL."""
    return parts(kind) | {
        "load": node(
            "LoadBokehDepth",
            bokeh_adapter=f"{adapter}.safetensors",
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
            guidance=guidance,
            seed=1,
            match_color=True,
            **more,
        ),
        "frames": node("SaveImage", images=["stack", 1], filename_prefix=f"{kind}/frames"),
        "hash": node("HashModel", model=["flux", 0], after=["stack", 1]),
    }


def edit(kind, model="flux", sampled="adapter", steps=2):
    """An edit at one strength with KSampler."""
    return parts(kind) | {
        "adapter": node(
            "ApplyBokehDepthAdapter",
            model=[model, 0],
            bokeh_adapter="klein.safetensors",
            strength=20.0,
        ),
        "text": node("CLIPTextEncode", text="a photo", clip=["parts", 0]),
        "latent": node("VAEEncode", pixels=["photo", 0], vae=["parts", 1]),
        "positive": node("ReferenceLatent", conditioning=["text", 0], latent=["latent", 0]),
        "negative": node("ConditioningZeroOut", conditioning=["positive", 0]),
        "sampled": node(
            "KSampler",
            model=[sampled, 0],
            seed=1,
            steps=steps,
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


def lora(model):
    return node(
        "LoraLoaderModelOnly", model=[model, 0], lora_name="lora.safetensors", strength_model=1.0
    )


def easy_cache(model):
    return node(
        "EasyCache",
        model=[model, 0],
        reuse_threshold=3.0,
        start_percent=0.0,
        end_percent=1.0,
        verbose=False,
    )


def state_before(server, kind):
    """Return what HashModel shows of a MODEL on which nothing runs."""
    run = server.run({"flux": parts(kind)["flux"], "hash": node("HashModel", model=["flux", 0])})
    assert run.error == ""
    return run.outputs["hash"]["text"]


def pictures(server, run, name):
    """Return the pixels of the pictures that a run saved."""
    found = []
    for image in run.outputs[name]["images"]:
        path = server.folder / "output" / image["subfolder"] / image["filename"]
        with Image.open(path) as picture:
            found.append(picture.tobytes())
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_a_stack_runs_and_leaves_the_weights_bit_for_bit(server, kind, guidance):
    before = state_before(server, kind)
    run = server.run(stack(kind, guidance=guidance))
    assert run.error == ""
    assert run.outputs["hash"]["text"][:2] == before[:2]
    assert before[1] == "0"
    frames = pictures(server, run, "frames")
    assert len(frames) == len(set(frames)) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_with_easycache_before_and_after_leaves_the_weights(server, kind):
    before = state_before(server, kind)
    plain = server.run(edit(kind, steps=8))
    cached_first = server.run(edit(kind, model="cache", steps=8) | {"cache": easy_cache("flux")})
    adapter_first = edit(kind, sampled="cache", steps=8) | {"cache": easy_cache("adapter")}
    adapter_first = server.run(adapter_first)
    runs = (plain, cached_first, adapter_first)
    assert [run.error for run in runs] == [""] * 3
    assert [run.outputs["hash"]["text"][:2] for run in runs] == [before[:2]] * 3
    assert len({tuple(pictures(server, run, "edited")) for run in runs}) == 2
    assert "EasyCache - skipped 0/8" not in server.log.read_text(encoding="utf-8")


def test_noise_levels_of_a_scheduler_node_take_the_place_of_the_steps(server):
    levels = {"levels": node("ManualSigmas", sigmas="1.0, 0.6509, 0.2932, 0.0")}
    run = server.run(stack("bf16", steps=50, sigmas=["levels", 0]) | levels)
    assert run.error == ""
    assert len(pictures(server, run, "frames")) == 3
    assert "3/3" in server.log.read_text(encoding="utf-8")[-3000:]
    levels["levels"]["inputs"]["sigmas"] = "0.5, 1.0"
    run = server.run(stack("bf16", sigmas=["levels", 0]) | levels)
    assert run.error.startswith("sigmas: give noise levels that fall from 1 to 0: found 0.5, 1")


def test_an_adapter_of_another_base_is_refused_by_name(server):
    run = server.run(stack("bf16", adapter="kontext"))
    assert run.error.startswith("model: load FLUX.1-Kontext-dev, for which the bokeh adapter is:")
    assert "found a FLUX.2, Flux2 (Flux)" in run.error


@pytest.mark.parametrize("kind", QUANTISED)
def test_an_error_and_a_cancel_leave_the_weights_bit_for_bit(server, kind):
    before = state_before(server, kind)
    failing = {"failing": node("FailInside", model=["flux", 0])}
    for graph in (stack, edit):
        assert server.run(graph(kind, model="failing") | failing).error == "injected"
        assert state_before(server, kind)[:2] == before[:2]
    prompt_id = server.start(stack(kind, steps=200))
    deadline = time.monotonic() + 60
    while (
        "/200" not in server.log.read_text(encoding="utf-8")[-2000:] and time.monotonic() < deadline
    ):
        time.sleep(0.1)
    server.post("/interrupt", {})
    assert server.wait(prompt_id).interrupted
    assert state_before(server, kind)[:2] == before[:2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_lora_before_and_after_the_adapter_gives_the_same_picture(server, kind):
    before = state_before(server, kind)
    plain = server.run(edit(kind))
    lora_first = server.run(edit(kind, model="lora") | {"lora": lora("flux")})
    adapter_first = server.run(edit(kind, sampled="lora") | {"lora": lora("adapter")})
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
