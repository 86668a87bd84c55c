"""The adapter in diffusers' FLUX transformer against the published predictions."""

import pytest
import torch
from golden import fixture, recipe_state
from kontext_parts import load_recipe_adapter, load_transformer, published_exp
from needs_flux import skip_without_flux

from bokehdepth_core.generator.adapter import adapter_from_state_dict, fold, folded
from bokehdepth_core.generator.flux.layers import attention_layers, strengths_added

skip_without_flux()

ADAPTER, TENSORS = fixture("adapter")


@pytest.fixture(autouse=True)
def exact_frequencies():
    with published_exp():
        yield


@pytest.fixture(scope="module")
def transformer():
    return load_transformer(ADAPTER)


def predict(transformer, rows=slice(None)):
    names = (
        "hidden_states",
        "timestep",
        "guidance",
        "pooled_projections",
        "encoder_hidden_states",
    )
    inputs = {name: TENSORS[f"in.{name}"][rows] for name in names}
    ids = {name: TENSORS[f"in.{name}"] for name in ("txt_ids", "img_ids")}
    with torch.no_grad():
        return transformer(**inputs, **ids, return_dict=False)[0]


def predict_with(transformer, adapter, lora_scale=1.0, bokeh_scale=1.0, rows=slice(None)):
    layers = attention_layers(transformer)
    vectors = adapter.strength_vectors(ADAPTER["config"]["k"], bokeh_scale)[rows]
    pairs = adapter.query_key_pairs(lora_scale)
    with folded(layers.projections, pairs), strengths_added(layers, vectors):
        return predict(transformer, rows)


# --- the transformer -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "alpha", "scales"),
    [
        ("out.adapter", None, {}),
        ("out.bokeh_scale", None, {"bokeh_scale": 0.5}),
        ("out.lora_scale", None, {"lora_scale": 0.5}),
        ("out.alpha2", 8, {}),
        ("out.no_adapter", None, {"bokeh_scale": 0.0, "lora_scale": 0.0}),
    ],
)
def test_predictions_equal_the_published_ones(transformer, expected, alpha, scales):
    result = predict_with(transformer, load_recipe_adapter(ADAPTER, alpha), **scales)
    atol = ADAPTER["tolerance"]["folded_max_abs"]
    torch.testing.assert_close(result, TENSORS[expected], rtol=0, atol=atol)


@pytest.mark.parametrize("row", [0, 1, 2])
def test_one_strength_alone_gives_its_row_of_the_batch(transformer, row):
    result = predict_with(transformer, load_recipe_adapter(ADAPTER), rows=slice(row, row + 1))
    atol = ADAPTER["tolerance"]["folded_max_abs"]
    torch.testing.assert_close(result, TENSORS["out.adapter"][row : row + 1], rtol=0, atol=atol)


def test_a_subset_of_the_layers_equals_the_published_one(transformer):
    adapter, layers = load_recipe_adapter(ADAPTER), attention_layers(transformer)
    names = [f"transformer_blocks.{i}" for i in range(2)]
    names += [f"single_transformer_blocks.{i}" for i in range(3)]
    on = [name in ADAPTER["config"]["subset_blocks"] for name in names]
    vectors = adapter.strength_vectors(ADAPTER["config"]["k"]) * torch.tensor(on)[None, :, None]
    projections = {i: pair for i, pair in layers.projections.items() if on[i]}
    with folded(projections, adapter.query_key_pairs()), strengths_added(layers, vectors):
        result = predict(transformer)
    atol = ADAPTER["tolerance"]["folded_max_abs"]
    torch.testing.assert_close(result, TENSORS["out.subset"], rtol=0, atol=atol)


def predict_literally(transformer, state, branches):
    """Return the prediction with q + B(A q), written as hooks with the file's own matrices."""
    layers = attention_layers(transformer)
    vectors = load_recipe_adapter(ADAPTER).strength_vectors(ADAPTER["config"]["k"])

    def update(index, branch):
        down, up = (
            state[f"adapter_modules.{index}.{branch}_adp.{part}.weight"] for part in ("down", "up")
        )
        return lambda module, inputs, output: output + output @ down.T @ up.T

    made_by = {"to_q": 0, "to_k": 1}
    hooks = [
        pair[made_by[branch]].linear.register_forward_hook(update(index, branch))
        for index, pair in layers.projections.items()
        for branch in branches
    ]
    try:
        with strengths_added(layers, vectors):
            return predict(transformer)
    finally:
        for hook in hooks:
            hook.remove()


def test_an_adapter_of_queries_alone_equals_its_formula(transformer):
    # Stored is the prediction with both branches; it says that the literal form is the published.
    state = recipe_state(ADAPTER["parameters"]["adapter"], ADAPTER["seed"])
    atol = ADAPTER["tolerance"]["folded_max_abs"]
    both = predict_literally(transformer, state, ("to_q", "to_k"))
    torch.testing.assert_close(both, TENSORS["out.adapter"], rtol=0, atol=atol)

    queries = {key: value for key, value in state.items() if "to_k_adp" not in key}
    alone = predict_with(transformer, adapter_from_state_dict(queries))
    wanted = predict_literally(transformer, state, ("to_q",))
    torch.testing.assert_close(alone, wanted, rtol=0, atol=atol)
    assert float((alone - both).abs().max()) > 100 * atol


def test_vectors_equal_a_shift_of_the_output_biases(transformer):
    adapter, copy = load_recipe_adapter(ADAPTER), load_transformer(ADAPTER)
    layers = attention_layers(copy)
    vectors = adapter.strength_vectors(ADAPTER["config"]["k"][1:2])[0]
    for index, (down, up) in adapter.query_key_pairs().items():
        for which, one in enumerate(layers.projections[index]):
            for part in one.linear.parameters():
                part.data = fold(part.data, down[which], up[which])
        for linear in layers.outputs[index]:
            linear.bias.data += linear.weight[:, : adapter.hidden_size] @ vectors[index]
    added = predict_with(transformer, adapter)[1:2]
    atol = ADAPTER["tolerance"]["folded_max_abs"]
    torch.testing.assert_close(predict(copy, slice(1, 2)), added, rtol=0, atol=atol)


def test_one_strength_is_held_in_the_biases_and_put_back_bit_for_bit(transformer):
    adapter, layers = load_recipe_adapter(ADAPTER), attention_layers(transformer)
    before = {name: value.clone() for name, value in transformer.state_dict().items()}
    vectors = adapter.strength_vectors([20.0])
    held = []

    def fail_with_the_strength_on():
        with strengths_added(layers, vectors):
            held.append(not any(module._forward_pre_hooks for module in transformer.modules()))
            held.extend(not torch.equal(one.bias, before[name]) for name, one in outputs.items())
            raise ValueError("injected")

    outputs = {
        f"{name}.bias": module
        for name, module in transformer.named_modules()
        if any(module is one for outputs in layers.outputs for one in outputs)
    }
    with pytest.raises(ValueError, match="injected"):
        fail_with_the_strength_on()
    assert len(held) == 1 + 2 * 2 + 3
    assert all(held)
    for name, value in transformer.state_dict().items():
        assert torch.equal(value, before[name]), name
