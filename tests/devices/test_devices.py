"""Every public entry point on pretended devices: no mix, nothing that a device lacks, few waits."""

import math
import types

import golden
import numpy as np
import pytest
import torch
from kontext_parts import STAGE1, load_recipe_adapter, load_transformer, make_pipeline
from needs_flux import skip_without_flux
from pretend_device import PretendDevice, PretendTensor

import bokehdepth_core as core
from bokehdepth_core import Aperture, BokehStack, DepthMap
from bokehdepth_core.color import color_transfer_lab
from bokehdepth_core.depth.estimator import NetworkEstimator
from bokehdepth_core.depth.loading import network_from
from bokehdepth_core.devices import exact_dtype, is_out_of_memory, network_dtype, vae_dtype
from bokehdepth_core.generator.flux_generator import FluxGenerator
from bokehdepth_core.generator.prompts import bokeh_prompt
from bokehdepth_core.generator.rendered import RenderedStackGenerator
from bokehdepth_core.optics.camera import (
    intrinsics_from_focal_length,
    unproject,
)
from bokehdepth_core.optics.pupil import aperture_mask
from bokehdepth_core.resample import fit_depth

SIZE = (40, 56)
# Single precision all along on MPS and XPU, double in the transforms on the CPU: 2e-6 of the light
# at most, which the square-root-like curve of sRGB makes ten times that near black.
CLOSE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture(params=["cuda", "mps", "xpu"])
def device(request, monkeypatch):
    properties = types.SimpleNamespace(has_fp64=False)
    monkeypatch.setattr(torch.xpu, "get_device_properties", lambda *_: properties)
    # Pretended tensors cannot be inference tensors.
    monkeypatch.setattr(torch, "inference_mode", lambda *_: torch.no_grad())
    plain = torch.no_grad()(NetworkEstimator.estimate.__wrapped__)
    monkeypatch.setattr(NetworkEstimator, "estimate", plain)
    aperture_mask.cache_clear()  # of masks on earlier devices
    yield PretendDevice(request.param)
    aperture_mask.cache_clear()


@pytest.fixture(scope="module")
def scene():
    random = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, *SIZE, generator=random)
    picture = torch.nn.functional.avg_pool2d(picture, 3, 1, 1).movedim(1, -1).contiguous()
    depth = torch.full((1, *SIZE), 5.0)
    depth[:, 12:28, 18:36] = 1.5
    depth[:, :6] = math.inf
    return picture, depth


@pytest.fixture(scope="module")
def stack(scene):
    generator = RenderedStackGenerator(torch.device("cpu"))
    return generator.generate(scene[0][0], [3.0, 6.0], depth=DepthMap(scene[1]))


def on(device, stack):
    return BokehStack(device.put(stack.reference), device.put(stack.frames), stack.strengths)


