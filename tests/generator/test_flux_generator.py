"""Stage 1 on diffusers: a tiny FLUX.1-Kontext against the published numbers, and its promises."""

import json
from types import SimpleNamespace

import pytest
import torch
from golden import recipe_state
from kontext_parts import (
    PICTURES,
    STAGE1,
    load_recipe_adapter,
    load_transformer,
    make_pipeline,
    published_exp,
    tiny_text_encoders,
)
from needs_flux import skip_without_flux
from safetensors.torch import save_file

from bokehdepth_core.cli import main
from bokehdepth_core.files.pictures.images import read_image, write_image
from bokehdepth_core.generator import load_bokeh_generator
from bokehdepth_core.generator.flux.latents import end_of_path, packed_noise
from bokehdepth_core.generator.flux.tokens import fit_to_tokens
from bokehdepth_core.generator.flux_generator import FluxGenerator
from bokehdepth_core.generator.placement import InTurn
from bokehdepth_core.generator.prompts import bokeh_prompt

skip_without_flux()

CASES = {case["name"]: case for case in STAGE1["cases"]}


@pytest.fixture(autouse=True)
def exact_frequencies():
    with published_exp():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A whole tiny FLUX.1-Kontext in diffusers' layout, with an adapter file beside it."""
    home = tmp_path_factory.mktemp("base")
    make_pipeline(load_transformer(STAGE1), tiny_text_encoders()).save_pretrained(home / "kontext")
    adapter = recipe_state(STAGE1["parameters"]["adapter"], STAGE1["seed"])
    save_file(adapter, home / "bokeh_lora.safetensors")
    return home


@pytest.fixture(scope="module")
def generator():
    pipeline = make_pipeline(load_transformer(STAGE1))
    placement = InTurn(pipeline, torch.device("cpu"))
    made = FluxGenerator(pipeline, load_recipe_adapter(STAGE1), placement)
    for case in STAGE1["cases"]:
        for prompt, tag in zip(case["prompts"], case["prompt_tags"], strict=True):
            embeds, pooled = PICTURES[f"{tag}.embeds"], PICTURES[f"{tag}.pooled"]
            made._encoded[prompt] = (embeds[None], pooled[None])
    return made


@pytest.fixture
def bits(generator):
    """Checks afterwards that no weight has changed by one bit and no hook is left."""
    network = generator.pipeline.transformer
    before = {key: value.clone() for key, value in network.state_dict().items()}
    yield
    after = network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert not any(module._forward_pre_hooks for module in network.modules())


def sample(generator, name, **options):
    case = CASES[name]
    strengths = case["k"] if isinstance(case["k"], list) else [case["k"]]
    return generator.sample(
        fit_to_tokens(PICTURES[case["image"]].float() / 255),
        [bokeh_prompt(strength) for strength in strengths],
        generator.adapter.strength_vectors(strengths),
        **{"steps": case["steps"], "guidance": case["guidance"], "seed": case["seed"], **options},
    )


@pytest.mark.parametrize("name", list(CASES))
def test_pictures_equal_the_published_ones(generator, bits, name):
    frames = sample(generator, name)
    expected = PICTURES[f"{name}.images"]
    error = ((frames * 255).round() - expected.float()).abs()
    tolerance = STAGE1["tolerance"]
    assert error.max() <= tolerance["images_uint8_max_abs"]
    assert (error > 0).float().mean() <= tolerance["images_fraction_differing"]


@pytest.mark.parametrize("name", list(CASES))
def test_latents_and_noise_equal_the_published_ones(generator, monkeypatch, name):
    seen = {}
    original = type(generator.pipeline).__call__

    def watched(pipeline, **options):
        after_step = options["callback_on_step_end"]

        def keep(pipe, step, time, kept):
            seen[step] = kept["latents"].clone()
            return after_step(pipe, step, time, kept)

        seen["noise"] = options["latents"].clone()
        return original(pipeline, **{**options, "callback_on_step_end": keep})

    monkeypatch.setattr(type(generator.pipeline), "__call__", watched)
    sample(generator, name)
    assert torch.equal(seen["noise"], PICTURES[f"{name}.noise"])
    steps = [key for key in PICTURES if key.startswith(f"{name}.latents_step")]
    assert steps
    for key in steps:
        step = int(key.rpartition("step")[2])
        atol = STAGE1["tolerance"]["latents_max_abs"]
        torch.testing.assert_close(seen[step], PICTURES[key], rtol=0, atol=atol)


