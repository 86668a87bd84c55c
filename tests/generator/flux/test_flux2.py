"""Stage 1 on diffusers with a tiny FLUX.2: against diffusers' own pipelines, and its promises."""

import json

import flux2_parts as parts
import pytest
import torch
from needs_flux import skip_without_flux
from published_form import published
from safetensors.torch import save_file

from bokehdepth_core.generator import load_bokeh_generator
from bokehdepth_core.generator.flux import pipeline as pipelines
from bokehdepth_core.generator.flux.layers import attention_layers
from bokehdepth_core.generator.flux.samplers import sampler_of
from bokehdepth_core.generator.flux_generator import FluxGenerator
from bokehdepth_core.generator.placement import InTurn
from bokehdepth_core.generator.prompts import bokeh_prompt
from bokehdepth_core.weights.errors import CheckpointError

skip_without_flux()

CPU = torch.device("cpu")
K = (10.0, 20.0)
# float32 noise of 2e-5 in the latents, as the golden tolerance of FLUX.1, through the decoder
ATOL = 2e-4


@pytest.fixture(scope="module", autouse=True)
def _enough_of_diffusers():
    diffusers = pytest.importorskip("diffusers")
    if not hasattr(diffusers, "Flux2KleinPipeline"):
        pytest.skip("this diffusers has no FLUX.2 klein")


@pytest.fixture(scope="module")
def pipeline():
    return parts.tiny_pipeline()


@pytest.fixture
def generator(pipeline):
    return FluxGenerator(pipeline, parts.random_adapter(), InTurn(pipeline, CPU))


@pytest.fixture
def bits(pipeline):
    """Checks afterwards that no weight has changed by one bit and no hook is left."""
    network = pipeline.transformer
    before = {key: value.clone() for key, value in network.state_dict().items()}
    yield
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert not any(module._forward_pre_hooks for module in network.modules())


def photo(height=48, width=64):
    codes = torch.randint(0, 256, (height, width, 3), generator=torch.Generator().manual_seed(0))
    return codes.float() / 255


def by_diffusers(pipeline, image, prompt, noise, steps, guidance):
    """The picture that diffusers' own pipeline makes, [h,w,3]."""
    import numpy as np
    from PIL import Image

    rows, columns = image.shape[0] // 16, image.shape[1] // 16
    out = pipeline(
        image=Image.fromarray((image * 255).round().to(torch.uint8).numpy()),
        prompt=prompt,
        latents=noise.transpose(1, 2).unflatten(2, (rows, columns)),
        height=image.shape[0],
        width=image.shape[1],
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="np",
    )
    return torch.from_numpy(np.asarray(out.images[0]))


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("strength", K)
def test_frames_equal_those_of_diffusers_pipeline_with_the_published_form(
    pipeline, generator, bits, guidance, strength
):
    image = photo(64, 80)
    vectors = generator.adapter.strength_vectors([strength])
    prompt = bokeh_prompt(strength)
    ours = generator.sample(image, [prompt], vectors, steps=3, guidance=guidance, seed=5)
    noise = sampler_of(pipeline).noise(64, 80, 5)
    with published(attention_layers(pipeline.transformer), generator.adapter, [strength]):
        theirs = by_diffusers(pipeline, image, prompt, noise, 3, guidance)
    torch.testing.assert_close(ours[0], theirs, rtol=0, atol=ATOL)
    bare = by_diffusers(pipeline, image, prompt, noise, 3, guidance)
    assert (ours[0] - bare).abs().max() > 50 * ATOL


def test_guidance_that_goes_in_as_a_number_equals_diffusers_pipeline():
    pipeline = parts.tiny_pipeline(guidance_embeds=True)
    sampler, network = sampler_of(pipeline), pipeline.transformer
    assert not sampler.needs_plain_text(4.0)
    seen = []
    hook = network.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["guidance"]), with_kwargs=True
    )
    adapter = parts.random_adapter("FLUX.2-dev")
    made = FluxGenerator(pipeline, adapter, InTurn(pipeline, CPU))
    made.generate(photo(), K, steps=2, guidance=4.0)
    hook.remove()
    assert [one.tolist() for one in seen] == [[4.0, 4.0]] * 2  # as Flux2Pipeline gives it


def test_step_distilled_weights_take_no_second_call():
    pipeline = parts.tiny_pipeline()
    pipeline.register_to_config(is_distilled=True)
    assert not sampler_of(pipeline).needs_plain_text(4.0)


