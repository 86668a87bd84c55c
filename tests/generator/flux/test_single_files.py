"""FLUX.1-Kontext from ComfyUI's files: the same networks as diffusers', whatever the files."""

import re

import flux_files
import pytest
import torch
from kontext_parts import STAGE1
from needs_flux import skip_without_flux
from safetensors.torch import load_file, save_file

from bokehdepth_core.generator import load_bokeh_generator
from bokehdepth_core.generator.flux.pipeline import load_pipeline
from bokehdepth_core.generator.flux.single_files import Sources, find_parts
from bokehdepth_core.weights.errors import CheckpointError

skip_without_flux()

ROLES = {
    "transformer": "transformer",
    "clip": "text_encoder",
    "t5": "text_encoder_2",
    "vae": "vae",
}


@pytest.fixture(scope="module")
def networks():
    return flux_files.make_tiny()


@pytest.fixture(scope="module")
def states(networks):
    return flux_files.file_states(networks)


@pytest.fixture
def models(tmp_path, states):
    """ComfyUI's model folders with one file for each network, and tokenizers beside."""
    flux_files.save_tokenizers(tmp_path / "diffusion_models")
    flux_files.save_parts(tmp_path, states)
    return tmp_path


def assert_same(pipeline, networks):
    for role, attribute in ROLES.items():
        loaded, wanted = getattr(pipeline, attribute).state_dict(), networks[role].state_dict()
        assert loaded.keys() == wanted.keys()
        assert all(torch.equal(loaded[key], value) for key, value in wanted.items())


def test_separate_files_give_the_networks_bit_for_bit(models, networks):
    pipeline = load_pipeline(models / "diffusion_models" / "kontext.safetensors", torch.float32)
    assert_same(pipeline, networks)
    assert pipeline.text_encoder_2.encoder.embed_tokens.weight is (
        pipeline.text_encoder_2.shared.weight
    )
    for role, attribute in ROLES.items():
        own, wanted = getattr(pipeline, attribute).config, networks[role].config
        names = "axes_dims_rope num_heads num_attention_heads hidden_act eos_token_id norm_eps"
        for name in (*names.split(), "scaling_factor", "shift_factor", "norm_num_groups"):
            found, expected = getattr(own, name, None), getattr(wanted, name, None)
            assert found == expected or list(found) == list(expected), (role, name)


def test_the_scheduler_is_the_published_one(models):
    pipeline = load_pipeline(models / "diffusion_models" / "kontext.safetensors", torch.float32)
    wanted = STAGE1["config"]["scheduler"]
    assert {key: pipeline.scheduler.config[key] for key in wanted} == wanted


def test_one_whole_file_gives_the_networks_bit_for_bit(tmp_path, states, networks):
    flux_files.save_tokenizers(tmp_path)
    path = flux_files.save_whole(tmp_path / "whole.safetensors", states)
    assert_same(load_pipeline(path, torch.float32), networks)


@pytest.mark.parametrize("newer", [False, True], ids=["scale_weight", "weight_scale"])
def test_scaled_8_bit_weights_are_multiplied_by_their_scales(models, states, networks, newer):
    file = models / "diffusion_models" / "kontext.safetensors"
    save_file(flux_files.scaled_fp8(states["transformer"], newer), file)
    loaded = load_pipeline(file, torch.float32).transformer.state_dict()
    for key, value in networks["transformer"].state_dict().items():
        # e4m3 keeps 3 bits behind the leading one: half a step is 1/16 of a value, and near 0 half
        # a step of 2^-9 of the scale, which is the largest value / 448
        error = value.abs() / 16 + value.abs().max() / 448 / 2**10 * 6
        assert ((loaded[key] - value).abs() <= error).all(), key
    scaled = loaded["transformer_blocks.0.attn.to_q.weight"]
    assert not torch.equal(scaled, networks["transformer"].transformer_blocks[0].attn.to_q.weight)


def test_half_precision_is_taken_over_but_for_the_t5_products_that_overflow(models):
    file = models / "diffusion_models" / "kontext.safetensors"
    pipeline = load_pipeline(file, torch.float16)
    assert {p.dtype for p in pipeline.transformer.parameters()} == {torch.float16}
    kept = {n for n, p in pipeline.text_encoder_2.named_parameters() if p.dtype == torch.float32}
    assert kept == {f"encoder.block.{i}.layer.1.DenseReluDense.wo.weight" for i in range(2)}


def test_a_stack_comes_from_single_files(models):
    adapter = flux_files.save_adapter(models / "bokeh_lora.safetensors")
    file = models / "diffusion_models" / "kontext.safetensors"
    generator = load_bokeh_generator(adapter, file)
    stack = generator.generate(torch.rand(48, 64, 3), [5, 25], steps=1)
    assert stack.frames.shape == (2, 48, 64, 3)
    assert not torch.equal(stack.frames[0], stack.frames[1])


# --- finding -------------------------------------------------------------------------------------


def test_parts_are_found_by_their_keys_in_given_folders_too(tmp_path, states):
    file = flux_files.save_parts(tmp_path / "here", states)
    elsewhere = tmp_path / "elsewhere" / "sub"
    elsewhere.mkdir(parents=True)
    vae = tmp_path / "here" / "vae" / "some_vae.safetensors"
    vae.rename(elsewhere / "picture_coder.safetensors")
    save_file({"weight": torch.zeros(1)}, elsewhere / "something_else.safetensors")
    (elsewhere / "damaged.safetensors").write_bytes(b"nothing")
    parts = find_parts(file, [elsewhere.parent])
    assert parts["vae"].file.name == "picture_coder.safetensors"
    assert parts["t5"].file.name == "some_t5.safetensors"


