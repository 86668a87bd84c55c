"""The adapter on a tiny FLUX.2 of diffusers' class: folded against the published form."""

import flux2_parts as parts
import pytest
import torch
from needs_flux import skip_without_flux
from published_form import published

from bokehdepth_core.generator.adapter import folded
from bokehdepth_core.generator.flux.layers import attention_layers, strengths_added

skip_without_flux()

K = (5.0, 14.0, 30.0)
ATOL = 2e-5  # float32 rounding through five blocks, as the golden data allows it for FLUX.1


@pytest.fixture
def transformer():
    return parts.tiny_transformer()


@pytest.fixture
def adapter():
    return parts.random_adapter()


def predict(transformer, rows=slice(None)):
    generator = torch.Generator().manual_seed(1)
    grid = torch.cartesian_prod(torch.arange(4), torch.arange(6))
    zeros = torch.zeros(24, 1, dtype=torch.long)
    ids = [torch.cat([zeros + 10 * time, grid, zeros], 1) for time in (0, 1)]
    text_ids = torch.zeros(9, 4, dtype=torch.long)
    text_ids[:, 3] = torch.arange(9)
    tokens = torch.randn(3, 48, 32, generator=generator)
    text = torch.randn(3, 9, parts.TEXT_WIDTH, generator=generator)
    with torch.no_grad():
        return transformer(
            hidden_states=tokens[rows],
            encoder_hidden_states=text[rows],
            timestep=torch.full((3,), 0.7)[rows],
            img_ids=torch.cat(ids),
            txt_ids=text_ids,
            return_dict=False,
        )[0]


def predict_folded(transformer, adapter, rows=slice(None)):
    layers = attention_layers(transformer)
    vectors = adapter.strength_vectors(K[rows])
    with folded(layers.projections, adapter.query_key_pairs()), strengths_added(layers, vectors):
        return predict(transformer, rows)


def predict_published(transformer, adapter, rows=slice(None)):
    with published(attention_layers(transformer), adapter, K[rows]):
        return predict(transformer, rows)


@pytest.mark.parametrize("rows", [slice(None), slice(1, 2)], ids=["batch", "one"])
def test_folded_equals_the_published_form(transformer, adapter, rows):
    ours = predict_folded(transformer, adapter, rows)
    torch.testing.assert_close(
        ours, predict_published(transformer, adapter, rows), rtol=0, atol=ATOL
    )
    assert (ours - predict(transformer, rows)).abs().mean() > 0.05


def test_every_layer_s_vector_and_update_counts(transformer, adapter):
    """Without any one of them the prediction is another: none is put where it has no effect."""
    layers, vectors = attention_layers(transformer), adapter.strength_vectors(K)
    whole = predict_folded(transformer, adapter)
    pairs = adapter.query_key_pairs()
    for index in range(adapter.layer_count):
        fewer = vectors.clone()
        fewer[:, index] = 0
        with folded(layers.projections, pairs), strengths_added(layers, fewer):
            assert (predict(transformer) - whole).abs().max() > 100 * ATOL
        for which in range(2):
            down, up = pairs[index]
            one = up.clone()
            one[which] = 0
            with (
                folded(layers.projections, pairs | {index: (down, one)}),
                strengths_added(layers, vectors),
            ):
                assert (predict(transformer) - whole).abs().max() > 10 * ATOL


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [1, 3])
def test_weights_come_back_bit_for_bit_after_an_error(transformer, adapter, dtype, count):
    transformer = transformer.to(dtype)
    before = {name: value.clone() for name, value in transformer.state_dict().items()}
    layers, vectors = attention_layers(transformer), adapter.strength_vectors(K[:count])

    def interrupted():
        pairs = adapter.query_key_pairs()
        with folded(layers.projections, pairs), strengths_added(layers, vectors):
            inside = transformer.state_dict()
            changed = [k for k, v in before.items() if not torch.equal(inside[k], v)]
            assert len(changed) == 2 * parts.DOUBLES + parts.SINGLES
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    after = transformer.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(module._forward_pre_hooks for module in transformer.modules())


def test_rows_of_a_fused_projection_beside_queries_and_keys_stay(transformer, adapter):
    layers = attention_layers(transformer)
    fused = transformer.single_transformer_blocks[1].attn.to_qkv_mlp_proj.weight
    before = fused.clone()
    with folded(layers.projections, adapter.query_key_pairs()):
        assert torch.equal(fused[2 * parts.WIDTH :], before[2 * parts.WIDTH :])
        assert not torch.equal(fused[: parts.WIDTH], before[: parts.WIDTH])
        assert not torch.equal(
            fused[parts.WIDTH : 2 * parts.WIDTH], before[parts.WIDTH : 2 * parts.WIDTH]
        )
