import golden
import pytest
import torch

from bokehdepth_core.depth.loading import network_from
from bokehdepth_core.depth.networks.depth_anything import DepthAnything
from bokehdepth_core.depth.networks.dinov2 import resample_positions
from bokehdepth_core.depth.networks.preprocess import depth_anything_transform

SCALES = {"trained": "", "single": "_no_sdpa", "double": "_sdpa_cuda"}


@pytest.fixture(scope="module")
def case():
    return golden.manifest("dav2_dsfa"), golden.tensors("dav2_dsfa")


def network(seed, scale="trained"):
    shapes = golden.manifest("dav2_dsfa")["parameters"]
    state = golden.recipe_state(shapes, seed)
    return network_from(state, "golden", "cpu", torch.float32, scale)


def frames_of(data):
    stack = golden.normalized(data["stack_rgb"])
    return torch.cat([golden.normalized(data["image_rgb"])[:, None], stack], dim=1)


@pytest.mark.parametrize("scale", SCALES)
def test_depth_and_tokens_equal_the_reference(case, scale):
    manifest, data = case
    model, frames = network(manifest["seed"], scale), frames_of(data)
    checked = 0
    for name in ("k_small", "k_10_30", "no_stack"):
        wanted = data.get(f"{name}.depth{SCALES[scale]}")
        if wanted is None:
            continue
        strengths = golden.with_reference(data.get(f"{name}.k", torch.zeros(2, 0)))
        with torch.inference_mode():
            found = model(frames[:, : strengths.shape[1]], strengths)
            tokens = model.tokens(frames[:, : strengths.shape[1]], strengths)
        assert golden.max_abs(found, wanted) <= 5e-4, name
        assert golden.rel_l2(found, wanted) <= 2.5e-6, name
        for stage in range(4):
            key = f"{name}.tokens{stage}_every_4"
            if scale == "trained" and key in data:
                assert golden.max_abs(tokens[stage][:, 1:][:, ::4], data[key]) <= 2e-5, key
        checked += 1
    assert checked >= 2


@pytest.mark.parametrize("side", [140, 518])
def test_a_picture_of_odd_size_equals_the_reference(side):
    manifest, data = golden.manifest("dav2_infer_image"), golden.tensors("dav2_infer_image")
    pictures = torch.cat([data["image_rgb"][None], data["stack_rgb"]]).float() / 255
    transform = depth_anything_transform(*pictures.shape[1:3], side)
    frames = transform.to_input(pictures)
    every = 5 if side == 140 else 7
    wanted = data[f"size{side}.preprocessed_every_{every}"]
    assert golden.max_abs(frames[:1, :, ::every, ::every], wanted) <= 2e-4
    strengths = golden.with_reference(data["k"][None])
    outputs = {
        "depth_every_2": ("trained", frames),
        "depth_no_stack_every_2": ("trained", frames[:1]),
        "depth_no_sdpa_every_2": ("single", frames),
    }
    for name, (scale, given) in outputs.items():
        with torch.inference_mode():
            found = network(manifest["seed"], scale)(given[None], strengths[:, : len(given)])
        found = transform.restore(found)[0, ::2, ::2]
        assert golden.max_abs(found, data[f"size{side}.{name}"]) <= 2e-3, name


@pytest.mark.parametrize(("rule", "offset"), [("offset01", 0.1), ("offset0", 0.0)])
def test_position_table_is_resampled_by_either_rule(rule, offset):
    manifest, data = golden.manifest("pos_embed_resample"), golden.tensors("pos_embed_resample")
    table = golden.recipe_weight("pos_embed", [1, 1370, 384], manifest["seed"])
    for height, width in manifest["config"]["grids_hw"]:
        found = resample_positions(table, height, width, offset)
        patches = found[0, 1:].unflatten(0, (height, width))[..., :4]
        assert golden.max_abs(patches, data[f"{height}x{width}.{rule}"]) <= 5e-7
        assert torch.equal(found[:, 0], table[:, 0])


def test_chunks_of_frames_change_nothing(case):
    manifest, data = case
    model, frames = network(manifest["seed"]), frames_of(data)
    strengths = golden.with_reference(data["k_small.k"])
    with torch.inference_mode():
        whole, parts = model(frames, strengths), model(frames, strengths, chunk=1)
    # float32 sums in another order: the noise of the parity data.
    torch.testing.assert_close(whole, parts, rtol=0, atol=5e-4)


def test_heads_stay_in_float32_beside_a_half_precision_encoder(case):
    manifest, _ = case
    state = golden.recipe_state(manifest["parameters"], manifest["seed"])
    model = network_from(state, "golden", "cpu", torch.bfloat16)
    assert isinstance(model, DepthAnything)
    types = {name.split(".")[0]: value.dtype for name, value in model.named_parameters()}
    assert types == {
        "backbone": torch.bfloat16,
        "fusion": torch.bfloat16,
        "neck": torch.float32,
        "head": torch.float32,
    }