def same(got, wanted, device, **tolerance):
    assert isinstance(got, PretendTensor)
    assert got.device == device.device
    torch.testing.assert_close(got.inner, wanted, **(tolerance or CLOSE))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"aperture": Aperture(6, 20.0, 0.7)},
        {"aperture": Aperture(5, curvature=0.5, spherical_aberration=0.5)},
        {"aperture": Aperture(cat_eye=0.6)},
        {"quality": "draft", "highlight_boost": 1.0},
        {"quality": "final", "refine_depth": False},
        {"background": True},
    ],
    ids=str,
)
def test_pictures_are_rendered(device, scene, options):
    image, depth = scene
    behind = {"background": image.flip(2), "background_depth": depth + 1}
    options = {**options, **behind} if options.get("background") is True else options
    wanted = core.render_bokeh(image, depth, 5.0, 2.0, **options)
    with device:
        put = {k: device.put(v) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
        got = core.render_bokeh(device.put(image), device.put(depth), 5.0, 2.0, **put)
    same(got, wanted, device)
    assert not [place for place in device.waits if "optics/psf" in place and "local" in place]


def test_a_sweep_waits_no_more_often_for_a_polygon_than_for_a_disc(device, stack):
    waits = {}
    for name, aperture in (("disc", Aperture()), ("polygon", Aperture(6))):
        device.waits.clear()
        wanted = core.sweep_depth(stack, aperture=aperture, align=False)
        with device:
            got = core.sweep_depth(on(device, stack), aperture=aperture, align=False)
        assert {got.depth.device, got.confidence.device} == {device.device}
        error = (got.disparity.inner - wanted.disparity).abs() / wanted.disparity.max()
        assert error.median() < 1e-3
        waits[name] = device.count()[1]
    # Ten of them are the search for a tone curve; two list the pixels of mixed windows; one looks
    # for sky.
    assert waits["polygon"] == waits["disc"] <= 27


def test_stacks_are_aligned(device, stack):
    wanted, _ = core.align_stack(stack)
    with device:
        got, _ = core.align_stack(on(device, stack))
    same(got.frames, wanted.frames, device)


def test_stacks_are_calibrated(device, scene, stack):
    wanted = core.calibrate_stack(stack, DepthMap(scene[1]))
    with device:
        got = core.calibrate_stack(on(device, stack), DepthMap(device.put(scene[1])))
    assert got.r_squared == pytest.approx(wanted.r_squared, abs=0.02)
    assert got.metric_scale == pytest.approx(wanted.metric_scale, rel=0.02)


@pytest.mark.parametrize("device", ["mps"], indirect=True)  # lacks most, and this takes long
@pytest.mark.parametrize("name", ["dav2_dsfa", "unidepthv2_dsfa"])
def test_depth_networks_give_all_results_on_the_photo_s_device(device, name):
    case = golden.manifest(name)
    state = golden.recipe_state(case["parameters"], case["seed"])
    random = torch.Generator().manual_seed(2)
    photo = torch.rand(1, 45, 62, 3, generator=random)
    frames = BokehStack(photo[0], torch.rand(2, 45, 62, 3, generator=random), (10.0, 20.0))
    network = network_from(state, "file.pth", "cpu", torch.float32)
    wanted = NetworkEstimator(network).estimate(photo, frames, resolution=0)
    with device:
        estimator = NetworkEstimator(device.put(network))
        got = estimator.estimate(device.put(photo), on(device, frames), resolution=0)
    same(got.depth, wanted.depth, device, rtol=1e-3, atol=0)
    for part in (got.confidence, got.intrinsics):
        assert part is None or part.device == device.device


def test_the_built_in_generator_renders_on_its_device_for_a_photo_from_elsewhere(device, scene):
    image, depth = scene
    wanted = RenderedStackGenerator(torch.device("cpu")).generate(
        image[0], [3.0], depth=DepthMap(depth)
    )
    with device:
        generator = core.load_bokeh_generator("built-in", device=device.device)
        got = generator.generate(image[0], [3.0], depth=DepthMap(depth))
    assert device.count()[0] > 100
    torch.testing.assert_close(got.frames, wanted.frames, **CLOSE)


class OnDevice:
    """A placement whose parts lie on the pretended device already."""

    def __init__(self, device):
        self.device = device

    def bring(self, names, needed_bytes):
        return None


@pytest.mark.parametrize("device", ["mps"], indirect=True)  # lacks most, and this takes long
def test_flux_samples_on_its_device_and_leaves_its_weights(device):
    skip_without_flux()
    adapter = load_recipe_adapter(STAGE1)
    width, pooled = (
        STAGE1["config"]["transformer"][key]
        for key in ("joint_attention_dim", "pooled_projection_dim")
    )
    random = torch.Generator().manual_seed(1)
    texts = {bokeh_prompt(k): k for k in (5.0, 20.0)}
    encoded = {
        text: (torch.rand(1, 6, width, generator=random), torch.rand(1, pooled, generator=random))
        for text in texts
    }
    photo = torch.rand(32, 48, 3, generator=random)

    def made(pipeline, placement):
        return FluxGenerator(pipeline, adapter, placement, dict(encoded))

    plain = make_pipeline(load_transformer(STAGE1))
    wanted = made(plain, OnDevice(torch.device("cpu"))).generate(photo, [5.0, 20.0], steps=2)
    pipeline = make_pipeline(load_transformer(STAGE1))
    with device:
        for part in (pipeline.transformer, pipeline.vae):
            device.put(part)
        got = made(pipeline, OnDevice(device.device)).generate(photo, [5.0, 20.0], steps=2)
    torch.testing.assert_close(got.frames, wanted.frames, rtol=0, atol=2e-3)
    for key, value in pipeline.transformer.state_dict().items():
        assert torch.equal(value.inner, plain.transformer.state_dict()[key]), key


def test_focus_camera_and_colours_stay_on_the_device(device, scene):
    image, depth = scene
    mask = torch.zeros(1, *SIZE)
    mask[:, 14:20, 20:30] = 1
    matrix = intrinsics_from_focal_length(50.0, SIZE[1], SIZE[0])
    calls = {
        "point": lambda put: core.focus_depth_at(put(depth), 0.5, 0.5),
        "mask": lambda put: core.focus_depth_at(put(depth), 0, 0, put(mask)),
        "coc": lambda put: core.coc_radius(put(depth), 5.0, 2.0),
        "points": lambda put: unproject(put(depth), put(matrix)),
        "colours": lambda put: color_transfer_lab(put(image), put(image[0] * 0.5)),
        "fit": lambda put: fit_depth(DepthMap(put(depth), None, put(matrix)), (30, 70)).depth,
    }
    for call in calls.values():
        wanted = call(lambda value: value)
        with device:
            got = call(device.put)
        same(got, wanted, device, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("suffix", [".exr", ".png", ".npz", ".ply"])
def test_depth_on_a_device_is_written_as_that_on_the_cpu(device, scene, tmp_path, suffix):
    image, depth = scene
    matrix = intrinsics_from_focal_length(50.0, SIZE[1], SIZE[0])
    paths = [tmp_path / f"{name}{suffix}" for name in ("cpu", "device")]
    core.write_depth(paths[0], DepthMap(depth, None, matrix), image[0])
    with device:
        there = DepthMap(device.put(depth), None, device.put(matrix))
        core.write_depth(paths[1], there, device.put(image[0]))
    if suffix == ".ply":
        assert paths[0].read_bytes() == paths[1].read_bytes()
    else:
        first, second = (core.read_depth(path) for path in paths)
        assert torch.equal(first.depth, second.depth)


@pytest.mark.parametrize("bits", [8, 16])
def test_pictures_on_a_device_are_written(device, scene, tmp_path, bits):
    picture, path = scene[0][0], tmp_path / "picture.png"
    with device:
        core.write_image(path, device.put(picture), bits=bits)
    error = np.abs(core.read_image(path).numpy() - picture.numpy())
    assert error.max() <= 0.51 / (2**bits - 1)


# --- rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("Invalid buffer size: 20.00 GB"), True),
        (RuntimeError("XPU out of memory. Tried to allocate 4 GiB"), True),
        (RuntimeError("level_zero backend failed: UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("the file is out of memory"), False),
    ],
    ids=str,
)
def test_lack_of_memory_is_told_on_every_device(error, expected):
    assert is_out_of_memory(error) is expected


def test_the_cpu_s_own_lack_of_memory_is_told():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_out_of_memory(caught.value)


def test_number_types_follow_the_device(monkeypatch):
    for has_float64, exact in ((True, torch.float64), (False, torch.float32)):
        properties = types.SimpleNamespace(has_fp64=has_float64)
        monkeypatch.setattr(torch.xpu, "get_device_properties", lambda *_, p=properties: p)
        assert exact_dtype(torch.device("xpu")) == exact
    assert exact_dtype(torch.device("cuda")) == torch.float64
    assert exact_dtype(torch.device("mps")) == torch.float32
    assert network_dtype(torch.device("xpu")) == torch.bfloat16
    assert torch.float16 not in [vae_dtype(one) for one in (torch.float16, torch.float32)]


# --- the instrument ------------------------------------------------------------------------------


def test_a_pretended_device_refuses_what_a_real_one_refuses():
    device = PretendDevice("mps")
    with device:
        there = device.put(torch.rand(3))
        with pytest.raises(RuntimeError, match="on mps:0 and on the CPU"):
            _ = there + torch.rand(3)
        with pytest.raises(TypeError, match=r"float64, which mps:0 lacks"):
            there.double()
        with pytest.raises(NotImplementedError, match=r"sinc.* is missing on mps:0"):
            torch.sinc(there)
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        assert (there + 1.0).device == torch.device("mps:0")
        before = device.count()[1]
        assert float(there.sum()) > 0
        assert device.count()[1] == before + 1
