"""The bokeh adapter: files, strength vectors and folding."""

from pathlib import Path

import pytest
import torch
from golden import fixture, recipe_state
from safetensors.torch import load_file, save_file
from torch import nn

from bokehdepth_core.generator import folding
from bokehdepth_core.generator.adapter import (
    adapter_from_state_dict,
    fold,
    folded,
    load_adapter,
)
from bokehdepth_core.generator.folding import Slice
from bokehdepth_core.weights.errors import CheckpointError

FOLDER = Path(__file__).parents[1] / "data" / "golden"
FILES = (
    "adapter_tiny.safetensors",
    "adapter_tiny_prefixed.bin",
    "adapter_tiny_numeric.bin",
    "adapter_tiny_ddp.bin",
)


@pytest.fixture
def state():
    return load_file(FOLDER / "adapter_tiny.safetensors")


@pytest.mark.parametrize("file", FILES)
def test_every_layout_of_the_file_gives_the_same_strength_vectors(file):
    expected = load_file(FOLDER / "adapter_tiny_expected.safetensors")
    adapter = load_adapter(FOLDER / file)
    strengths = (30 * expected["adapter_tiny.k_norm"]).flatten().tolist()
    vectors = adapter.strength_vectors(strengths).transpose(0, 1)
    torch.testing.assert_close(vectors, expected["adapter_tiny.v"], rtol=0, atol=1e-6)


def test_embedding_and_vectors_equal_the_published_ones():
    manifest, tensors = fixture("adapter")
    shapes = manifest["parameters"]["adapter"]
    adapter = adapter_from_state_dict(recipe_state(shapes, manifest["seed"]))
    strengths = manifest["config"]["k"]
    atol = manifest["tolerance"]["max_abs"]
    torch.testing.assert_close(
        adapter.embed(strengths), tensors["mid.embedding"], rtol=0, atol=atol
    )
    vectors = adapter.strength_vectors(strengths).transpose(0, 1)
    torch.testing.assert_close(vectors, tensors["mid.v"], rtol=0, atol=atol)


def test_sizes_come_from_the_shapes(state):
    adapter = adapter_from_state_dict(state)
    assert (adapter.rank, adapter.hidden_size, adapter.layer_count) == (4, 128, 5)
    assert adapter.scale == 1.0


def test_alpha_scales_the_vectors_and_the_updates(state):
    plain, double = adapter_from_state_dict(state), adapter_from_state_dict(state, alpha=8)
    torch.testing.assert_close(double.strength_vectors([5]), 2 * plain.strength_vectors([5]))
    (down, up), (down2, up2) = plain.query_key_pairs()[3], double.query_key_pairs()[3]
    torch.testing.assert_close(up2, 2 * up)
    assert torch.equal(down2, down)


def test_strengths_outside_the_trained_range_act_as_the_nearer_end(state):
    vectors = adapter_from_state_dict(state).strength_vectors([0.5, 1, 30, 41.25])
    assert torch.equal(vectors[0], vectors[1])
    assert torch.equal(vectors[2], vectors[3])
    assert not torch.equal(vectors[1], vectors[2])


def test_a_key_of_the_context_token_may_be_anything_or_missing(state):
    without = {key: value for key, value in state.items() if "to_k_dof" not in key}
    vectors = adapter_from_state_dict(without).strength_vectors([7])
    assert torch.equal(vectors, adapter_from_state_dict(state).strength_vectors([7]))


def test_a_missing_key_is_named(state):
    del state["adapter_modules.2.to_q_adp.up.weight"]
    message = r"adapter: 1 missing weights: '2\.query\.up'\. Get the file again\."
    with pytest.raises(CheckpointError, match=f"^{message}$"):
        adapter_from_state_dict(state)