@pytest.mark.parametrize("at_once", [1, 2])
def test_frames_in_turn_equal_frames_together(generator, at_once):
    together = sample(generator, "batch64")
    in_turn = sample(generator, "batch64", frames_at_once=at_once)
    # float32 noise of 2e-5 in the latents, as the golden tolerance, through the decoder
    torch.testing.assert_close(in_turn, together, rtol=0, atol=2e-4)


def test_prompts_equal_the_published_ones():
    for case in STAGE1["cases"]:
        strengths = case["k"] if isinstance(case["k"], list) else [case["k"]]
        assert [bokeh_prompt(strength) for strength in strengths] == case["prompts"]


def test_a_prompt_without_a_place_for_the_strength_is_used_as_it_is():
    assert bokeh_prompt(10, "strong blur") == "strong blur"


def test_a_broken_template_is_named():
    with pytest.raises(ValueError, match=r'^prompt: cannot put the strength into "\{strength\}"'):
        bokeh_prompt(10, "{strength}")


def test_a_stack_has_the_photo_s_size_and_says_how_it_was_made(generator, bits):
    photo = PICTURES["image_75x101"].float() / 255
    before, reports = photo.clone(), []
    stack = generator.generate(
        photo,
        [0.5, 41.25],
        steps=2,
        guidance=7.0,
        seed=7,
        on_progress=lambda done, total: reports.append((done, total)),
    )
    assert stack.frames.shape == (2, 75, 101, 3)
    assert 0 <= stack.frames.min() <= stack.frames.max() <= 1
    assert torch.equal(photo, before)
    assert reports == [(0, 4), (2, 4), (4, 4)]
    assert stack.settings["prompts"] == CASES["odd_clamped"]["prompts"]
    assert (stack.settings["seed"], stack.settings["steps"]) == (7, 2)


def test_colours_follow_the_photo_unless_told_not_to(generator):
    photo, options = PICTURES["image_64x64"].float() / 255, {"steps": 1, "seed": 1}
    matched = generator.generate(photo, [10], **options).frames
    plain = generator.generate(photo, [10], match_color=False, **options).frames

    def distance(frames):
        return (frames.mean((0, 1, 2)) - photo.mean((0, 1))).abs().max()

    assert distance(matched) < 0.5 * distance(plain)


class Cancelled(Exception):  # noqa: N818 - stands for the host's own
    """The host's own exception."""


def test_cancel_stops_between_steps_and_restores_the_weights(generator, bits):
    calls = []

    def cancel():
        calls.append(1)
        if len(calls) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        sample(generator, "batch64", check_cancelled=cancel)
    assert len(calls) == 3


def test_an_error_inside_the_network_restores_the_weights(generator, bits):
    def fail(*_):
        raise RuntimeError("broken layer")

    block = generator.pipeline.transformer.single_transformer_blocks[1]
    hook = block.register_forward_hook(fail)
    try:
        with pytest.raises(RuntimeError, match="broken layer"):
            sample(generator, "batch64")
    finally:
        hook.remove()


def test_previews_end_in_the_latents_that_become_the_frames(generator, monkeypatch):
    previews, decoded = [], []
    decode = FluxGenerator._decode

    def watched(self, latents, check_cancelled):
        decoded.append(latents)
        return decode(self, latents, check_cancelled)

    monkeypatch.setattr(FluxGenerator, "_decode", watched)
    sample(generator, "batch64", on_preview=previews.append)
    assert len(previews) == CASES["batch64"]["steps"]
    assert {preview.shape for preview in previews} == {decoded[0].shape}
    # Without noise left, what it looks like so far is what it is.
    assert torch.equal(previews[-1].cpu(), decoded[0])
    assert not torch.equal(previews[0], previews[-1])


