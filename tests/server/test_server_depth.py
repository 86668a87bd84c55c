"""Depth networks in a real ComfyUI, over HTTP: run, cached, exchanged, freed, cancelled.

COMFYUI_PATH names a ComfyUI checkout, COMFYUI_PYTHON the Python that runs it.
"""

import os
import shutil
import time

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

import golden
import numpy as np
import torch
from comfyui_server import PROBE_NODES, ComfyServer

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
CHECKPOINTS = {"dav2.pth": "dav2_dsfa", "udv2.pth": "unidepthv2_dsfa"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ComfyServer(tmp_path_factory.mktemp("comfyui"), PROBE_NODES)
    folder = server.folder / "models" / "bokehdepth"
    folder.mkdir(exist_ok=True)
    for file, name in CHECKPOINTS.items():
        case = golden.manifest(name)
        torch.save(golden.recipe_state(case["parameters"], case["seed"]), folder / file)
    (folder / "broken.pth").write_bytes(b"not a checkpoint")
    yield server
    server.stop()


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def graph(checkpoint, batch=1, resolution=0):
    built_in = "built-in"
    return {
        "example": node("BokehDepthExample"),
        "photo": node("RepeatImageBatch", image=["example", 0], amount=batch),
        "load": node(
            "LoadBokehDepth",
            bokeh_adapter=built_in,
            base_model=built_in,
            depth_checkpoint=checkpoint,
            precision="fp32",
        ),
        "stack": node(
            "BokehStackFromImages",
            reference=["example", 0],
            frames=["example", 1],
            strengths="10, 20, 30",
        ),
        "depth": node(
            "DefocusAwareDepth",
            image=["photo", 0],
            depth_model=["load", 1],
            stack=["stack", 0],
            resolution=resolution,
        ),
        "render": node(
            "RenderBokeh",
            image=["photo", 0],
            depth=["depth", 0],
            strength=10.0,
            focus_x=0.5,
            focus_y=0.5,
            focus_distance=0.0,
        ),
        "see": node("PreviewImage", images=["render", 0]),
        "alive": node("LivingNetworks", after=["render", 0]),
    }


def alive(run):
    return run.outputs["alive"]["text"]


def test_a_checkpoint_runs_is_cached_and_leaves_when_another_takes_its_place(server):
    first = server.run(graph("dav2.pth"))
    assert first.error == ""
    assert len(first.outputs["see"]["images"]) == 1
    assert alive(first) == ["DepthAnything", "loaded DepthAnything, KeptPreparation"]
    again = server.run(graph("dav2.pth"))
    assert {"load", "stack", "depth", "render", "see"} <= set(again.cached)
    other = server.run(graph("udv2.pth"))
    assert other.error == ""
    assert "load" not in other.cached
    assert alive(other) == ["UniDepth", "loaded KeptPreparation, UniDepth"]


def test_a_predicted_camera_is_saved_with_the_depth(server):
    prompt = graph("udv2.pth")
    for kind in ("NPZ", "PLY point cloud"):
        prompt[kind] = node(
            "SaveMetricDepth", depth=["depth", 0], filename_prefix="camera/depth", format=kind
        )
    assert server.run(prompt).error == ""
    files = {path.suffix: path for path in (server.folder / "output" / "camera").iterdir()}
    arrays = np.load(files[".npz"])
    (fx, _, cx), (_, fy, cy), _ = arrays["intrinsics"]
    assert min(fx, fy) > 0
    header, _, body = files[".ply"].read_bytes().partition(b"end_header\n")
    count = int(header.split(b"element vertex ")[1].split()[0])
    x, y, z = np.frombuffer(body, "<f4").reshape(count, -1)[:, :3].T
    # Seen through the predicted camera, the points fall on the middles of the pixels.
    np.testing.assert_allclose((x / z * fx + cx) % 1, 0.5, atol=0.01)
    np.testing.assert_allclose((y / z * fy + cy) % 1, 0.5, atol=0.01)


def test_a_network_that_was_just_trained_gives_depth(server, tmp_path):
    pytest.importorskip("accelerate")
    from bokehdepth_core import cli

    options = "--steps 20 --batch 2 --size 16 --max-radius 6 --focus near --validation-samples 2"
    command = ["train", "depth", "-o", str(tmp_path / "run"), *options.split(), "--cpu"]
    assert cli.main(command) == 0
    trained = tmp_path / "run" / "depth.safetensors"
    shutil.copy(trained, server.folder / "models" / "bokehdepth" / "mine.safetensors")
    prompt = graph("mine.safetensors")
    prompt["save"] = node(
        "SaveMetricDepth", depth=["depth", 0], filename_prefix="mine/depth", format="NPZ"
    )
    run = server.run(prompt)
    assert run.error == ""
    assert alive(run)[-1] == "loaded KeptPreparation, SmallDepth"
    (file,) = (server.folder / "output" / "mine").iterdir()
    disparity = 1 / np.load(file)["depth"]
    assert np.isfinite(disparity).all()
    assert disparity.min() >= 0
    assert np.ptp(disparity) > 0.01 * disparity.max()


def test_comfyui_unloads_and_forgets_everything_when_asked(server):
    assert server.run(graph("dav2.pth")).error == ""
    server.post("/free", {"unload_models": True, "free_memory": True})
    deadline = time.monotonic() + 60  # the prompt worker frees when it wakes up
    left = None
    while left != ["loaded nothing"] and time.monotonic() < deadline:
        time.sleep(1)
        left = alive(server.run({"alive": node("LivingNetworks")}))
    assert left == ["loaded nothing"]


def test_cancelling_stops_a_network_and_the_next_run_works(server):
    prompt_id = server.start(graph("udv2.pth", batch=200, resolution=9))
    time.sleep(4)
    assert server.get("/queue")["queue_running"], "the run ended before it could be cancelled"
    begin = time.monotonic()
    server.post("/interrupt", {})
    run = server.wait(prompt_id, 60)
    assert run.interrupted
    assert time.monotonic() - begin < 20
    assert server.run(graph("udv2.pth")).error == ""


def test_a_broken_checkpoint_is_named_and_nothing_is_loaded(server):
    error = server.run(graph("broken.pth")).error
    assert error.startswith("broken.pth: ")
    assert "\n" not in error
