"""The table of bases: what it says of the real classes, and what it refuses."""

import flux2_parts as parts
import pytest
import torch
from needs_flux import skip_without_flux
from safetensors import safe_open
from safetensors.torch import save_file

from bokehdepth_core import cli
from bokehdepth_core.generator.adapter import load_adapter
from bokehdepth_core.generator.conversion import convert_adapter
from bokehdepth_core.generator.flux.architectures import (
    BASES,
    FLUX1,
    FLUX2,
    KONTEXT,
    base_named,
    base_of_size,
    family_of,
)
from bokehdepth_core.generator.flux.layers import attention_layers, check_fit
from bokehdepth_core.weights.errors import CheckpointError

skip_without_flux()


def on_meta(base):
    """The published transformer of a base in diffusers' class, without numbers."""
    import diffusers

    make = {
        "FLUX.1": diffusers.FluxTransformer2DModel,
        "FLUX.2": diffusers.Flux2Transformer2DModel,
    }[base.family.name]
    with torch.device("meta"):
        return make(
            num_layers=base.doubles,
            num_single_layers=base.singles,
            num_attention_heads=base.width // 128,
            joint_attention_dim=base.text_width,
            guidance_embeds=base.guidance_embeds,
        )


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.name)
def test_every_name_of_the_table_is_a_layer_of_the_published_size(base):
    network = on_meta(base)
    assert family_of(network) is base.family
    layers = attention_layers(network)
    assert len(layers.outputs) == len(layers.projections) == base.layers
    for index, pair in layers.projections.items():
        for rows in pair:
            assert rows.first + base.width <= rows.linear.out_features
        query, key = pair
        assert query.linear is not key.linear or key.first - query.first == base.width
        for linear in layers.outputs[index]:
            assert linear.in_features >= base.width
            assert linear.out_features == base.width


def test_layers_count_doubles_first_in_both_classes():
    found = FLUX2.diffusers.attention(2, 1)
    assert [one.query.layer for one in found] == [
        "transformer_blocks.0.attn.to_q",
        "transformer_blocks.1.attn.to_q",
        "single_transformer_blocks.0.attn.to_qkv_mlp_proj",
    ]
    assert [one.key.layer for one in FLUX1.comfyui.attention(1, 2)] == [
        "double_blocks.0.img_attn.qkv",
        "single_blocks.0.linear1",
        "single_blocks.1.linear1",
    ]
    assert {one.key.part for one in FLUX1.comfyui.attention(1, 2)} == {1}


def test_the_sizes_of_the_bases_tell_them_apart():
    assert len({(base.layers, base.width) for base in BASES}) == len(BASES)
    assert all(base_of_size(base.layers, base.width) is base for base in BASES)


# --- adapter files -------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    save_file(parts.adapter_state(), tmp_path / "own.safetensors", {"base": parts.BASE})
    return tmp_path / "own.safetensors"


def test_a_file_states_its_base_and_one_without_is_for_kontext(file, tmp_path):
    assert load_adapter(file).base is base_named(parts.BASE)
    save_file(parts.adapter_state(), tmp_path / "plain.safetensors")
    assert load_adapter(tmp_path / "plain.safetensors").base is KONTEXT
    assert load_adapter(tmp_path / "plain.safetensors", base="flux.2-dev").base.name == "FLUX.2-dev"


def test_a_conversion_keeps_the_base_and_sets_it(file, tmp_path):
    kept, other = tmp_path / "kept.safetensors", tmp_path / "other.safetensors"
    convert_adapter(file, kept)
    assert load_adapter(kept).base.name == parts.BASE
    assert cli.main(["weights", "convert", str(file), str(other), "--base", "FLUX.2-dev"]) == 0
    with safe_open(other, "pt") as opened:
        assert opened.metadata()["base"] == "FLUX.2-dev"


def test_an_unknown_base_is_named_with_those_there_are(file, tmp_path, capsys):
    out = str(tmp_path / "x.safetensors")
    assert cli.main(["weights", "convert", str(file), out, "--base", "SDXL"]) == 2
    said = capsys.readouterr().err
    assert "own.safetensors: base: use one of FLUX.1-Kontext, FLUX.2-dev" in said
    assert "found 'SDXL'" in said
    assert not (tmp_path / "x.safetensors").exists()


def sized(base, path, stated):
    """Write an adapter of rank 1 with the sizes of a published base."""
    state = parts.adapter_state(base.layers, base.width, 1, 2)
    save_file(state, path, stated and {"base": stated})
    return path


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("FLUX.1-Kontext", r"^a\.safetensors: made for FLUX\.2-klein-4B, not FLUX\.1-Kontext: 25"),
        (None, r"^a\.safetensors: state its base: weights convert --base FLUX\.2-klein-4B\."),
    ],
)
def test_a_base_that_the_sizes_contradict_is_refused(tmp_path, stated, message):
    path = sized(base_named("FLUX.2-klein-4B"), tmp_path / "a.safetensors", stated)
    with pytest.raises(CheckpointError, match=message):
        load_adapter(path)
    assert load_adapter(path, base="FLUX.2-klein-4B").layer_count == 25


# --- on a transformer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "on", "message"),
    [
        ("FLUX.2-klein-4B", "FLUX.1-Kontext", r"FLUX\.2-klein-4B, for .* a FLUX\.1"),
        ("FLUX.1-Kontext", "FLUX.2-klein-4B", r"FLUX\.1-Kontext-dev, for .* a FLUX\.2"),
        ("FLUX.2-klein-4B", "FLUX.2-klein-9B", r"FLUX\.2-klein-4B, for .* FLUX\.2-klein-9B"),
    ],
)
def test_an_adapter_of_another_base_is_refused_by_name(base, on, message):
    with pytest.raises(ValueError, match=f"^base_model: give {message}"):
        check_fit(parts.random_adapter(base), on_meta(base_named(on)))


def test_another_size_is_refused_by_name():
    message = (
        r"^base_model: give FLUX\.2-klein-4B: the bokeh adapter is made for 4 attention layers of "
        r"width 32, found Flux2Transformer2DModel with 5 of width 32"
    )
    with pytest.raises(ValueError, match=message):
        check_fit(parts.random_adapter(layers=4), parts.tiny_transformer())
    check_fit(parts.random_adapter(), parts.tiny_transformer())


def test_a_network_of_no_family_is_named():
    with pytest.raises(ValueError, match=r"^base_model: give FLUX\.1 or FLUX\.2: found Linear"):
        attention_layers(torch.nn.Linear(2, 2))