def test_an_unexpected_key_is_named(state):
    state["extra.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"^adapter: 1 unexpected keys: 'extra\.weight'\.$"):
        adapter_from_state_dict(state)


def test_sizes_that_do_not_fit_are_named(state):
    state["embedding_layer.0.weight"] = torch.zeros(64, 2)
    message = r"^adapter: 'embedding\.0\.weight' expected \[64, 1\], found \[64, 2\]\.$"
    with pytest.raises(CheckpointError, match=message):
        adapter_from_state_dict(state)


def test_an_adapter_of_some_layers_alone_is_refused(state):
    some = {key: value for key, value in state.items() if not key.startswith("adapter_modules.2.")}
    message = (
        r"^adapter: 1 of 5 layers have no weights, first 2\. Adapters of some layers alone are"
    )
    with pytest.raises(CheckpointError, match=message):
        adapter_from_state_dict(some)


def test_another_kind_of_checkpoint_is_refused(tmp_path):
    save_file({"encoder.weight": torch.zeros(2)}, tmp_path / "vae.safetensors")
    with pytest.raises(CheckpointError, match=r"^vae\.safetensors: not a bokeh adapter; 1 keys"):
        load_adapter(tmp_path / "vae.safetensors")


def test_folded_weights_equal_the_unfolded_update():
    torch.manual_seed(0)
    shapes = [(5, 12), (16, 12), (16,), (2, 16), (16, 2)]
    x, weight, bias, down, up = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
    q = x @ weight.T + bias
    inside = x @ fold(weight, down, up, 0.5).T + fold(bias, down, up, 0.5)
    torch.testing.assert_close(inside, q + 0.5 * q @ down.T @ up.T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_come_back_bit_for_bit_after_an_error(dtype):
    torch.manual_seed(0)
    layers = (nn.Linear(8, 8, dtype=dtype), nn.Linear(8, 8, dtype=dtype))
    before = [part.detach().clone() for layer in layers for part in layer.parameters()]
    pair = (torch.randn(2, 3, 8), torch.randn(2, 8, 3))

    def interrupted():
        with folded({0: tuple(map(Slice, layers))}, {0: pair}):
            changed = [part for layer in layers for part in layer.parameters()]
            assert not any(torch.equal(a, b) for a, b in zip(changed, before, strict=True))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    after = [part for layer in layers for part in layer.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_one_weight_that_cannot_be_put_back_does_not_keep_the_others_changed(monkeypatch):
    torch.manual_seed(0)
    layers = (nn.Linear(8, 8), nn.Linear(8, 8))
    parts = [part for layer in layers for part in layer.parameters()]
    before = [part.detach().clone() for part in parts]
    pair = (torch.randn(2, 3, 8), torch.randn(2, 8, 3))
    put_back = folding._restore

    def fail_once(parameter, original):
        if parameter is parts[2]:
            raise torch.OutOfMemoryError("injected")
        put_back(parameter, original)

    monkeypatch.setattr(folding, "_restore", fail_once)
    with pytest.raises(torch.OutOfMemoryError), folded({0: tuple(map(Slice, layers))}, {0: pair}):
        pass
    same = [torch.equal(a, b) for a, b in zip(parts, before, strict=True)]
    assert same == [True, True, False, True]


def test_a_damaged_adapter_is_refused_and_an_8_bit_one_is_read(state):
    key = next(key for key in state if key.endswith("to_v_dof.up.weight"))
    damaged = state | {key: torch.full_like(state[key], torch.nan)}
    with pytest.raises(CheckpointError, match=r"^adapter: .* holds NaN or infinity"):
        adapter_from_state_dict(damaged)
    small = {k: v.to(torch.float8_e4m3fn) for k, v in state.items()}
    vectors = adapter_from_state_dict(small).strength_vectors([20.0])
    wanted = adapter_from_state_dict({k: v.float() for k, v in small.items()})
    torch.testing.assert_close(vectors, wanted.strength_vectors([20.0]))


def test_quantised_weights_are_refused_and_left_alone():
    good, quantised = nn.Linear(8, 8), nn.Linear(8, 8)
    quantised.weight.data = quantised.weight.data.to(torch.float8_e4m3fn)
    before = good.weight.detach().clone()
    pair = (torch.randn(2, 3, 8), torch.randn(2, 8, 3))
    with (
        pytest.raises(TypeError, match=r"base_model: weights are torch\.float8_e4m3fn"),
        folded({0: (Slice(good), Slice(quantised))}, {0: pair}),
    ):
        pass
    assert torch.equal(good.weight, before)


# --- files of other training tools ---------------------------------------------------------------


def with_alphas(state, alpha_of):
    """The state with an alpha beside each pair, as kohya's tools write it."""
    downs = [key for key in state if key.endswith(".down.weight")]
    return state | {
        key.replace(".down.weight", ".alpha"): torch.tensor(alpha_of(key)) for key in downs
    }


def same(found, wanted):
    torch.testing.assert_close(found.strength_vectors([7]), wanted.strength_vectors([7]))
    for index, (down, up) in wanted.query_key_pairs().items():
        torch.testing.assert_close(found.query_key_pairs()[index][1], up)
        torch.testing.assert_close(found.query_key_pairs()[index][0], down)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((".down.", ".up."), (".lora_A.", ".lora_B.")),
        ((".down.", ".up."), (".lora_A.default.", ".lora_B.default.")),
        ((".down.", ".up."), (".lora_down.", ".lora_up.")),
        (("adapter_modules.", "embedding_layer."), ("base_model.model.",) * 2),
    ],
)
def test_names_of_other_tools_mean_the_same(state, old, new):
    def renamed(key):
        if new[0].startswith("base_model"):
            return new[0] + key
        return key.replace(old[0], new[0]).replace(old[1], new[1])

    wanted = adapter_from_state_dict(state)
    same(adapter_from_state_dict({renamed(key): value for key, value in state.items()}), wanted)


def test_prefixes_of_compiled_and_distributed_training_are_taken_off(state, tmp_path):
    for prefix in ("_orig_mod.", "module.", "_orig_mod.module.", "module._orig_mod."):
        save_file({prefix + key: value for key, value in state.items()}, tmp_path / "a.safetensors")
        same(load_adapter(tmp_path / "a.safetensors"), adapter_from_state_dict(state))


def test_alpha_beside_each_pair_is_heeded_and_an_option_wins(state):
    halved = with_alphas(state, lambda key: 2.0)  # of rank 4
    same(adapter_from_state_dict(halved), adapter_from_state_dict(state, alpha=2))
    same(adapter_from_state_dict(halved, alpha=4), adapter_from_state_dict(state))
    same(
        adapter_from_state_dict(state | {"alpha": torch.tensor(2.0)}),
        adapter_from_state_dict(state, alpha=2),
    )


def test_alphas_that_differ_scale_each_pair_by_its_own(state):
    mixed = adapter_from_state_dict(with_alphas(state, lambda key: 8.0 if "to_v" in key else 2.0))
    plain = adapter_from_state_dict(state)
    torch.testing.assert_close(mixed.strength_vectors([7]), 2 * plain.strength_vectors([7]))
    torch.testing.assert_close(mixed.query_key_pairs()[1][1], plain.query_key_pairs()[1][1] / 2)


def test_alpha_beside_some_pairs_alone_is_refused(state):
    state["adapter_modules.1.to_q_adp.alpha"] = torch.tensor(2.0)
    with pytest.raises(CheckpointError, match=r"^adapter: alpha stands beside 1 of 15 pairs, not"):
        adapter_from_state_dict(state)
    assert adapter_from_state_dict(state, alpha=4).scale == 1.0


def test_an_adapter_of_queries_alone_leaves_the_keys_as_they_are(state):
    queries = {key: value for key, value in state.items() if "to_k_adp" not in key}
    adapter, whole = adapter_from_state_dict(queries), adapter_from_state_dict(state)
    assert adapter.query_only
    assert not whole.query_only
    for index, (down, up) in adapter.query_key_pairs().items():
        assert not up[1].any()
        assert torch.equal(up[0], whole.query_key_pairs()[index][1][0])
        weight = torch.randn(128, 16)
        assert torch.equal(fold(weight, down[1], up[1]), weight)
    same(adapter_from_state_dict(state, query_only=True), adapter)
    with pytest.raises(CheckpointError, match=r"10 missing weights: '0\.key\.down'"):
        adapter_from_state_dict(queries, query_only=False)


def test_the_scale_of_training_multiplies_the_one_of_sampling(state):
    plain, scaled = adapter_from_state_dict(state), adapter_from_state_dict(state, lora_scale=0.5)
    torch.testing.assert_close(scaled.query_key_pairs(3.0)[2][1], plain.query_key_pairs(1.5)[2][1])
    assert torch.equal(scaled.strength_vectors([7]), plain.strength_vectors([7]))


def test_metadata_wins_over_defaults_and_options_over_metadata(state, tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(state, path, metadata={"alpha": "8", "lora_scale": "0.5", "query_only": "true"})
    found = load_adapter(path)
    assert (found.scale, found.lora_scale, found.query_only) == (2.0, 0.5, True)
    found = load_adapter(path, 4, lora_scale=1.0, query_only=False)
    assert (found.scale, found.lora_scale, found.query_only) == (1.0, 1.0, False)
    save_file(state, path, metadata={"alpha": "much"})
    with pytest.raises(CheckpointError, match=r"^a\.safetensors: alpha: cannot read 'much'"):
        load_adapter(path)


@pytest.mark.parametrize("suffix", ["scale_weight", "weight_scale"])
def test_scaled_8_bit_weights_stand_for_what_they_were(state, suffix):
    scaled = {"scaled_fp8": torch.zeros(0)}
    for key, value in state.items():
        if not key.endswith("weight"):
            scaled[key] = value
            continue
        scale = value.abs().max() / 448  # the largest float8_e4m3fn
        scaled[key] = (value / scale).to(torch.float8_e4m3fn)
        scaled[key.removesuffix("weight") + suffix] = scale
    found = adapter_from_state_dict(scaled).layers[2].value_up
    wanted = adapter_from_state_dict(state).layers[2].value_up
    # Three bits of mantissa: half a step is a 16th of the value, or of the smallest normal number.
    torch.testing.assert_close(found, wanted, rtol=1 / 16, atol=float(wanted.abs().max()) / 2**14)


def test_whole_numbers_are_no_weights(state):
    key = next(key for key in state if key.endswith("to_v_dof.up.weight"))
    state[key] = state[key].to(torch.int8)
    with pytest.raises(CheckpointError, match=r"holds torch\.int8, expected floating point"):
        adapter_from_state_dict(state)
