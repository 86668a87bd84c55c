import golden
import pytest
import torch

from bokehdepth_core import BokehStack
from bokehdepth_core.depth.estimator import NetworkEstimator
from bokehdepth_core.depth.loading import network_from
from bokehdepth_core.depth.networks.unidepth import ray_features, unit_rays
from bokehdepth_core.optics.camera import intrinsics_from_focal_length


def load(name, shapes="parameters"):
    manifest = golden.manifest(name)
    state = golden.recipe_state(manifest[shapes], manifest["seed"])
    return network_from(state, name, "cpu", torch.float32), golden.tensors(name)


@pytest.fixture(scope="module")
def case():
    return load("unidepthv2_dsfa")


@pytest.fixture(scope="module")
def whole():
    return load("stage2_case", "parameter_shapes")


def frames_of(data):
    stack = golden.normalized(data["stack_rgb"])
    return torch.cat([golden.normalized(data["image_rgb"])[:, None], stack], dim=1)


@pytest.mark.parametrize(
    "name",
    [
        "k_10_20_30.camera",
        "k_10_20_30.nocamera",
        "k_small.nocamera",
        "no_stack.nocamera",
        "k_none.nocamera",
    ],
)
def test_outputs_equal_the_reference(case, name):
    model, data = case
    frames = frames_of(data)
    stack, camera = name.split(".")
    if stack == "no_stack":
        frames = frames[:, :1]
    k = data.get(f"{stack}.k", torch.zeros(1, frames.shape[1] - 1))
    given = data["camera_K"] if camera == "camera" else None
    with torch.inference_mode():
        found = model(frames, golden.with_reference(k), given)
    depth, wanted = found.points[:, 2:, ::2, ::2], data[f"{name}.depth_every_2"]
    assert golden.rel_max(depth, wanted) <= 5e-5
    assert golden.rel_l2(depth, wanted) <= 5e-6
    if f"{name}.confidence_every_2" in data:
        confidence = data[f"{name}.confidence_every_2"]
        assert golden.rel_max(found.confidence[:, None, ::2, ::2], confidence) <= 5e-5
        wanted = data[f"{name}.intrinsics"]
        torch.testing.assert_close(found.intrinsics, wanted, rtol=5e-6, atol=0)
    if f"{name}.rays_every_4" in data:
        assert golden.max_abs(found.rays[..., ::4, ::4], data[f"{name}.rays_every_4"]) <= 2e-6
        radius = found.points.norm(dim=1, keepdim=True)[..., ::2, ::2]
        assert golden.rel_max(radius, data[f"{name}.radius_every_2"]) <= 5e-5


def test_fused_maps_and_class_tokens_equal_the_reference(case):
    model, data = case
    strengths = golden.with_reference(data["k_10_20_30.k"])
    with torch.inference_mode():
        maps, classes = model.features(frames_of(data), strengths)
        raw = model.camera_layer(torch.cat(model.camera_token_adapter(classes), dim=1))
    for stage in range(4):
        found = maps[stage].unflatten(1, (10, 13))[:, ::3, ::3]
        wanted = data[f"k_10_20_30.features{stage}_every_3"]
        assert golden.max_abs(found, wanted) <= 2.5e-5
        assert golden.rel_l2(found, wanted) <= 2.5e-6
        assert golden.max_abs(classes[stage], data[f"k_10_20_30.cls{stage}"]) <= 2.5e-5
    assert golden.rel_l2(raw, data["k_10_20_30.camera.mid.camera_raw"]) <= 1e-5


def test_ray_features_equal_the_reference(case):
    _, data = case
    rays = unit_rays(data["camera_K"], 140, 182)
    wanted = data["k_10_20_30.camera.mid.ray_embedding"]
    assert golden.rel_l2(ray_features(rays, (10, 13), 128), wanted) <= 1e-5


def estimator(model):
    return NetworkEstimator(model, nominal_camera=True)  # as the reference scales cameras


def picture_and_stack(data, prefix="", strengths=None):
    image = data[f"{prefix}image_rgb"].float() / 255
    strengths = data["k"] if strengths is None else strengths
    frames = data[f"{prefix}stack_rgb"].float() / 255
    return image, BokehStack(image, frames, tuple(strengths.tolist()))


def raw(confidence):
    return confidence / (1 - confidence)


def close(found, wanted):
    assert golden.rel_max(found, wanted) <= 1e-4
    assert golden.rel_l2(found, wanted) <= 1e-5


def test_whole_stage_equals_the_reference(whole):
    model, data = whole
    image, stack = picture_and_stack(data)
    height, width = image.shape[:2]
    run = estimator(model).estimate
    found = run(image[None], stack)
    close(found.depth[0, ::2, ::2], data["infer.depth_every_2"])
    # c/(1+c) and back costs up to c float32 roundings.
    assert golden.rel_max(raw(found.confidence[0, ::2, ::2]), data["infer.confidence_every_2"]) <= (
        1e-4 + float(data["infer.confidence_every_2"].max()) * 2e-7
    )
    torch.testing.assert_close(found.intrinsics, data["infer.intrinsics"], rtol=1e-5, atol=0)
    camera = intrinsics_from_focal_length(0.7 * width, width, height)
    found = run(image[None], stack, camera)
    close(found.depth[0, ::2, ::2], data["pipeline.depth_every_2"])
    close(found.depth[0, ::2, ::2], data["infer_default_camera.depth_every_2"])
    assert torch.equal(found.intrinsics, camera)
    close(run(image[None]).depth[0, ::2, ::2], data["infer_no_stack.depth_every_2"])
    found = run(image[None], stack, resolution=4)
    close(found.depth[0, ::2, ::2], data["infer_level.depth_every_2"])


def test_padding_is_undone_for_every_output(whole):
    model, data = whole
    image, stack = picture_and_stack(data, "padded.", data.get("padded.k", data["k"][:1]))
    found = estimator(model).estimate(image[None], stack)
    close(found.depth[0], data["padded.infer.depth"])
    wanted = data["padded.infer.intrinsics"]
    torch.testing.assert_close(found.intrinsics, wanted, rtol=1e-5, atol=0)
    assert found.confidence.shape == found.depth.shape == (1, 60, 188)
    camera = intrinsics_from_focal_length(0.7 * 188, 188, 60)
    found = estimator(model).estimate(image[None], stack, camera)
    close(found.depth[0], data["padded.infer_default_camera.depth"])
