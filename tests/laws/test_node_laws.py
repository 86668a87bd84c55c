"""Every node, run in process with random inputs: a usable result, or one line. Needs a ComfyUI.

Pictures of any size, batch, number type and stride, with NaN and infinities; numbers far outside
the schema, texts and choices that are none. Few examples, the same at every run; `--deep` many.
"""

import functools
import importlib
import math

import flux2_parts
import make_tiny_flux as tiny
import native_parts
import pytest
import torch
from comfyui_pack import NAME, flux_hooks  # first: it sets ComfyUI up
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

folder_paths = importlib.import_module("folder_paths")
pack = importlib.import_module(f"{NAME}.nodes")
core = importlib.import_module(f"{NAME}.bokehdepth_core")
sockets = importlib.import_module(f"{NAME}.nodes.sockets")
services = importlib.import_module(f"{NAME}.nodes.host.services")
BUILT_IN = "built-in"
pytestmark = pytest.mark.comfyui
FEW = settings(deadline=None, suppress_health_check=list(HealthCheck))
NODES = {node.__name__: node for node in pack.NODES}
RUN = (
    *("RenderBokeh", "FocusPull", "BokehLens", "LensBokehStrength", "DepthFromMask"),
    *("BokehStackFromImages", "FocusStackFromImages", "DefocusAwareDepth", "GenerateBokehStack"),
    *("SaveMetricDepth", "LoadMetricDepth", "LoadBokehDepth", "BokehDepthExample"),
    "ApplyBokehDepthAdapter",
)
SIDES = st.sampled_from([1, 2, 3, 7, 8, 16, 31, 40]) | st.integers(1, 64)
DTYPES = st.sampled_from([torch.float32] * 5 + [torch.float16, torch.bfloat16, torch.float64])
ODD = st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 0.0, 1e-20, 1e39, 1e300, 2.0**63])
TEXTS = st.sampled_from(
    [
        *("", "10, 20", "10 20 30", "1,5 2,5", "ten", "0: 0.5,0.5", "0: 1 m; 3: 4 m"),
        *("<i>", "\0", "9" * 99),
    ]
)
LINE = 600  # letters, at most


@st.composite
def tensors(draw, size, channels, low=0.0, high=1.0):
    """A batch [B,H,W(,C)] of any type and stride; at times with what is no number."""
    batch = draw(mostly(st.sampled_from([1, 1, 1, 3]), st.sampled_from([0, 3, 5])))
    height, width = draw(mostly(st.just(size), st.tuples(SIDES, SIDES)))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    shape = (batch, height, width, *channels)
    found = low + (high - low) * torch.rand(shape, generator=random)
    if draw(st.integers(0, 29)) == 17 and found.numel():
        odd = torch.tensor(draw(ODD), dtype=torch.float64)  # beyond float32: infinity there
        found.view(-1)[draw(st.integers(0, found.numel() - 1))] = odd
    found = found.to(draw(DTYPES))
    if draw(st.booleans()):
        found = found.transpose(1, 2).contiguous().transpose(1, 2)
    return found


def depth_of(values):
    """Return a depth map: no other can be made, so none comes to a node."""
    depth = values.float().nan_to_num(1.0, posinf=math.inf).clip(min=1e-3)
    return core.DepthMap(depth, None, None)


@functools.cache
def model_of(**changes):
    """Return a tiny FLUX: what comes to a MODEL socket."""
    return tiny.flux_patcher(**changes)


def values(kind, socket, size):
    """Return a strategy for what a socket of a kind receives."""
    made = {
        "IMAGE": lambda: tensors(size, (3,)),
        "MASK": lambda: tensors(size, ()),
        "METRIC_DEPTH": lambda: tensors(size, (), 0.5, 9.0).filter(len).map(depth_of),
        "BOKEH_STACK": lambda: stacks(size),
        "MODEL": lambda: mostly(
            st.just(model_of()), st.just(model_of(hidden_size=128, num_heads=1))
        ),
        "BOKEH_LENS": lambda: st.just(core.Lens(aperture=core.Aperture(5))),
        "BOKEH_GENERATOR": lambda: st.just(sockets.BokehGenerator(BUILT_IN, BUILT_IN, "fp32")),
        "DEPTH_ESTIMATOR": lambda: st.just(sockets.DepthEstimator(BUILT_IN, "fp32", "auto")),
        "STRING": lambda: mostly(st.just(socket.default or ""), TEXTS),
        "BOOLEAN": st.booleans,
        "COMBO": lambda: mostly(st.sampled_from(list(socket.options)), st.just("no such choice")),
        "INT": lambda: numbers(socket, int),
        "FLOAT": lambda: numbers(socket, float),
    }
    return made[kind]() if kind in made else st.none()


@st.composite
def mostly(draw, usual, odd):
    """One in thirty is odd, so that not every run is refused."""
    return draw(odd if draw(st.integers(0, 29)) == 17 else usual)