def test_a_preview_is_the_noise_free_end_of_the_step(generator):
    """One step more would land there: x0 = x - sigma·v, with the velocity v of the step."""
    noise, velocity = torch.randn(2, 6, 4), torch.randn(2, 6, 4)
    start, end = 0.9, 0.6
    before = noise + start * velocity
    after = noise + end * velocity
    got = end_of_path(before, after, torch.tensor([start, end]))
    torch.testing.assert_close(got, noise, rtol=0, atol=1e-5)


def test_each_part_is_brought_when_it_is_needed_with_room_to_work(folder):
    pipeline = load_bokeh_generator(folder / "bokeh_lora.safetensors", folder / "kontext").pipeline
    brought = []

    class Watched(InTurn):
        def bring(self, names, needed_bytes):
            brought.append((*names, needed_bytes))
            return super().bring(names, needed_bytes)

    placement = Watched(pipeline, torch.device("cpu"))
    watched = FluxGenerator(pipeline, load_recipe_adapter(STAGE1), placement)
    photo = PICTURES["image_64x64"].float() / 255
    watched.generate(photo, [10, 20], steps=1)
    watched.generate(photo, [20, 10], steps=1)
    pixels, tokens = 1500 * 64 * 64 * 4, 2 * 16 + 512
    once = [("vae", pixels), ("transformer", 2 * 20 * tokens * 128 * 4), ("vae", pixels)]
    assert brought == [("text_encoder", "text_encoder_2", 0), *once, *once]


@pytest.mark.parametrize(("free", "expected"), [(10**12, 3), (1, 1), (None, 3)])
def test_as_many_strengths_share_a_batch_as_memory_holds(generator, free, expected):
    class Limited(InTurn):
        def bring(self, names, needed_bytes):
            return free

    sizes = []
    limited = FluxGenerator(
        generator.pipeline,
        generator.adapter,
        Limited(generator.pipeline, torch.device("cpu")),
        generator._encoded,
    )
    network = generator.pipeline.transformer
    hook = network.register_forward_pre_hook(
        lambda _, args, options: sizes.append(len(options["hidden_states"])), with_kwargs=True
    )
    try:
        sample(limited, "batch64")
    finally:
        hook.remove()
    assert sizes[0] == expected


class FakePart(torch.nn.Module):
    """A network of a known size whose moves are written down."""

    def __init__(self, size):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(size, dtype=torch.uint8), requires_grad=False)
        self.place = "cpu"

    def to(self, device):
        self.place = torch.device(device).type
        return self


@pytest.mark.parametrize(
    ("free", "transformer_after"), [(1000, "cuda"), (60, "cpu")], ids=["ample", "short"]
)
def test_text_encoders_always_leave_and_others_when_memory_is_short(
    monkeypatch, free, transformer_after
):
    names = ("text_encoder", "text_encoder_2", "transformer", "vae")
    pipeline = SimpleNamespace(**{name: FakePart(50) for name in names})
    placement = InTurn(pipeline, torch.device("cuda"))
    monkeypatch.setattr(InTurn, "_free", lambda self: free)
    placement.bring(names[:2], 0)
    assert [getattr(pipeline, name).place for name in names] == ["cuda", "cuda", "cpu", "cpu"]
    placement.bring(names[2:3], 5)
    assert [getattr(pipeline, name).place for name in names] == ["cpu", "cpu", "cuda", "cpu"]
    assert placement.bring(names[3:], 20) == free
    assert (pipeline.transformer.place, pipeline.vae.place) == (transformer_after, "cuda")


def test_short_memory_falls_to_one_strength_at_a_time(generator, bits):
    def limited(_, args, options):
        if options["hidden_states"].shape[0] > 1:
            raise torch.OutOfMemoryError("too large")

    expected = sample(generator, "batch64")
    network = generator.pipeline.transformer
    hook = network.register_forward_pre_hook(limited, with_kwargs=True)
    try:
        frames = sample(generator, "batch64")
    finally:
        hook.remove()
    torch.testing.assert_close(frames, expected, rtol=0, atol=2e-4)  # as in turn, above