def test_steps_and_guidance_are_those_of_the_base_unless_told(monkeypatch):
    pipeline = parts.tiny_pipeline()
    seen = []
    monkeypatch.setattr(
        FluxGenerator,
        "sample",
        lambda self, *_, **more: seen.append(more) or torch.rand(1, 48, 64, 3),
    )
    made = FluxGenerator(pipeline, parts.random_adapter(), InTurn(pipeline, CPU))
    made.generate(photo(), [10])
    pipeline.register_to_config(is_distilled=True)
    made.generate(photo(), [10])
    made.generate(photo(), [10], steps=8, guidance=2.0)
    assert [(one["steps"], one["guidance"]) for one in seen] == [(50, 4.0), (4, 1.0), (8, 2.0)]


@pytest.mark.parametrize("at_once", [1, 2])
def test_frames_in_turn_equal_frames_together(generator, bits, at_once):
    options = {"steps": 2, "guidance": 4.0, "seed": 1}
    together = generator.generate(photo(), [10, 20, 30], **options).frames
    in_turn = generator.generate(photo(), [10, 20, 30], frames_at_once=at_once, **options).frames
    torch.testing.assert_close(in_turn, together, rtol=0, atol=ATOL)


def test_a_stack_has_the_photo_s_size_and_says_how_it_was_made(generator, bits):
    reports, previews = [], []
    stack = generator.generate(
        photo(37, 50),
        K,
        steps=2,
        guidance=1.0,
        frames_at_once=1,
        on_progress=lambda *done: reports.append(done),
        on_preview=previews.append,
    )
    assert stack.frames.shape == (2, 37, 50, 3)
    assert stack.settings["generator"] == "FLUX.2-klein-4B"
    assert reports == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert [one.shape for one in previews] == [(1, 32, 2, 3)] * 4


def test_chosen_noise_levels_are_those_that_are_sampled(generator, bits):
    seen = []
    hook = generator.pipeline.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(float(kwargs["timestep"][0])), with_kwargs=True
    )
    stack = generator.generate(photo(), [10], guidance=1.0, sigmas=[1.0, 0.6, 0.1])
    hook.remove()
    assert seen == pytest.approx([1.0, 0.6, 0.1])
    assert (stack.settings["steps"], stack.settings["sigmas"]) == (3, (1.0, 0.6, 0.1, 0.0))


def test_a_cancel_and_an_error_restore_the_weights(generator, bits):
    calls = []

    def cancel():
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generator.generate(photo(), [10], steps=3, check_cancelled=cancel)
    network = generator.pipeline.transformer

    def fail(*_):
        raise RuntimeError("broken layer")

    hook = network.single_transformer_blocks[1].register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="broken layer"):
        generator.generate(photo(), K, steps=1)
    hook.remove()


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pipeline):
    home = tmp_path_factory.mktemp("base")
    pipeline.save_pretrained(home / "klein")
    save_file(parts.adapter_state(), home / "bokeh.safetensors", {"base": parts.BASE})
    save_file(parts.adapter_state(), home / "unsaid.safetensors")
    return home


def test_a_folder_of_diffusers_and_an_adapter_file_make_the_same_frames(folder, generator):
    options = {"steps": 2, "guidance": 4.0, "seed": 1}
    made = load_bokeh_generator(folder / "bokeh.safetensors", folder / "klein")
    frames = made.generate(photo(), K, **options).frames
    wanted = generator.generate(photo(), K, **options).frames
    torch.testing.assert_close(frames, wanted, rtol=0, atol=1e-6)


def test_an_adapter_that_states_no_base_is_not_for_flux2(folder):
    message = (
        r"^base_model: give FLUX\.1-Kontext-dev, for which the bokeh adapter is: found a FLUX\.2"
    )
    with pytest.raises(ValueError, match=message):
        load_bokeh_generator(folder / "unsaid.safetensors", folder / "klein")


def test_a_pipeline_that_diffusers_does_not_know_yet_is_named(tmp_path, monkeypatch):
    index = {"_class_name": "Flux2LaterPipeline", "_diffusers_version": "1.0"}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    monkeypatch.setattr(pipelines, "FLUX2_PIPELINES", ("Flux2LaterPipeline",))
    with pytest.raises(ImportError, match=r"^base_model: Flux2LaterPipeline needs a newer "):
        pipelines.load_pipeline(tmp_path, torch.float32)


def test_a_single_file_of_flux2_says_what_to_do(tmp_path):
    state = {
        "double_blocks.0.img_attn.qkv.weight": torch.zeros(6, 2),
        "double_stream_modulation_img.lin.weight": torch.zeros(12, 2),
    }
    save_file(state, tmp_path / "klein.safetensors")
    with pytest.raises(CheckpointError, match=r"^klein\.safetensors: connect model, clip and vae"):
        pipelines.load_pipeline(tmp_path / "klein.safetensors", torch.float32)