def numbers(socket, kind):
    usual = socket.default if socket.default is not None else kind(1)
    low = socket.min if socket.min is not None else 0
    high = min(socket.max if socket.max is not None else 100, 100)
    inside = st.floats(low, max(low, high)).map(kind)
    return mostly(st.just(usual) | inside, ODD)


@st.composite
def stacks(draw, size):
    photo = draw(tensors(size, (3,)).filter(len))
    frames = draw(st.integers(1, 4))
    batch = photo.float().clip(0, 1).nan_to_num(0.5)
    strengths = tuple(5.0 * (1 + at) for at in range(frames))
    return tuple(
        core.BokehStack(one, one.expand(frames, -1, -1, -1).clone(), strengths) for one in batch
    )


@st.composite
def runs(draw, node):
    """Inputs of a node, by its schema."""
    size = (draw(SIDES), draw(SIDES))
    inputs = {}
    for socket in node.define_schema().inputs:
        if socket.optional and draw(st.booleans()):
            continue
        kind = socket.get_io_type().split(",")[0]
        value = draw(values(kind, socket, size))
        if value is not None or not socket.optional:
            inputs[socket.id] = value
    return inputs


def check_result(found):
    """Pictures and masks come as ComfyUI wants them."""
    for value in found.args or ():
        if isinstance(value, torch.Tensor):
            assert value.dtype == torch.float32
            assert value.device.type == "cpu"
            assert value.ndim in (3, 4)
            assert not torch.isnan(value).any()
        if isinstance(value, core.DepthMap):
            assert not torch.isnan(value.depth).any()
            assert (value.depth > 0).all()


def no_hub(repository, name, *_, **__):
    raise ConnectionError(f"{name}: the hub cannot be reached.")


@pytest.fixture
def own_folders(tmp_path, monkeypatch):
    """Let nodes write to a folder of the test, and find good and damaged files in another."""
    services.register_model_folder()  # as ComfyUI has it done at its start
    given, models = tmp_path / "input", tmp_path / "models"
    given.mkdir()
    models.mkdir()
    ends = folder_paths.folder_names_and_paths[services.FOLDER][1]
    kinds = folder_paths.folder_names_and_paths
    monkeypatch.setitem(kinds, services.FOLDER, ([str(models)], ends))
    folder_paths.filename_list_cache.pop(services.FOLDER, None)
    layers, width = tiny.DOUBLES + tiny.SINGLES, tiny.HIDDEN
    save_file(flux2_parts.adapter_state(layers, width), models / "adapter.safetensors")
    (models / "broken.safetensors").write_bytes(b"no weights")
    monkeypatch.setattr(services, "download_hub_file", no_hub)
    depth = core.DepthMap(1 + torch.rand(1, 7, 9), None, None)
    for end in (".npz", ".exr", ".png"):
        core.write_depth(given / f"good{end}", depth)
        (given / f"broken{end}").write_bytes(b"no depth")
    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(given))
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "output"))


@pytest.mark.parametrize("name", RUN)
def test_a_node_gives_a_usable_result_or_one_line(name, own_folders):
    node, done = NODES[name], []

    @given(runs(node))
    @FEW
    def tried(inputs):
        try:
            found = node.execute(**inputs)
        except (ValueError, TypeError, ConnectionError, FileNotFoundError) as error:
            text = str(error)
            assert text
            assert "\n" not in text, text
            assert len(text) <= LINE, text
        else:
            check_result(found)
            done.append(found)

    tried()
    # As many frames as strengths, or focus distances, come about too rarely among few examples.
    assert done or name in ("BokehStackFromImages", "FocusStackFromImages"), "all were refused"


def test_the_adapter_leaves_every_model_as_it_was(own_folders):
    model, node = model_of(), NODES["ApplyBokehDepthAdapter"]
    before, wrappers = native_parts.weights_of(model), dict(model.wrappers)

    @given(numbers(node.define_schema().inputs[2], float), st.floats(-10, 10), st.floats(-10, 10))
    @FEW
    def tried(strength, lora_scale, bokeh_scale):
        try:
            result = node.execute(model, "adapter.safetensors", strength, lora_scale, bokeh_scale)
        except ValueError:
            return
        (found,) = result.args
        assert found is not model
        assert found.get_additional_models_with_key(flux_hooks.KEY)
        for value in found.get_additional_models_with_key(flux_hooks.KEY):
            assert all(one.isfinite().all() for one in value.model.parameters())

    tried()
    native_parts.assert_untouched(model, before)
    assert model.wrappers == wrappers


@pytest.mark.parametrize("size", [(1, 1), (7, 6), (9, 8), (9, 9)])
def test_stacks_of_tiny_pictures_are_taken(size):
    photo = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(0))
    frames = photo.expand(3, -1, -1, -1)
    inputs = {"reference": photo, "frames": frames, "strengths": "10, 20, 30"}
    found = NODES["BokehStackFromImages"].execute(**inputs)
    assert len(found.args[0]) == 1
