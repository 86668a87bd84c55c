"""Stage 1 on diffusers in a real ComfyUI, over HTTP: from its model files and from a folder.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import os
import time
from pathlib import Path

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

import flux_files
import torch
from comfyui_server import PROBE_NODES, ComfyServer
from diffusers import FlowMatchEulerDiscreteScheduler, FluxKontextPipeline
from safetensors.torch import save_file
from transformers import AutoTokenizer

from bokehdepth_core.files.pictures.images import read_image

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
COMFY = Path(os.environ["COMFYUI_PATH"]) / "comfy"
FILE, FP8, FOLDER, WHOLE = (
    "diffusion_models/kontext.safetensors",
    "diffusion_models/kontext_fp8_scaled.safetensors",
    "kontext/vae/diffusion_pytorch_model.safetensors",
    "checkpoints/whole.safetensors",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"), PROBE_NODES)
    models = server.folder / "models"
    networks = flux_files.make_tiny(words=(49408, 32128))  # for ComfyUI's own tokenizers
    states = flux_files.file_states(networks)
    flux_files.save_parts(models, states)
    save_file(flux_files.scaled_fp8(states["transformer"], True), models / FP8)
    for name in ("checkpoints", "bokehdepth"):
        (models / name).mkdir(exist_ok=True)
    flux_files.save_whole(models / WHOLE, states)
    save_file(
        {"input_blocks.0.0.weight": states["vae"]["decoder.conv_in.weight"]},
        models / "diffusion_models" / "other.safetensors",
    )
    flux_files.save_adapter(models / "bokehdepth" / "bokeh_lora.safetensors")
    FluxKontextPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=networks["vae"],
        text_encoder=networks["clip"],
        tokenizer=AutoTokenizer.from_pretrained(COMFY / "sd1_tokenizer", model_max_length=77),
        text_encoder_2=networks["t5"],
        tokenizer_2=AutoTokenizer.from_pretrained(COMFY / "text_encoders" / "t5_tokenizer"),
        transformer=networks["transformer"],
    ).save_pretrained(models / "bokehdepth" / "kontext")
    yield server
    server.stop()


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def graph(base_model, steps=2, seed=1, precision="fp32"):
    return {
        "example": node("BokehDepthExample"),
        "photo": node(
            "ImageScale",
            image=["example", 0],
            upscale_method="bilinear",
            width=88,
            height=72,
            crop="disabled",
        ),
        "load": node(
            "LoadBokehDepth",
            bokeh_adapter="bokeh_lora.safetensors",
            base_model=base_model,
            depth_checkpoint="built-in",
            precision=precision,
        ),
        "stack": node(
            "GenerateBokehStack",
            image=["photo", 0],
            generator=["load", 0],
            strengths="10, 20, 30",
            steps=steps,
            guidance=7.0,
            seed=seed,
            match_color=True,
        ),
        "frames": node("SaveImage", images=["stack", 1], filename_prefix="frames"),
        "alive": node("LivingNetworks", after=["stack", 1]),
    }


def frames(server, run):
    assert run.error == ""
    images = [
        read_image(server.folder / "output" / image["subfolder"] / image["filename"])
        for image in run.outputs["frames"]["images"]
    ]
    assert not torch.equal(images[0], images[1])
    return torch.stack(images)


def test_every_kind_of_base_model_gives_the_same_frames(server):
    first = frames(server, server.run(graph(FILE)))
    assert torch.equal(frames(server, server.run(graph(FOLDER))), first)
    assert torch.equal(frames(server, server.run(graph(WHOLE))), first)
    assert not torch.equal(frames(server, server.run(graph(FP8))), first)


def test_a_second_run_is_cached_and_another_base_model_frees_the_first(server):
    frames(server, server.run(graph(FILE)))
    again = server.run(graph(FILE))
    assert {"load", "stack", "frames"} <= set(again.cached)
    other = server.run(graph(WHOLE))
    assert "load" not in other.cached
    assert other.outputs["alive"]["text"].count("FluxTransformer2DModel") == 1


@pytest.mark.parametrize("precision", ["bf16", "fp16", "auto"])
def test_half_precision_runs(server, precision):
    frames(server, server.run(graph(FILE, precision=precision)))


def test_a_cancel_leaves_the_networks_as_they_were(server):
    wanted = frames(server, server.run(graph(FILE)))
    prompt_id = server.start(graph(FILE, steps=200, seed=2))
    time.sleep(4)
    assert server.get("/queue")["queue_running"], "the run ended before it could be cancelled"
    server.post("/interrupt", {})
    assert server.wait(prompt_id, 60).interrupted
    # Another seed first: what the cache holds would show nothing.
    frames(server, server.run(graph(FILE, seed=3)))
    assert torch.equal(frames(server, server.run(graph(FILE))), wanted)


def test_another_model_is_refused_by_name(server):
    run = server.run(graph("diffusion_models/other.safetensors"))
    assert run.error.startswith("other.safetensors: not FLUX; 1 keys, first 'input_blocks")
    run = server.run(graph("built-in"))
    assert run.error.startswith("base_model: connect model, clip and vae to Load BokehDepth")
