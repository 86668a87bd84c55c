"""A stack through ComfyUI's own sampler, on tiny random networks in process.

COMFYUI_PATH names a ComfyUI checkout.
"""

import make_tiny_flux as tiny
import native_parts as parts
import pytest
import torch
from comfyui_pack import native

import comfy.patcher_extension  # isort: skip

pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]


def _run(model, steps=2):
    down, up, vectors = parts.random_adapter()
    reference = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(5))
    run = native.SampleRun(model, parts.updates_of(down, up), reference, steps, 4)
    return run, vectors, [parts.make_conditioning(seed) for seed in (3, 8, 13)]


def test_strengths_in_one_batch_equal_strengths_in_turn():
    run, vectors, conditionings = _run(tiny.flux_patcher())
    together = run.sample(vectors, conditionings)
    for index in range(3):
        pick = slice(index, index + 1)
        alone = run.sample(vectors[pick], conditionings[pick])
        torch.testing.assert_close(together[pick], alone, rtol=0, atol=2e-5)


def test_strengths_are_sampled_in_turn_where_a_batch_does_not_fit():
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


def test_a_picture_without_room_for_a_token_is_refused():
    message = "image: 40x12 px is too small. Both sides need at least 16 px."
    with pytest.raises(ValueError, match=message):
        native.fit_to_tokens(torch.rand(1, 40, 12, 3))
