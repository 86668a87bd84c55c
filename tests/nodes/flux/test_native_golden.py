"""The native path against the published numbers: ComfyUI's FLUX class with the golden weights."""

import json

import comfyui_pack
import pytest
import torch
from comfyui_pack import adapters, architectures, flux_hooks, host, native
from golden import recipe_state
from safetensors.torch import load_file

GOLDEN = comfyui_pack.ROOT / "tests" / "data" / "golden"
pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]
SCALE, SHIFT = 0.3611, 0.1159  # of FLUX's latents, also in ComfyUI's latent format


def fixture(name):
    """Return the manifest and the tensors of a fixture."""
    manifest = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return manifest, load_file(GOLDEN / f"{name}.safetensors")


def _model(manifest):
    """Return a MODEL of the fixture's FLUX, its published names turned into ComfyUI's."""
    from comfy.model_detection import convert_diffusers_mmdit

    config = manifest["config"]["transformer"]
    patcher = comfyui_pack.make_tiny_flux.flux_patcher(
        in_channels=config["in_channels"] // 4,
        out_channels=config["in_channels"] // 4,
        hidden_size=config["attention_head_dim"] * config["num_attention_heads"],
        num_heads=config["num_attention_heads"],
        depth=config["num_layers"],
        depth_single_blocks=config["num_single_layers"],
        axes_dim=config["axes_dims_rope"],
        context_in_dim=config["joint_attention_dim"],
        vec_in_dim=config["pooled_projection_dim"],
    )
    state = recipe_state(manifest["parameters"]["transformer"], manifest["seed"])
    state = convert_diffusers_mmdit(state)
    flux = patcher.model.diffusion_model
    # The norm gains are "scale" in older versions and "weight" in newer ones.
    own = "weight" if any(key.endswith("_norm.weight") for key in flux.state_dict()) else "scale"
    other = "scale" if own == "weight" else "weight"
    state = {key.replace(f"_norm.{other}", f"_norm.{own}"): value for key, value in state.items()}
    flux.load_state_dict(state, strict=True)
    return patcher


def _adapter(manifest, alpha=None):
    shapes = manifest["parameters"]["adapter"]
    state = recipe_state(shapes, manifest["seed"])
    return adapters.adapter_from_state_dict(state, "golden", alpha)


def _unpack(tokens, height, width):
    """[B,T,4C] tokens of 2x2 latents -> [B,C,2·height,2·width]."""
    grid = tokens.unflatten(1, (height, width)).unflatten(3, (-1, 2, 2))
    return grid.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def _assert_predicts(output, patched):
    """Compare a MODEL's prediction with a published one, and that with the bare network's."""
    manifest, tensors = fixture("adapter")
    height, width = manifest["config"]["grid_hw"]
    latent, reference = tensors["in.hidden_states"].chunk(2, dim=1)
    got = patched.model.diffusion_model(
        _unpack(latent, height, width),
        tensors["in.timestep"],
        tensors["in.encoder_hidden_states"],
        tensors["in.pooled_projections"],
        tensors["in.guidance"],
        ref_latents=[_unpack(reference, height, width)],
        transformer_options={"wrappers": patched.wrappers},
    )
    wanted = _unpack(tensors[output][:, : latent.shape[1]], height, width)
    atol = manifest["tolerance"]["max_abs"]
    torch.testing.assert_close(got, wanted, rtol=0, atol=atol)
    other = _unpack(tensors["out.no_adapter"][:, : latent.shape[1]], height, width)
    assert (got - other).abs().max() > 100 * atol


@pytest.mark.parametrize(
    ("output", "alpha", "lora_scale", "bokeh_scale"),
    [
        ("out.adapter", None, 1.0, 1.0),
        ("out.bokeh_scale", None, 1.0, 0.5),
        ("out.lora_scale", None, 0.5, 1.0),
        ("out.alpha2", 8.0, 1.0, 1.0),
    ],
)
def test_prediction_equals_the_published_one(output, alpha, lora_scale, bokeh_scale):
    manifest, _ = fixture("adapter")
    model, adapter = _model(manifest), _adapter(manifest, alpha)
    updates = flux_hooks.query_key_updates(model, adapter, lora_scale)
    vectors = adapter.strength_vectors(manifest["config"]["k"], bokeh_scale)
    _assert_predicts(output, flux_hooks.attach(model, updates, vectors))


def test_a_subset_of_the_layers_predicts_as_published():
    manifest, _ = fixture("adapter")
    config, model, adapter = manifest["config"], _model(manifest), _adapter(manifest)
    sizes = config["transformer"]
    names = [f"transformer_blocks.{i}" for i in range(sizes["num_layers"])]
    names += [f"single_transformer_blocks.{i}" for i in range(sizes["num_single_layers"])]
    pairs = adapter.query_key_pairs()
    updates = {
        i: flux_hooks.QueryKeyUpdate(*pairs[i])
        for i, name in enumerate(names)
        if name in config["subset_blocks"]
    }
    assert 0 < len(updates) < len(pairs)
    updates = host.managed(flux_hooks.QueryKeyUpdates(updates))
    _assert_predicts(
        "out.subset", flux_hooks.attach(model, updates, adapter.strength_vectors(config["k"]))
    )


def _cases():
    return fixture("stage1_tiny")[0]["cases"]


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case["name"])
def test_noise_levels_equal_the_published_ones(case):
    height, width = case["generated_hw"]
    sigmas = native.noise_levels(architectures.FLUX1, case["steps"], height * width // 256)
    torch.testing.assert_close(sigmas, torch.tensor(case["sigmas"]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case["name"])
def test_sampled_latents_equal_the_published_pipeline(case):
    manifest, tensors = fixture("stage1_tiny")
    model, adapter = _model(manifest), _adapter(manifest)
    height, width = (side // 16 for side in case["generated_hw"])
    reference = _unpack(tensors[f"{case['name']}.reference_latents"], height, width)
    reference = reference / SCALE + SHIFT
    conditionings = [
        [
            [
                tensors[f"{tag}.embeds"][None],
                {
                    "pooled_output": tensors[f"{tag}.pooled"][None],
                    "guidance": case["guidance"],
                    "reference_latents": [reference],
                },
            ]
        ]
        for tag in case["prompt_tags"]
    ]
    run = native.SampleRun(
        model,
        flux_hooks.query_key_updates(model, adapter),
        reference,
        native.noise_levels(architectures.FLUX1, case["steps"], height * width),
        case["seed"],
    )
    strengths = case["k"] if isinstance(case["k"], list) else [case["k"]]
    got = run.sample(adapter.strength_vectors(strengths), conditionings)
    last = tensors[f"{case['name']}.latents_step{case['steps'] - 1}"]
    wanted = _unpack(last, height, width)
    atol = manifest["tolerance"]["latents_max_abs"]
    torch.testing.assert_close((got - SHIFT) * SCALE, wanted, rtol=0, atol=atol)
