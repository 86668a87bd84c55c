"""A stack through ComfyUI's own sampler, on tiny random networks in process.

COMFYUI_PATH names a ComfyUI checkout.
"""

import math
from pathlib import Path
from types import SimpleNamespace

import make_tiny_flux as tiny
import native_parts as parts
import pytest
import torch
from comfyui_pack import native
from transformers import CLIPTokenizer, T5TokenizerFast

from bokehdepth_core.generator.prompts import bokeh_prompt

import comfy.patcher_extension  # isort: skip
import comfy.sd1_clip  # isort: skip

pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]


def _run(model, steps=2):
    down, up, vectors = parts.random_adapter()
    reference = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(5))
    run = native.SampleRun(model, parts.updates_of(down, up), reference, parts.levels(steps), 4)
    return run, vectors, [parts.make_conditioning(seed) for seed in (3, 8, 13)]


def test_strengths_in_one_batch_equal_strengths_in_turn():
    run, vectors, conditionings = _run(tiny.flux_patcher())
    together = run.sample(vectors, conditionings)
    for index in range(3):
        pick = slice(index, index + 1)
        alone = run.sample(vectors[pick], conditionings[pick])
        torch.testing.assert_close(together[pick], alone, rtol=0, atol=2e-5)


def test_strengths_are_sampled_in_turn_where_a_batch_does_not_fit(caplog):
    model = tiny.flux_patcher()
    batches = []

    def short_of_memory(executor, x, *args, **kwargs):
        batches.append(len(x))
        if len(x) > 1:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return executor(x, *args, **kwargs)

    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    small = model.clone()
    small.add_wrapper_with_key(kind, "memory", short_of_memory)
    run, vectors, conditionings = _run(small)
    in_turn = run.sample(vectors, conditionings)
    assert batches == [3, 1, 1, 1, 1, 1, 1]
    assert caplog.messages == [
        "strengths: 3 did not fit into memory at once. Use a smaller picture to save time; they "
        "were made one by one."
    ]
    roomy, vectors, conditionings = _run(model)
    together = roomy.sample(vectors, conditionings)
    torch.testing.assert_close(in_turn, together, rtol=0, atol=2e-5)


def test_another_failure_is_not_taken_for_a_lack_of_memory():
    model = tiny.flux_patcher()

    def fail(executor, x, *args, **kwargs):
        raise RuntimeError("injected")

    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    model.add_wrapper_with_key(kind, "failure", fail)
    run, vectors, conditionings = _run(model)
    with pytest.raises(RuntimeError, match="injected"):
        run.sample(vectors, conditionings)


@pytest.fixture(scope="module")
def clip_and_vae():
    with torch.inference_mode():
        return tiny.text_encoder(), tiny.image_autoencoder()


def test_a_stack_has_the_size_of_the_photo_and_says_how_it_was_made(clip_and_vae):
    clip, vae = clip_and_vae
    photo = torch.rand(37, 50, 3, generator=torch.Generator().manual_seed(0))
    kept = photo.clone()
    generator = native.NativeGenerator(tiny.flux_patcher(), clip, vae, parts.RandomAdapter())
    settings = {"steps": 2, "guidance": 7.0, "seed": 3, "match_color": False}
    stack = generator.generate(photo, [10, 20], **settings)
    assert stack.frames.shape == (2, 37, 50, 3)
    assert stack.strengths == (10, 20)
    assert settings.items() <= stack.settings.items()
    assert torch.equal(photo, kept)
    assert torch.equal(stack.reference, photo)
    assert (stack.frames[0] - stack.frames[1]).abs().mean() > 1e-3
    again = generator.generate(photo, [20], **settings)
    # Float32 rounding of the batch, amplified by the decoder of random weights.
    torch.testing.assert_close(again.frames[0], stack.frames[1], rtol=0, atol=1e-4)


def _without_padding(pairs):
    ids, weights = zip(*((int(token), weight) for token, weight, *_ in pairs), strict=True)
    return [token for token in ids if token], set(weights)


def test_the_prompt_reaches_the_text_encoders_letter_by_letter(clip_and_vae, monkeypatch):
    clip, seen = clip_and_vae[0], []
    tokenize = clip.tokenize
    monkeypatch.setattr(clip, "tokenize", lambda *a, **k: seen.append(tokenize(*a, **k)) or seen[0])
    prompt = bokeh_prompt(20.0)
    native.encode_prompt(clip, prompt)
    folder = Path(comfy.sd1_clip.__file__).parent
    tokenizers = {
        "t5xxl": T5TokenizerFast.from_pretrained(folder / "text_encoders" / "t5_tokenizer"),
        "l": CLIPTokenizer.from_pretrained(folder / "sd1_tokenizer"),
    }
    for name, tokenizer in tokenizers.items():
        wanted = tokenizer(prompt)["input_ids"]
        ids, weights = _without_padding(seen[0][name][0])
        assert ids[: len(wanted)] == wanted
        assert weights == {1.0}  # no word is emphasised


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("vae", "vae: load FLUX.1's own VAE, .* 16 channels of 8 px, found 4 channels, 8 px each"),
        ("clip", "clip: load T5-XXL and CLIP-L .* of width 64 and 32, found 77 and 32"),
        ("steps", "steps: expected at least 1, found 0"),
        ("guidance", "guidance: expected a finite number"),
    ],
)
def test_parts_that_do_not_fit_are_named_before_sampling(clip_and_vae, part, message):
    clip, vae = clip_and_vae
    if part == "vae":
        vae = SimpleNamespace(encode=lambda image: torch.zeros(1, 4, 2, 2))
    if part == "clip":
        clip = SimpleNamespace(
            tokenize=clip.tokenize,
            encode_from_tokens_scheduled=lambda tokens: [
                [torch.zeros(1, 9, 77), {"pooled_output": torch.zeros(1, 32)}]
            ],
        )
    settings = {"steps": 2, "guidance": 7.0, "seed": 3}
    settings |= {"steps": 0} if part == "steps" else {}
    settings |= {"guidance": math.nan} if part == "guidance" else {}
    generator = native.NativeGenerator(tiny.flux_patcher(), clip, vae, parts.RandomAdapter())
    with pytest.raises(ValueError, match=message):
        generator.generate(torch.rand(16, 16, 3), [10], **settings)