def test_the_noise_does_not_depend_on_the_number_format(generator):
    image = torch.zeros(64, 96, 3)
    network = generator.pipeline.transformer
    noise = packed_noise(generator.pipeline, *image.shape[:2], 7)
    try:
        network.to(torch.bfloat16)
        assert torch.equal(
            packed_noise(generator.pipeline, *image.shape[:2], 7), noise.to(torch.bfloat16)
        )
    finally:
        network.to(torch.float32)
        network.load_state_dict(recipe_state(STAGE1["parameters"]["transformer"], STAGE1["seed"]))


@pytest.mark.parametrize("size", [(15, 40), (40, 15)])
def test_a_picture_smaller_than_one_token_is_refused(generator, size):
    with pytest.raises(ValueError, match=r"px is too small\. Both sides need at least 16 px\.$"):
        generator.generate(torch.zeros(*size, 3), [10])


def test_an_adapter_of_another_width_is_refused(folder, tmp_path):
    adapter = tmp_path / "bokeh_lora.safetensors"
    shapes = {
        key: [side * 2 if side == 128 else side for side in shape]
        for key, shape in STAGE1["parameters"]["adapter"].items()
    }
    save_file(recipe_state(shapes, 1), adapter)
    message = r"^base_model: give FLUX\.1-Kontext-dev: .* 5 attention layers of width 256, found "
    with pytest.raises(ValueError, match=message):
        load_bokeh_generator(adapter, folder / "kontext")


def test_a_folder_and_an_adapter_file_make_a_generator(folder):
    loaded = load_bokeh_generator(folder / "bokeh_lora.safetensors", folder / "kontext")
    photo = PICTURES["image_64x64"].float() / 255
    first = loaded.generate(photo, [10, 20], steps=1, guidance=1.0).frames
    assert first.shape == (2, 64, 64, 3)
    assert not torch.equal(first[0], first[1])
    loaded.pipeline.text_encoder = loaded.pipeline.text_encoder_2 = None
    again = loaded.generate(photo, [10, 20], steps=1, guidance=1.0).frames  # texts are kept
    assert torch.equal(again, first)


def test_the_command_line_generates_a_stack(folder, tmp_path):
    write_image(tmp_path / "photo.png", PICTURES["image_64x64"].float() / 255)
    adapter, base = folder / "bokeh_lora.safetensors", folder / "kontext"
    words = f"stack {tmp_path / 'photo.png'} --strengths 10,20 --adapter {adapter}"
    words += f" --base-model {base} --steps 1 --seed 3 -o {tmp_path / 'out'}"
    assert main(words.split()) == 0
    record = json.loads((tmp_path / "out" / "stack.json").read_text(encoding="utf-8"))
    assert [frame["strength"] for frame in record["frames"]] == [10, 20]
    settings = record["settings"]
    assert (settings["steps"], settings["guidance"], settings["seed"]) == (1, 7.0, 3)
    assert read_image(tmp_path / "out" / "frame_02_k20.png").shape == (64, 64, 3)


def test_a_file_of_the_folder_stands_for_it(folder):
    part = folder / "kontext" / "vae" / "diffusion_pytorch_model.safetensors"
    loaded = load_bokeh_generator(folder / "bokeh_lora.safetensors", part)
    assert loaded.adapter.layer_count == 5


def test_a_folder_without_a_pipeline_is_refused(folder, tmp_path):
    message = r"^base_model: .* holds no model_index\.json"
    with pytest.raises(ValueError, match=message):
        load_bokeh_generator(folder / "bokeh_lora.safetensors", tmp_path)


def test_an_adapter_without_a_base_model_says_what_to_give():
    with pytest.raises(ValueError, match=r"^base_model: the bokeh adapter works on FLUX"):
        load_bokeh_generator("bokeh_lora.bin")
