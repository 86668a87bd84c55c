"""Networks trained with other choices than the published ones, against a literal form of DSFA.

No reference outputs exist for these, so the block's equations are written out here once more, for
all frames at once and without any fused kernel.
"""

import golden
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from bokehdepth_core import load_depth_estimator
from bokehdepth_core.depth.conversion import convert_checkpoint
from bokehdepth_core.depth.loading import network_from
from bokehdepth_core.depth.networks.dsfa import DividedSpaceFocusAttention
from bokehdepth_core.weights.errors import CheckpointError
from bokehdepth_core.weights.reading import read_metadata


def state_of(name):
    case = golden.manifest(name)
    return golden.recipe_state(case["parameters"], case["seed"])


def heads_of(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(-2, -3)


def attended(query, key, value, heads, scale, bias=0.0):
    query, key, value = (heads_of(x, heads) for x in (query, key, value))
    weights = torch.softmax(scale * query @ key.transpose(-1, -2) + bias, dim=-1)
    return (weights @ value).transpose(-2, -3).flatten(-2)


def literal(weights, tokens, strengths, heads, alibi):
    """[B,T,D] from tokens [B,F,T,D] and strengths [B,F], by the equations."""

    def linear(x, name):
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, part):
        ln = weights[f"ln_{part}.weight"], weights[f"ln_{part}.bias"]
        return F.layer_norm(x, x.shape[-1:], *ln, 1e-5)

    def mlp(x, part):
        return linear(F.gelu(linear(norm(x, part), f"{part}.fc1")), f"{part}.fc2")

    head_dim = tokens.shape[-1] // heads
    embedded = linear(linear(strengths[..., None], "k_embed.0").relu(), "k_embed.2")
    x = torch.cat([embedded[:, :, None], tokens], dim=2)
    q, k, v = linear(norm(x, "space_attn"), "space_attn.qkv").chunk(3, dim=-1)
    mixed = attended(q, k, v, heads, 1 / head_dim)
    x = x + weights["gamma_space_attn"] * linear(mixed, "space_attn.out_proj")
    x = (x + weights["gamma_space_ffn"] * mlp(x, "space_ffn"))[:, :, 1:]
    scale, shift = linear(embedded, "focus_film")[:, :, None].chunk(2, dim=-1)
    x = ((1 + torch.tanh(scale)) * x + shift).transpose(1, 2)  # [B,T,F,D]
    q, k, v = linear(norm(x, "focus_attn"), "focus_attn.qkv").chunk(3, dim=-1)
    apart = (strengths[:, :, None] - strengths[:, None]).abs()
    mixed = attended(q, k, v, heads, head_dim**-0.5, -alibi * apart[:, None, None])
    x = x + weights["gamma_focus_attn"] * linear(mixed, "focus_attn.out_proj")
    return (x + weights["gamma_focus_ffn"] * mlp(x, "focus_ffn"))[:, :, 0]


@pytest.mark.parametrize(("heads", "alibi"), [(8, 1.0), (4, 0.25), (4, 0.5), (8, 0.0), (16, 0.3)])
def test_a_block_of_any_heads_and_bias_is_its_equations(heads, alibi):
    manifest, data = golden.manifest("dsfa_block"), golden.tensors("dsfa_block")
    weights = golden.recipe_state(manifest["parameters"], manifest["seed"])
    weights = {key: value.double() for key, value in weights.items()}
    block = DividedSpaceFocusAttention(64, heads, alibi=alibi).double()
    block.load_state_dict(weights)
    tokens = torch.cat([data["ref_patches"][:, None], data["stack_patches"]], dim=1).double()
    strengths = golden.with_reference(data["k_two_rows.k_stack"]).double()
    with torch.inference_mode():
        found = block(tokens, strengths)
    wanted = literal(weights, tokens, strengths, heads, alibi)
    # The strengths' embedding and bias are computed in float32 on purpose.
    assert golden.rel_l2(found, wanted) <= 1e-6
    other = literal(weights, tokens, strengths, heads, alibi + 0.25)
    assert golden.rel_l2(other, wanted) > 1e-5  # the bias is seen at all


