"""What Generate Bokeh Stack asks of ComfyUI's FLUX, and what it makes of the answer.

COMFYUI_PATH names a ComfyUI checkout.
"""

from types import SimpleNamespace

import make_tiny_flux as tiny
import native_parts as parts
import pytest
import torch
from comfyui_pack import flux_hooks, handles, native

from bokehdepth_core.color import color_transfer_lab

import comfy.model_management as mm  # isort: skip

pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]
SETTINGS = {"steps": 2, "guidance": 7.0, "seed": 3, "match_color": False}


@pytest.fixture(scope="module")
def clip_and_vae():
    with torch.inference_mode():
        return tiny.text_encoder(), tiny.image_autoencoder()


@pytest.fixture
def photo():
    return torch.rand(32, 48, 3, generator=torch.Generator().manual_seed(0))


def generator_of(clip_and_vae, model=None):
    model = tiny.flux_patcher() if model is None else model
    return native.NativeGenerator(model, *clip_and_vae, parts.RandomAdapter())


def test_the_network_gets_guidance_the_photo_and_one_noise_for_all(clip_and_vae, photo):
    calls = []
    model = parts.watched(
        tiny.flux_patcher(),
        lambda x, guidance, ref_latents, **_: calls.append((x.clone(), guidance, ref_latents)),
    )
    generator_of(clip_and_vae, model).generate(photo, [10, 20], **SETTINGS)
    assert len(calls) == SETTINGS["steps"]
    x, guidance, references = calls[0]
    assert torch.equal(x[0], x[1])
    assert guidance.tolist() == [7.0, 7.0]
    codes = (photo * 255).round() / 255
    latent = model.model.process_latent_in(clip_and_vae[1].encode(codes[None]))
    assert len(references) == 1
    for row in references[0]:
        torch.testing.assert_close(row, latent[0].to(row), rtol=0, atol=1e-5)  # float32 rounding


def test_the_prompt_is_padded_as_published(clip_and_vae, monkeypatch):
    clip, seen = clip_and_vae[0], []
    tokenize = clip.tokenize
    monkeypatch.setattr(clip, "tokenize", lambda *a, **k: seen.append(tokenize(*a, **k)) or seen[0])
    native.encode_prompt(clip, "a prompt")
    assert len(seen[0]["t5xxl"][0]) == 512


def test_the_seed_decides_the_noise(clip_and_vae, photo):
    starts = []
    model = parts.watched(tiny.flux_patcher(), lambda x, **_: starts.append(x.clone()))
    for seed in (3, 4, 3):
        generator_of(clip_and_vae, model).generate(photo, [10], **SETTINGS | {"seed": seed})
    first, other, again = starts[:: SETTINGS["steps"]]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_match_color_gives_the_frames_the_colours_of_the_photo(clip_and_vae, photo):
    plain, matched = (
        generator_of(clip_and_vae).generate(photo, [10, 30], **SETTINGS | {"match_color": match})
        for match in (False, True)
    )
    assert torch.equal(matched.frames, color_transfer_lab(plain.frames, photo))
    assert (matched.frames - plain.frames).abs().mean() > 0.01


def test_every_step_is_reported_and_shown(clip_and_vae, photo):
    steps, shown = [], []
    generator_of(clip_and_vae).generate(
        photo,
        [10, 20],
        **SETTINGS,
        on_progress=lambda *step: steps.append(step),
        on_preview=lambda latents: shown.append(tuple(latents.shape)),
    )
    assert steps == [(1, 2), (2, 2)]
    assert shown == [(2, 16, 4, 6)] * 2


def test_a_cancel_ends_the_sampling_at_the_next_step(clip_and_vae, photo):
    model = tiny.flux_patcher()
    before, steps = parts.weights_of(model), []

    def cancel(done, total):
        steps.append(done)
        mm.interrupt_current_processing()

    generator = generator_of(clip_and_vae, model)
    with pytest.raises(mm.InterruptProcessingException):
        generator.generate(photo, [10], **SETTINGS | {"steps": 9}, on_progress=cancel)
    mm.interrupt_current_processing(False)
    assert steps == [1]
    parts.assert_untouched(model, before)


def test_texts_and_updates_are_made_once_for_all_photos(clip_and_vae, photo, monkeypatch):
    made = []

    def counted(module, name):
        make = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: made.append(name) or make(*a, **k))

    counted(native, "encode_prompt")
    counted(flux_hooks, "query_key_updates")
    generator = generator_of(clip_and_vae)
    for picture in (photo, photo.flip(0)):
        generator.generate(picture, [10, 20], **SETTINGS)
    assert sorted(made) == ["encode_prompt", "encode_prompt", "query_key_updates"]
    generator.generate(photo, [20, 30], **SETTINGS)  # 10 is forgotten, 30 is new
    assert made.count("encode_prompt") == 3


def test_strengths_are_sampled_in_turn_where_another_node_splits_the_batch(clip_and_vae, photo):
    def one_by_one(apply_model, call):
        rows = range(len(call["input"]))
        return torch.cat(
            [
                apply_model(call["input"][i : i + 1], call["timestep"][i : i + 1], **part(call, i))
                for i in rows
            ]
        )

    def part(call, i):
        rows = len(call["input"])

        def pick(value):
            if isinstance(value, list):
                return [pick(one) for one in value]
            return value[i : i + 1] if torch.is_tensor(value) and len(value) == rows else value

        return {name: pick(value) for name, value in call["c"].items()}

    whole = tiny.flux_patcher()
    split = whole.clone()
    split.set_model_unet_function_wrapper(one_by_one)
    in_turn, together = (
        generator_of(clip_and_vae, model).generate(photo, [10, 20], **SETTINGS).frames
        for model in (split, whole)
    )
    # Float32 rounding of the batch, amplified by the decoder of random weights.
    torch.testing.assert_close(in_turn, together, rtol=0, atol=1e-4)


def test_the_node_hands_its_settings_on():
    given = {}
    handle = handles.BokehGenerator("adapter", "built-in", "auto", *[object()] * 3)
    handle._loaded = SimpleNamespace(generate=lambda *_, **options: given.update(options))
    hooks = {name: object() for name in ("on_progress", "on_preview", "check_cancelled")}
    handle.generate(torch.rand(16, 16, 3), [10], **SETTINGS, **hooks, depth=None)
    assert given == SETTINGS | hooks
