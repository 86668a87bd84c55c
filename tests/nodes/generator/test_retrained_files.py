"""What a converted file says of its training reaches the nodes without any option there.

COMFYUI_PATH names a ComfyUI checkout.
"""

import importlib

import comfyui_pack  # first: it sets ComfyUI up
import golden
import pytest
import torch
from comfyui_pack import adapter_node, adapters, handles, host
from safetensors.torch import load_file, save_file

import folder_paths  # isort: skip

loader = importlib.import_module(f"{comfyui_pack.NAME}.nodes.generator.loader")

pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]
ADAPTER = golden.FOLDER / "adapter_tiny.safetensors"
TRAINED = {"alpha": "8", "lora_scale": "0.5", "query_only": "true"}  # of rank 4


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    kinds = folder_paths.folder_names_and_paths
    monkeypatch.setitem(kinds, host.FOLDER, ([str(tmp_path)], set(host.WEIGHT_SUFFIXES)))
    save_file(load_file(ADAPTER), tmp_path / "bokeh.safetensors", metadata=TRAINED)
    return tmp_path


def assert_as_trained(adapter):
    assert (adapter.scale, adapter.lora_scale, adapter.query_only) == (2.0, 0.5, True)


def test_apply_adapter_scales_as_the_file_says_and_its_inputs_multiply_that(monkeypatch):
    seen = []

    def updates(model, adapter, lora_scale):
        seen.append(adapter.query_key_pairs(lora_scale))
        assert_as_trained(adapter)

    monkeypatch.setattr(adapter_node.flux_hooks, "query_key_updates", updates)
    monkeypatch.setattr(adapter_node.flux_hooks, "attach", lambda model, _, vectors: vectors)
    run = adapter_node.ApplyBokehDepthAdapter.execute
    (vectors,) = run("model", "bokeh.safetensors", 20.0, lora_scale=3.0, bokeh_scale=0.25).args
    plain = adapters.load_adapter(ADAPTER)
    torch.testing.assert_close(vectors, 2 * plain.strength_vectors([20.0], 0.25))
    down, up = seen[0][0]
    wanted_down, wanted_up = plain.query_key_pairs(3.0)[0]
    torch.testing.assert_close(down[0], wanted_down[0])
    torch.testing.assert_close(up[0], 2 * 0.5 * wanted_up[0])  # alpha / rank, lora_scale
    assert not up[1].any()  # the keys' updates are left out


def test_the_generator_s_handle_loads_the_adapter_as_the_file_says():
    result = loader.LoadBokehDepth.execute(
        "bokeh.safetensors", "built-in", "built-in", "fp32", model="m", clip="c", vae="v"
    )
    assert_as_trained(result.args[0]._generator().adapter)


def test_the_depth_handle_loads_the_network_as_the_file_says_and_its_option_wins(folder):
    case = golden.manifest("dav2_dsfa")
    state = golden.recipe_state(case["parameters"], case["seed"])
    trained = {"alibi": "0.25", "dsfa_heads": "4", "stages": "2,5,9,12", "max_depth_m": "30"}
    save_file(state, folder / "d.safetensors", metadata=trained | {"attention_scale": "single"})

    def network(scale):
        return handles.DepthEstimator("d.safetensors", "fp32", scale)._network()[0].network

    silent = network("auto")
    block = silent.fusion["2"]
    assert (block.alibi, block.heads, silent.stages) == (0.25, 4, (1, 4, 8, 11))
    assert silent.shape.max_depth == 30
    chosen = network("trained").fusion["2"]
    assert (chosen.alibi, chosen.heads) == (0.25, 4)
    tokens, strengths = torch.randn(1, 2, 6, 384), torch.tensor([[0.0, 1.0]])
    single, trained = block(tokens, strengths), chosen(tokens, strengths)
    # Logits scaled once or twice by head_dim^-1/2: another mixture of the tokens.
    assert golden.rel_l2(trained, single) > 1e-4