CHOICES = {"alibi": 0.25, "heads": 4, "stages": (2, 5, 9, 12)}


@pytest.mark.parametrize("name", ["unidepthv2_dsfa", "dav2_dsfa"])
def test_stages_heads_and_bias_reach_the_fused_tokens_of_a_whole_network(name):
    state = state_of(name)
    network = network_from(state, name, "cpu", torch.float32, **CHOICES)
    assert network.stages == (1, 4, 8, 11)
    random = torch.Generator().manual_seed(3)
    frames = torch.randn(1, 3, 3, 42, 56, generator=random)
    strengths = torch.tensor([[0.0, 0.5, 1.5]])
    raw = []
    hooks = [
        network.backbone.encoder.layer[block].register_forward_hook(
            lambda _, __, out: raw.append(out[0] if isinstance(out, tuple) else out)
        )
        for block in (1, 4, 8, 11)
    ]
    with torch.inference_mode():
        unidepth = name == "unidepthv2_dsfa"
        run = network.features if unidepth else network.tokens
        found = run(frames, strengths)[0] if unidepth else run(frames, strengths)
    for hook in hooks:
        hook.remove()
    prefix = "pixel_encoder.fusion_blocks.{}." if unidepth else "encoder_fusion.layers.{}.block."
    for stage in network.shape.fused:
        start = prefix.format(stage)
        weights = {
            key.removeprefix(start).replace("film.0.", "film."): value
            for key, value in state.items()
            if key.startswith(start)
        }
        tokens = network.backbone.layernorm(raw[stage])[None, :, 1:]
        wanted = literal(weights, tokens, strengths, 4, 0.25)
        got = found[stage] if unidepth else found[stage][:, 1:]
        # Noise of float32 in the golden data, and that of its sums in another order.
        assert golden.rel_l2(got, wanted) <= 5e-6


def test_a_converted_file_needs_no_options_and_options_win_over_it(tmp_path):
    source, target = tmp_path / "mine.safetensors", tmp_path / "converted.safetensors"
    save_file(state_of("dav2_dsfa"), source)
    convert_checkpoint(source, target, 30.0, "single", **CHOICES)
    assert read_metadata(target) == {
        "format": "pt",
        "network": "DepthAnything",
        "source": "mine.safetensors",
        "max_depth_m": "30",
        "attention_scale": "single",
        "alibi": "0.25",
        "dsfa_heads": "4",
        "stages": "2,5,9,12",
    }
    network = load_depth_estimator(target).network
    assert network.stages == (1, 4, 8, 11)
    block = network.fusion["2"]
    assert (block.alibi, block.heads, network.shape.max_depth) == (0.25, 4, 30.0)
    network = load_depth_estimator(target, alibi=0.5, heads=8, stages=[3, 6, 9, 12]).network
    block = network.fusion["2"]
    assert (block.alibi, block.heads, network.stages) == (0.5, 8, (2, 5, 8, 11))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 7}, r"^mine: 7 heads do not divide the 384 channels of DSFA\. Give heads\.$"),
        ({"stages": (2, 5, 9, 13)}, r"^mine: stages end after block 13; its encoder has 12"),
        ({"stages": (2, 5, 9)}, r"^stages: expected four rising block numbers, found \[2, 5, 9\]"),
        ({"stages": (5, 2, 9, 12)}, r"^stages: expected four rising block numbers"),
        ({"alibi": -1.0}, r"^alibi: expected at least 0, found -1"),
        ({"heads": 2.5}, r"^heads: expected a whole number, found 2\.5"),
    ],
)
def test_choices_that_cannot_be_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        network_from(state_of("unidepthv2_dsfa"), "mine", "meta", torch.float32, **options)


@pytest.mark.parametrize(
    ("key", "text"), [("alibi", "low"), ("dsfa_heads", "4.5"), ("stages", "2,5"), ("stages", "x")]
)
def test_unreadable_metadata_is_named(tmp_path, key, text):
    path = tmp_path / "net.safetensors"
    save_file(state_of("dav2_dsfa"), path, metadata={key: text})
    with pytest.raises(CheckpointError, match=rf"^net\.safetensors: {key}: "):
        load_depth_estimator(path)
