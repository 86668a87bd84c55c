"""Depth checkpoints as strangers bring them: what tells the range, and what is refused."""

import json
import math

import golden
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file
from test_plain_depth import theirs

from bokehdepth_core import load_depth_estimator
from bokehdepth_core.depth.batch import normalized_over_batch
from bokehdepth_core.depth.estimator import NetworkEstimator
from bokehdepth_core.depth.loading import network_from
from bokehdepth_core.depth.networks.unidepth import ray_features, unit_rays
from bokehdepth_core.files.depth_maps import read_depth
from bokehdepth_core.weights.errors import CheckpointError
from bokehdepth_core.weights.strict import build_on_meta, load_strictly


def state_of(name="dav2_dsfa"):
    case = golden.manifest(name)
    return golden.recipe_state(case["parameters"], case["seed"])


def build(state, **options):
    return network_from(state, "file.pth", "cpu", torch.float32, **options)


# --- the range of a metric network ---------------------------------------------------------------


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory):
    """A metric network in the Hugging Face layout: a folder with model and configuration."""
    folder = tmp_path_factory.mktemp("models") / "Depth-hf"
    theirs(20).save_pretrained(folder)
    return folder


def test_a_folder_and_its_file_have_the_range_of_the_configuration(hugging_face):
    for path in (hugging_face, hugging_face / "model.safetensors"):
        assert load_depth_estimator(path).network.shape.max_depth == 20


@pytest.mark.parametrize(
    ("folder", "file", "reach"),
    [
        ("Depth-Anything-V2-Metric-Indoor-Small-hf", "model.safetensors", 20.0),
        ("Depth-Anything-V2-Metric-Outdoor-Base-hf", "model.safetensors", 80.0),
        ("any", "depth_anything_v2_metric_indoor_large.safetensors", 20.0),
        ("any", "depth_anything_v2_metric_vkitti_vits.safetensors", 80.0),
        ("any", "depth_anything_v2_vits.safetensors", None),
        ("Metric-Indoor", "depth_anything_v2_vits.safetensors", None),  # a folder of many files
    ],
)
def test_published_names_tell_the_range(tmp_path, hugging_face, folder, file, reach):
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / file
    path.write_bytes((hugging_face / "model.safetensors").read_bytes())
    assert load_depth_estimator(path).network.shape.max_depth == reach


def test_a_metric_network_of_unknown_range_is_not_taken_for_a_relative_one(tmp_path, hugging_face):
    path = tmp_path / "my_metric_model.safetensors"
    path.write_bytes((hugging_face / "model.safetensors").read_bytes())
    with pytest.raises(
        CheckpointError, match=r"^my_metric_model\.safetensors: a metric network by"
    ):
        load_depth_estimator(path)
    assert load_depth_estimator(path, max_depth=35.0).network.shape.max_depth == 35.0


@pytest.mark.parametrize("reach", [0, -5.0, math.nan, math.inf, "far"])
def test_an_unusable_range_is_refused(reach):
    with pytest.raises(ValueError, match=r"^max_depth: "):
        build(state_of(), max_depth=reach)


@pytest.mark.parametrize("reach", ["-1", "far"])
def test_an_unusable_range_in_the_file_is_refused(tmp_path, reach):
    path = tmp_path / "net.safetensors"
    save_file(state_of(), path, metadata={"max_depth_m": reach})
    with pytest.raises(CheckpointError, match=r"^net\.safetensors: max_depth_m: "):
        load_depth_estimator(path)


def test_version_1_is_refused_by_its_configuration_and_by_its_name(tmp_path, hugging_face):
    first = tmp_path / "small-hf"
    first.mkdir()
    (first / "model.safetensors").write_bytes((hugging_face / "model.safetensors").read_bytes())
    config = json.loads((hugging_face / "config.json").read_text(encoding="utf-8"))
    config["backbone_config"]["out_indices"] = [9, 10, 11, 12]
    (first / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"^model\.safetensors: Depth Anything of version 1"):
        load_depth_estimator(first / "model.safetensors")
    named = tmp_path / "depth_anything_vits14.pth"
    torch.save(state_of(), named)
    with pytest.raises(CheckpointError, match="version 1"):
        load_depth_estimator(named)


# --- files that are not what they seem -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("unidepthv2_dsfa", "pixel_encoder.backbone.blocks.3999999.norm1.weight"),
        ("dav2_dsfa", "pretrained.blocks.39.norm1.weight"),
    ],
)
def test_one_key_cannot_make_an_encoder_of_any_depth(name, key):
    with pytest.raises(CheckpointError, match=r"^file\.pth: an encoder of \d+ blocks, of which 13"):
        build(state_of(name) | {key: torch.zeros(384)})


def test_dsfa_at_a_stage_that_no_network_has_is_refused():
    state = state_of()
    extra = {
        key.replace("layers.2.", "layers.9."): value
        for key, value in state.items()
        if "encoder_fusion.layers.2." in key
    }
    with pytest.raises(CheckpointError, match="DSFA at stage 9; there are 4"):
        build(state | extra)


