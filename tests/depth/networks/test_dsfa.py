import golden
import pytest
import torch

from bokehdepth_core.depth.networks.dsfa import DividedSpaceFocusAttention


@pytest.fixture(scope="module")
def case():
    return golden.manifest("dsfa_block"), golden.tensors("dsfa_block")


def block(manifest, twice=True):
    module = DividedSpaceFocusAttention(64, scale_space_twice=twice)
    module.load_state_dict(golden.recipe_state(manifest["parameters"], manifest["seed"]))
    return module.eval()


def inputs(data, name):
    tokens = torch.cat([data["ref_patches"][:, None], data["stack_patches"]], dim=1)
    strengths = data.get(f"{name}.k_stack", torch.zeros(2, 3))
    return tokens, golden.with_reference(strengths)


@pytest.mark.parametrize("name", ["k_two_rows", "k_none"])
@pytest.mark.parametrize(("twice", "output"), [(True, "out"), (False, "out_use_sdpa_false")])
def test_block_gives_the_reference_numbers(case, name, twice, output):
    manifest, data = case
    with torch.inference_mode():
        found = block(manifest, twice)(*inputs(data, name))
    wanted = data[f"{name}.{output}"]
    assert golden.max_abs(found, wanted) <= 1e-5
    assert golden.rel_l2(found, wanted) <= 2e-6


def test_strength_tokens_take_raw_strengths(case):
    manifest, data = case
    strengths = golden.with_reference(data["k_two_rows.k_stack"])
    found = block(manifest).embed_strengths(strengths, torch.float32)
    assert golden.max_abs(found, data["k_two_rows.k_tokens"]) <= 1e-5


def test_a_frame_of_far_strength_is_hardly_looked_at(case):
    manifest, data = case
    tokens, _ = inputs(data, "k_none")
    strengths = torch.tensor([[0.0, 10.0, 20.0, 200.0]]).expand(2, -1)
    other = tokens.clone()
    other[:, 3] += 1.0
    module = block(manifest)
    with torch.inference_mode():
        assert torch.equal(module(tokens, strengths), module(other, strengths))


def test_order_of_the_stack_does_not_matter(case):
    manifest, data = case
    tokens, strengths = inputs(data, "k_two_rows")
    order = [0, 3, 1, 2]
    module = block(manifest).double()
    with torch.inference_mode():
        found = module(tokens.double(), strengths.double())
        shuffled = module(tokens[:, order].double(), strengths[:, order].double())
    # The strength embedding is float32 even here.
    torch.testing.assert_close(found, shuffled, rtol=1e-6, atol=1e-7)


def test_gradients_reach_every_weight(case):
    manifest, data = case
    module = block(manifest)
    module(*inputs(data, "k_two_rows")).square().sum().backward()
    silent = [name for name, value in module.named_parameters() if not value.grad.any()]
    assert silent == []
