"""Depth networks under ComfyUI's model management, in process: loaded, cancelled, freed.

COMFYUI_PATH names a ComfyUI checkout.
"""

import gc
import importlib
import weakref

import comfyui_pack  # first: it sets ComfyUI up
import golden
import pytest
import torch

import comfy.model_management as mm  # isort: skip
import comfy.model_patcher  # isort: skip
import folder_paths  # isort: skip

handles = importlib.import_module(f"{comfyui_pack.NAME}.nodes.handles")
host = importlib.import_module(f"{comfyui_pack.NAME}.nodes.host.services")
nodes = importlib.import_module(f"{comfyui_pack.NAME}.nodes.depth.defocus_aware")
loader = importlib.import_module(f"{comfyui_pack.NAME}.nodes.generator.loader")
core = importlib.import_module(f"{comfyui_pack.NAME}.bokehdepth_core")

pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]
CHECKPOINTS = {"dav2.pth": "dav2_dsfa", "udv2.pth": "unidepthv2_dsfa"}
SIZE = (45, 62)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for file, name in CHECKPOINTS.items():
        case = golden.manifest(name)
        torch.save(golden.recipe_state(case["parameters"], case["seed"]), folder / file)
    return folder


@pytest.fixture(autouse=True)
def model_folder(files, monkeypatch):
    kinds = folder_paths.folder_names_and_paths
    monkeypatch.setitem(kinds, host.FOLDER, ([str(files)], set(host.WEIGHT_SUFFIXES)))
    yield
    mm.unload_all_models()


def photo_and_stack(frames=2):
    random = torch.Generator().manual_seed(1)
    photo = torch.rand(1, *SIZE, 3, generator=random)
    blurred = torch.rand(frames, *SIZE, 3, generator=random)
    strengths = tuple(10.0 * (i + 1) for i in range(frames))
    return photo, (core.BokehStack(photo[0], blurred, strengths),)


def run(handle, frames=2, resolution=0):
    photo, stack = photo_and_stack(frames)
    return nodes.DefocusAwareDepth.execute(photo, handle, stack, resolution=resolution).args[0]


@pytest.mark.parametrize("file", CHECKPOINTS)
def test_depth_is_the_same_after_comfyui_unloaded_the_network(file):
    handle = handles.DepthEstimator(file, "fp32")
    before = run(handle)
    mm.unload_all_models()
    assert mm.current_loaded_models == []
    after = run(handle)
    assert torch.equal(before.depth, after.depth)


@pytest.mark.parametrize("file", CHECKPOINTS)
@pytest.mark.parametrize("room", [0.1, 1 << 20])
def test_a_network_comes_whole_where_memory_is_short(file, room, monkeypatch):
    """The device "meta" stands in for a GPU: it tells where weights are, without memory."""
    network = core.load_depth_estimator(host.model_path(file)).network
    gpu = torch.device("meta")
    patcher = comfy.model_patcher.ModelPatcher(network, gpu, torch.device("cpu"))

    def load_in_part(models, **_):
        models[0].patch_model(gpu, lowvram_model_memory=room)
        assert any(value.device != gpu for value in network.parameters())

    with monkeypatch.context() as short:
        short.setattr(mm, "load_models_gpu", load_in_part)
        short.setattr(mm, "get_free_memory", lambda _: 0)
        host.load([patcher], 1 << 20)
    assert {value.device for value in network.parameters()} == {gpu}


@pytest.mark.parametrize("file", CHECKPOINTS)
def test_cancel_lands_inside_the_network_and_the_next_run_works(file):
    handle = handles.DepthEstimator(file, "fp32")
    wanted = run(handle)
    layers = handle._loaded[0].network.backbone.encoder.layer
    later = []
    watches = [
        layers[1].register_forward_hook(lambda *_: mm.interrupt_current_processing()),
        layers[2].register_forward_hook(lambda *_: later.append(1)),
    ]
    with pytest.raises(mm.InterruptProcessingException):
        run(handle)
    assert later == []
    for watch in watches:
        watch.remove()
    mm.interrupt_current_processing(False)
    assert torch.equal(run(handle).depth, wanted.depth)


@pytest.mark.parametrize("file", CHECKPOINTS)
@pytest.mark.parametrize(("frames", "resolution"), [(1, 0), (3, 2)])
def test_memory_is_asked_for_the_size_of_the_run(file, frames, resolution, monkeypatch):
    handle = handles.DepthEstimator(file, "fp32")
    load, asked = mm.load_models_gpu, []

    def watch(models, memory_required=0, **options):
        asked.append(memory_required)
        return load(models, memory_required=memory_required, **options)

    monkeypatch.setattr(mm, "load_models_gpu", watch)
    run(handle, frames, resolution)
    estimator = handle._loaded[0]
    place = {"device": host.device()}
    assert asked == [estimator.memory_required(*SIZE, frames + 1, resolution, **place)]


def test_a_dropped_network_is_held_by_nothing():
    first, second = (handles.DepthEstimator(file, "fp32") for file in CHECKPOINTS)
    run(first)
    network = weakref.ref(first._loaded[0].network)
    del first
    run(second)
    gc.collect()
    assert network() is None
    alive = [loaded.model for loaded in mm.current_loaded_models]
    assert alive == [second._loaded[1]]


def test_the_attention_scale_chosen_reaches_the_network_and_old_graphs_need_none():
    chosen = ("built-in", "built-in", "dav2.pth", "fp32")
    depth = {
        scale: run(loader.LoadBokehDepth.execute(*chosen, attention_scale=scale).args[1]).depth
        for scale in ("auto", "trained", "single", "double")
    }
    assert torch.equal(run(loader.LoadBokehDepth.execute(*chosen).args[1]).depth, depth["trained"])
    assert torch.equal(depth["auto"], depth["trained"])
    assert not torch.equal(depth["single"], depth["trained"])
    assert not torch.equal(depth["double"], depth["trained"])