def test_patches_of_another_size_are_refused():
    state = state_of()
    kernel = state["pretrained.patch_embed.proj.weight"]
    state["pretrained.patch_embed.proj.weight"] = torch.zeros(*kernel.shape[:2], 16, 16)
    with pytest.raises(CheckpointError, match=r"patches of 16 px; expected 14"):
        build(state)


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64])
def test_weights_that_are_no_plain_numbers_are_refused(dtype):
    state = state_of()
    key = "depth_head.scratch.output_conv1.weight"
    state[key] = state[key].to(dtype)
    with pytest.raises(
        CheckpointError, match=rf"^file\.pth: '.*' holds {dtype}, expected floating"
    ):
        build(state)


def test_two_keys_for_one_weight_are_refused(tmp_path):
    path = tmp_path / "two.pth"
    torch.save({"a.weight": torch.zeros(1), "module.a.weight": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match=r"^two\.pth: two keys mean 'a\.weight'"):
        load_depth_estimator(path)


@pytest.mark.parametrize("ema", [[], {}, "none", None])
def test_averages_that_hold_nothing_are_passed_over(tmp_path, ema):
    path = tmp_path / "trained.pth"
    torch.save({"model": state_of(), "ema": ema}, path)
    assert load_depth_estimator(path).network.shape.fused == (2, 3)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_pointer_in_place_of_the_weights_is_named(tmp_path, suffix):
    path = tmp_path / f"net.{suffix}"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n")
    with pytest.raises(CheckpointError, match="a Git LFS pointer in place of the weights"):
        load_depth_estimator(path)


def test_a_network_that_gives_no_numbers_is_blamed_for_it():
    state = state_of()
    state["pretrained.norm.weight"][0] = math.nan
    with pytest.raises(ValueError, match=r"^depth_model: the network gave no number in \d+ of"):
        NetworkEstimator(build(state)).estimate(torch.rand(1, 40, 50, 3), resolution=0)


def test_a_module_keeps_its_own_checks():
    network = build_on_meta(lambda: torch.nn.Linear(2, 2))
    with pytest.raises(CheckpointError, match=r"1 missing keys: 'bias'"):
        load_strictly(network, {"weight": torch.zeros(2, 2)}, "file")


# --- cameras and planes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "camera",
    [torch.zeros(1, 3, 3), torch.full((1, 3, 3), math.nan), torch.diag(torch.tensor([-5.0, 5, 1]))],
)
def test_a_camera_that_sees_nothing_is_refused(camera):
    estimator = NetworkEstimator(build(state_of("unidepthv2_dsfa")))
    with pytest.raises(ValueError, match=r"^intrinsics: focal lengths must be above 0 px"):
        estimator.estimate(torch.rand(1, 40, 50, 3), intrinsics=camera.reshape(1, 3, 3))


def test_rounding_does_not_turn_the_middle_row_of_a_centred_camera():
    """Its azimuth to the left is half a turn, of either sign."""
    camera = torch.tensor([[[300.0, 0, 231], [0, 300, 231], [0, 0, 1]]])
    grid = (33, 33)  # an odd number of rows: the middle one looks at y = 0
    features = []
    for shift in (-1e-5, 0.0, 1e-5):
        camera[0, 1, 2] = 231 + shift
        features.append(ray_features(unit_rays(camera, 462, 462), grid, 64))
    middle = [one.reshape(33, 33, 64)[16] for one in features]
    # The finest wave turns 2^4 half-turns for each radian; 1e-5 px is 3e-8 radian.
    torch.testing.assert_close(middle[0], middle[1], rtol=0, atol=1e-4)
    torch.testing.assert_close(middle[2], middle[1], rtol=0, atol=1e-4)


def test_a_plane_is_near_and_its_rounding_no_relief():
    flat = torch.full((1, 4, 4), 3.0)
    assert torch.equal(normalized_over_batch(flat), torch.ones(1, 4, 4))
    noisy = flat + 1e-6 * torch.rand(1, 4, 4)
    assert normalized_over_batch(noisy).min() > 0.999
    steep = torch.tensor([[[1.0, 2.0, 3.0]]])
    assert torch.equal(normalized_over_batch(steep), torch.tensor([[[0.0, 0.5, 1.0]]]))
    assert torch.equal(normalized_over_batch(torch.zeros(1, 2, 2)), torch.zeros(1, 2, 2))


@pytest.mark.parametrize("level", [2.5, True, 10])
def test_a_level_that_is_none_is_refused(level):
    estimator = NetworkEstimator(build(state_of()))
    with pytest.raises(ValueError, match=r"^resolution: expected"):
        estimator.estimate(torch.rand(1, 40, 50, 3), resolution=level)


# --- depth pictures ------------------------------------------------------------------------------


def write_png(path, **text):
    info = PngInfo()
    for key, value in text.items():
        info.add_text(f"bokehdepth.{key}", value)
    Image.fromarray(torch.full((3, 4), 500, dtype=torch.uint16).numpy()).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize("text", [{}, {"scale": "abc"}, {"scale": "-1"}])
def test_a_depth_picture_without_its_scale_is_named(tmp_path, text):
    path = write_png(tmp_path / "depth.png", quantity="depth", **text)
    with pytest.raises(ValueError, match=r"^depth\.png: holds depth, but how many metres a step"):
        read_depth(path)


def test_an_unreadable_camera_in_a_depth_picture_is_named(tmp_path):
    path = write_png(tmp_path / "depth.png", quantity="depth", scale="0.01", intrinsics="[[1,")
    with pytest.raises(ValueError, match=r"^depth\.png: unreadable bokehdepth\.intrinsics"):
        read_depth(path)
