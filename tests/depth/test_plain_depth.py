import re

import pytest
import torch

from bokehdepth_core.depth.estimator import NetworkEstimator
from bokehdepth_core.depth.loading import network_from
from bokehdepth_core.depth.networks import depth_anything
from bokehdepth_core.depth.networks.dinov2 import EncoderShape

REFINE = "depth_head.scratch.refinenet"
ORIGINAL_NAMES = [  # from transformers' names to the published ones, inside a block
    (r"attention\.output\.dense", "attn.proj"),
    (r"layer_scale(\d)\.lambda1", r"ls\1.gamma"),
    (r"mlp\.weights_in", "mlp.w12"),
    (r"mlp\.weights_out", "mlp.w3"),
]


def theirs(max_depth=None, gated=False):
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    torch.manual_seed(3)
    backbone = Dinov2Config(
        hidden_size=64,
        num_hidden_layers=12,
        num_attention_heads=1,
        image_size=56,
        patch_size=14,
        use_swiglu_ffn=gated,
        out_indices=[3, 6, 9, 12],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=64,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
        head_hidden_size=8,
        depth_estimation_type="relative" if max_depth is None else "metric",
        max_depth=max_depth or 1,
    )
    model = DepthAnythingForDepthEstimation(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim > 1 and "embeddings" not in name:
                value.normal_(0, value[0].numel() ** -0.5)
        model.head.conv3.bias.fill_(1)  # relative outputs stay above the last ReLU's zero
    return model


def old_names(state):
    """The tensors under transformers 4's names, which published files have."""
    found = {}
    for key, value in state.items():
        key = re.sub(r"attention\.(q|k|v)_proj", lambda m: _query(m.group(1)), key)
        key = key.replace("attention.o_proj", "attention.output.dense")
        key = key.replace("mlp.down_proj", "mlp.weights_out")
        if ".up_proj." in key:
            continue
        if ".gate_proj." in key:
            value = torch.cat([value, state[key.replace("gate_proj", "up_proj")]])
            key = key.replace("gate_proj", "weights_in")
        found[key] = value
    return found


def _query(letter):
    return "attention.attention." + {"q": "query", "k": "key", "v": "value"}[letter]


def original_layout(state):
    """The same tensors as the original repository names them."""
    found = {}
    for key, value in old_names(state).items():
        key = key.replace("backbone.encoder.layer.", "pretrained.blocks.")
        if key.startswith("pretrained."):
            if "attention.attention." in key:
                if "attention.query" not in key:
                    continue
                parts = [key.replace("query", part) for part in ("query", "key", "value")]
                value = torch.cat([old_names(state)[_block(part)] for part in parts])
                key = key.replace("attention.attention.query", "attn.qkv")
            for old, new in ORIGINAL_NAMES:
                key = re.sub(old, new, key)
        key = key.replace("backbone.embeddings.cls_token", "pretrained.cls_token")
        key = key.replace("backbone.embeddings.mask_token", "pretrained.mask_token")
        key = key.replace("backbone.embeddings.position_embeddings", "pretrained.pos_embed")
        key = key.replace("backbone.embeddings.patch_embeddings.projection", _patch())
        key = key.replace("backbone.layernorm", "pretrained.norm")
        stage = r"neck\.reassemble_stage\.layers\.(\d)\."
        key = re.sub(stage + "projection", r"depth_head.projects.\1", key)
        key = re.sub(stage + "resize", r"depth_head.resize_layers.\1", key)
        key = re.sub(
            r"neck\.convs\.(\d)",
            lambda m: f"depth_head.scratch.layer{int(m.group(1)) + 1}_rn",
            key,
        )
        key = re.sub(
            r"neck\.fusion_stage\.layers\.(\d)", lambda m: f"{REFINE}{4 - int(m.group(1))}", key
        )
        key = re.sub(r"residual_layer(\d)\.convolution(\d)", r"resConfUnit\1.conv\2", key).replace(
            ".projection.", ".out_conv."
        )
        for old, new in (("1", "1"), ("2", "2.0"), ("3", "2.2")):
            head = "depth_head.scratch.output_conv" + new
            key = key.replace(f"head.conv{old}.", f"{head}.") if key.startswith("head.") else key
        found[key] = value
    return found


def _block(key):
    return key.replace("pretrained.blocks.", "backbone.encoder.layer.")


def _patch():
    return "pretrained.patch_embed.proj"


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("max_depth", [None, 20])
@pytest.mark.parametrize("layout", [dict, old_names, original_layout])
@torch.inference_mode()
def test_every_layout_gives_the_output_of_transformers(monkeypatch, layout, max_depth, gated):
    monkeypatch.setattr(depth_anything, "POSITION_OFFSET", 0.0)  # transformers' own rule
    model = theirs(max_depth, gated)
    state = layout(model.state_dict())
    ours = network_from(state, "plain", "cpu", torch.float32, max_depth=max_depth)
    for size in ((56, 56), (70, 42)):
        pixels = torch.randn(2, 3, *size)
        wanted = model(pixels).predicted_depth
        assert wanted.std() > 0
        found = ours(pixels[:, None], torch.zeros(2, 1))
        torch.testing.assert_close(found, wanted, rtol=2e-5, atol=2e-5 * float(wanted.max()))


@pytest.mark.parametrize(("width", "heads"), [(384, 6), (768, 12), (1024, 16), (1536, 24)])
def test_published_widths_have_their_heads(width, heads):
    assert EncoderShape(width, 12, 37, 14, False).heads == heads


@torch.inference_mode()
def test_relative_disparity_keeps_one_scale_over_a_batch():
    network = network_from(theirs().state_dict(), "plain", "cpu", torch.float32)
    estimator = NetworkEstimator(network)
    pictures = torch.rand(2, 24, 24, 3) * torch.tensor([0.2, 1.0])[:, None, None, None]
    found = estimator.estimate(pictures, resolution=0)
    assert not found.metric
    assert found.disparity.min() == 0
    assert found.disparity.max() == 1
    again = estimator.estimate(pictures.flip(0), resolution=0)
    torch.testing.assert_close(again.disparity.flip(0), found.disparity, rtol=1e-5, atol=1e-6)
    alone = [estimator.estimate(one[None], resolution=0).disparity for one in pictures]
    assert not torch.allclose(torch.cat(alone), found.disparity, atol=1e-3)
