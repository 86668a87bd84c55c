"""The adapter that learns, on a tiny FLUX: the published predictions, and nothing left behind."""

import pytest
import torch
from golden import fixture, recipe_state
from kontext_parts import load_transformer, published_exp
from needs_flux import skip_without_flux

from bokehdepth_core.generator.adapter import adapter_from_state_dict
from bokehdepth_core.training.generator.flow import FlowBatch
from bokehdepth_core.training.generator.network import TrainedFlux, adapter_on
from bokehdepth_core.training.generator.weights import AdapterWeights, as_adapter, from_adapter

skip_without_flux()

ADAPTER, TENSORS = fixture("adapter")
ATOL = ADAPTER["tolerance"]["folded_max_abs"]


@pytest.fixture(autouse=True)
def exact_frequencies():
    with published_exp():
        yield


@pytest.fixture(scope="module")
def transformer():
    return load_transformer(ADAPTER)


def published_weights():
    state = recipe_state(ADAPTER["parameters"]["adapter"], ADAPTER["seed"])
    weights = from_adapter(adapter_from_state_dict(state))
    for name, value in weights.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=0, atol=0)
    return weights


def published_batch():
    """The inputs of the published predictions; all of their tokens count as the picture's."""
    noisy = TENSORS["in.hidden_states"]
    return FlowBatch(
        noisy,
        torch.zeros_like(noisy),
        noisy[:, :0],
        TENSORS["in.img_ids"],
        TENSORS["in.encoder_hidden_states"],
        TENSORS["in.txt_ids"],
        TENSORS["in.pooled_projections"],
        torch.tensor(ADAPTER["config"]["k"]),
        torch.ones(3),
        TENSORS["in.timestep"],
    )


def network_of(weights, transformer):
    return TrainedFlux(weights, transformer, float(TENSORS["in.guidance"][0]))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_is_trained_predicts_what_is_published(transformer, checkpointing):
    network = network_of(published_weights(), transformer)
    with adapter_on(network, checkpointing=checkpointing):
        found = network(published_batch())
    torch.testing.assert_close(found, TENSORS["out.adapter"], rtol=0, atol=ATOL)


def test_grounded_attention_is_the_published_one(transformer):
    network = network_of(published_weights(), transformer)
    with adapter_on(network, group=3), torch.no_grad():
        found = network(published_batch())
    torch.testing.assert_close(found, TENSORS["out.grounded"], rtol=0, atol=ATOL)


def test_a_new_adapter_and_a_kept_back_strength_change_nothing(transformer):
    shape = published_weights().shape
    network = network_of(AdapterWeights(shape), transformer)
    with adapter_on(network), torch.no_grad():
        found = network(published_batch())
    torch.testing.assert_close(found, TENSORS["out.no_adapter"], rtol=0, atol=ATOL)


def test_checkpointing_gives_the_same_gradients_to_every_tensor(transformer):
    gradients = []
    for checkpointing in (False, True):
        network = network_of(published_weights(), transformer)
        with adapter_on(network, checkpointing=checkpointing):
            network(published_batch()).square().mean().backward()
        gradients.append({k: v.grad for k, v in network.named_parameters()})
    assert all(bool(one.any()) for one in gradients[0].values())
    torch.testing.assert_close(*gradients)


def test_nothing_is_left_on_the_base_after_success_and_error(transformer):
    before = {name: value.clone() for name, value in transformer.state_dict().items()}
    processors = [one.attn.processor for one in transformer.transformer_blocks]

    def fails():
        with adapter_on(network_of(published_weights(), transformer), group=3, checkpointing=True):
            raise ValueError("injected")

    with pytest.raises(ValueError, match="injected"):
        fails()
    hooks = [m for m in transformer.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooks == []
    assert [one.attn.processor for one in transformer.transformer_blocks] == processors
    assert not transformer.is_gradient_checkpointing
    for name, value in transformer.state_dict().items():
        assert torch.equal(value, before[name])


def test_what_is_saved_is_what_was_loaded():
    weights = published_weights()
    again = from_adapter(as_adapter(weights.state_dict(), weights.shape.alpha))
    torch.testing.assert_close(again.state_dict(), weights.state_dict(), rtol=0, atol=0)
    vectors = as_adapter(weights.state_dict(), 8.0).strength_vectors([10.0, 45.0])
    same = as_adapter(weights.state_dict(), 8.0).strength_vectors([10.0, 30.0])
    assert torch.equal(vectors, same)
    torch.testing.assert_close(2 * weights.vectors(torch.tensor([10.0, 30.0])), vectors)