def test_a_t5_with_a_bias_in_every_block_is_another_one(tmp_path, states):
    file = flux_files.save_parts(tmp_path, states)
    key = "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias.weight"
    other = states["t5"] | {key.format(1): states["t5"][key.format(0)].clone()}
    save_file(other, tmp_path / "text_encoders" / "a_umt5.safetensors")
    assert find_parts(file)["t5"].file.name == "some_t5.safetensors"


def test_a_missing_part_is_named_with_the_places_looked_in(tmp_path, states):
    file = flux_files.save_parts(tmp_path, states)
    (tmp_path / "text_encoders" / "some_t5.safetensors").unlink()
    message = r"^base_model: kontext\.safetensors holds no T5-XXL text encoder, and no file that "
    with pytest.raises(FileNotFoundError, match=message + r".*/text_encoders, .*/vae"):
        find_parts(file)


def test_two_files_that_fit_alike_are_not_guessed_at(tmp_path, states):
    file = flux_files.save_parts(tmp_path, states)
    for name in ("second_vae", "third_vae"):
        save_file(states["vae"], tmp_path / "vae" / f"{name}.safetensors")
    with pytest.raises(ValueError, match=r"3 files fit as the VAE of FLUX of kontext\.safetensors"):
        find_parts(file)
    save_file(states["vae"], tmp_path / "vae" / "ae.safetensors")  # the published name
    assert find_parts(file)["vae"].file.name == "ae.safetensors"


def test_a_file_beside_the_model_is_taken_before_those_elsewhere(tmp_path, states):
    file = flux_files.save_parts(tmp_path, states)
    save_file(states["vae"], tmp_path / "vae" / "second_vae.safetensors")
    save_file(states["vae"], file.parent / "mine.safetensors")
    assert find_parts(file)["vae"].file.name == "mine.safetensors"


def test_what_a_checkpoint_holds_itself_is_taken_from_it_beside_parts_from_elsewhere(
    tmp_path, states
):
    flux_files.save_parts(tmp_path, states)
    save_file(states["vae"], tmp_path / "vae" / "ae.safetensors")
    (tmp_path / "checkpoints").mkdir()
    whole = flux_files.save_whole(tmp_path / "checkpoints" / "whole.safetensors", states)
    save_file({k: v for k, v in load_file(whole).items() if "text_model" not in k}, whole)
    parts = find_parts(whole)
    assert parts["vae"].file == parts["t5"].file == whole
    assert parts["clip"].file.parent.name == "text_encoders"


def test_another_network_is_refused(tmp_path):
    file = tmp_path / "sd.safetensors"
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match=r"^sd\.safetensors: not FLUX; 1 keys, first 'model"):
        load_pipeline(file, torch.float32)


@pytest.mark.parametrize(
    ("key", "rows", "parts"),
    [
        ("double_blocks.0.img_attn.qkv.weight", 4, 3),  # the last ones would be left out
        ("single_blocks.0.linear1.weight", 3, 4),
        ("single_blocks.0.linear1.weight", 0, 4),
    ],
)
def test_a_fused_layer_of_other_rows_is_refused(models, states, key, rows, parts):
    hidden = len(states["transformer"]["img_in.weight"])
    other = torch.zeros(rows * hidden, hidden) if rows else torch.tensor(1.0)
    file = models / "diffusion_models" / "kontext.safetensors"
    save_file(states["transformer"] | {key: other}, file)
    said = f"'{key}' has {rows * hidden} rows, not those of {parts} parts of {hidden}"
    with pytest.raises(CheckpointError, match=re.escape(said)):
        load_pipeline(file, torch.float32)


def test_a_packed_number_format_is_refused(models, states):
    file = models / "diffusion_models" / "kontext.safetensors"
    packed = dict(states["transformer"])
    packed["img_in.weight"] = torch.zeros(256, 64, dtype=torch.uint8)
    save_file(packed, file)
    message = r"^kontext\.safetensors: 'img_in\.weight' in a packed number format"
    with pytest.raises(CheckpointError, match=message):
        load_pipeline(file, torch.float32)


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "kontext-Q4.gguf").write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match=r"found '\.gguf'\. Such files run through ComfyUI"):
        load_pipeline(tmp_path / "kontext-Q4.gguf", torch.float32)


def test_given_tokenizers_that_are_nowhere_are_named(models):
    file = models / "diffusion_models" / "kontext.safetensors"
    absent = (models / "none", models / "none_2")
    with pytest.raises(FileNotFoundError, match=r"^base_model: no tokenizers for kontext"):
        load_pipeline(file, torch.float32, Sources(tokenizers=absent))


def test_comfyui_s_own_tokenizers_above_the_file_are_taken(tmp_path, states):
    file = flux_files.save_parts(tmp_path / "models", states)
    flux_files.save_tokenizers(tmp_path / "made")
    (tmp_path / "comfy" / "text_encoders").mkdir(parents=True)
    (tmp_path / "made" / "tokenizer").rename(tmp_path / "comfy" / "sd1_tokenizer")
    there = tmp_path / "comfy" / "text_encoders" / "t5_tokenizer"
    (tmp_path / "made" / "tokenizer_2").rename(there)
    pipeline = load_pipeline(file, torch.float32)
    assert (pipeline.tokenizer.model_max_length, len(pipeline.tokenizer_2)) == (77, 8)
