"""The bokeh adapter on ComfyUI's own FLUX.2 class, on tiny random networks in process.

COMFYUI_PATH names a ComfyUI checkout.
"""

import copy
from types import SimpleNamespace

import flux2_native as flux2
import make_tiny_flux as tiny1
import make_tiny_flux2 as tiny
import native_parts as parts
import pytest
import torch
import torch.nn.functional as F
from comfyui_pack import adapter_node, flux_hooks, host, native
from torch import nn

import comfy.model_management as mm  # isort: skip
import comfy.supported_models  # isort: skip

if not hasattr(comfy.supported_models, "Flux2"):
    pytest.skip("this ComfyUI has no FLUX.2", allow_module_level=True)

pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]

ATOL = 2e-5  # float32 rounding through five blocks, as the golden data allows it for FLUX.1


def fold(flux, down, up, vectors):
    """Return a copy of the network with one strength folded into its weights, in float64."""
    flux, hidden = copy.deepcopy(flux), tiny.HIDDEN
    for one in flux_hooks.projections(flux, parts.LAYERS):
        weight = one.module.weight
        if not one.makes_queries:
            one.module.bias = nn.Parameter(weight[:, :hidden] @ vectors[one.layer])
            continue
        for part in range(2):
            rows = slice(part * hidden, (part + 1) * hidden)
            change = torch.eye(hidden, dtype=torch.float64)
            change += up[one.layer, part].double() @ down[one.layer, part].double()
            weight[rows] = (change @ weight[rows].double()).to(weight)
    return flux


def as_published(flux, down, up, vectors):
    """Return a copy with low-rank products, and an attention to one context token, in each layer.

    The context token's key is random: a softmax over one key ignores it.
    """
    flux, hidden = copy.deepcopy(flux), tiny.HIDDEN
    generator = torch.Generator().manual_seed(7)

    def low_rank(layer):
        def hook(_, __, out):
            out = out.clone()
            for part in range(2):
                q = out[..., part * hidden : (part + 1) * hidden].clone()
                change = q @ down[layer, part].T @ up[layer, part].T
                out[..., part * hidden : (part + 1) * hidden] += change
            return out

        return hook

    def attention(layer):
        key = torch.randn(1, 2, 1, hidden // 2, generator=generator)
        value = vectors[layer].view(2, 1, hidden // 2)[None]

        def hook(_, args):
            heads = args[0][..., :hidden].unflatten(-1, (2, -1)).transpose(1, 2)
            query = torch.randn(heads.shape, generator=generator)
            size = (len(query), -1, -1, -1)
            out = F.scaled_dot_product_attention(query, key.expand(size), value.expand(size))
            gained = args[0].clone()
            gained[..., :hidden] += out.transpose(1, 2).flatten(2)
            return (gained,)

        return hook

    for one in flux_hooks.projections(flux, parts.LAYERS):
        if one.makes_queries:
            one.module.register_forward_hook(low_rank(one.layer))
        else:
            one.module.register_forward_pre_hook(attention(one.layer))
    return flux


def test_hooked_equals_folded_equals_the_published_form_for_each_strength_of_a_batch():
    model, inputs = tiny.flux2_patcher(), flux2.make_inputs()
    down, up, vectors = parts.random_adapter()
    before = parts.weights_of(model)
    hooked = parts.predict(flux2.attached(model, vectors), inputs)
    parts.assert_untouched(model, before)
    for index in range(3):
        row = parts.rows(inputs, index)
        for make in (fold, as_published):
            other = make(model.model.diffusion_model, down, up, vectors[index])
            torch.testing.assert_close(hooked[index : index + 1], other(**row), rtol=0, atol=ATOL)
    assert (hooked - parts.predict(model, inputs)).abs().mean() > 0.1


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_every_layer_has_the_vector_at_every_step(cfg):
    model = tiny.flux2_patcher()
    vectors = parts.random_adapter()[2][:1]
    before = parts.weights_of(model)
    with flux2.Arrivals(model, vectors) as watch:
        flux2.sample(flux2.attached(model), cfg, steps=3)
    assert watch.calls == [flux2.names(model)] * 3  # with and without prompt go in together
    parts.assert_untouched(model, before)


def test_a_failure_and_a_cancel_leave_no_trace():
    model = tiny.flux2_patcher()
    before = parts.weights_of(model)

    def fail(module, args):
        raise ValueError("injected")

    handle = model.model.diffusion_model.single_blocks[1].register_forward_pre_hook(fail)
    with pytest.raises(ValueError, match="injected"):
        flux2.sample(flux2.attached(model))
    handle.remove()

    def cancel(step, denoised, x, total):
        mm.interrupt_current_processing()
        mm.throw_exception_if_processing_interrupted()

    with pytest.raises(mm.InterruptProcessingException):
        flux2.sample(flux2.attached(model), callback=cancel)
    mm.interrupt_current_processing(False)
    parts.assert_untouched(model, before)


@pytest.fixture(scope="module")
def clip_and_vae():
    with torch.inference_mode():
        return tiny.text_encoder(), tiny.image_autoencoder()


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_a_stack_has_the_size_of_the_photo_and_says_how_it_was_made(clip_and_vae, guidance):
    model, seen = tiny.flux2_patcher(), []
    watched = parts.watched(model, lambda x, **more: seen.append((len(x), more["context"].shape)))
    generator = native.NativeGenerator(watched, *clip_and_vae, flux2.RandomAdapter())
    photo = torch.rand(37, 50, 3, generator=torch.Generator().manual_seed(0))
    before = parts.weights_of(model)
    settings = {"steps": 2, "guidance": guidance, "seed": 3, "match_color": False}
    stack = generator.generate(photo, [10, 20], **settings)
    parts.assert_untouched(model, before)
    assert stack.frames.shape == (2, 37, 50, 3)
    assert settings.items() <= stack.settings.items()
    assert stack.settings["generator"] == "FLUX.2-klein-4B in ComfyUI"
    samples = 2 * sum(2 if guidance > 1 else 1 for _ in range(2))
    assert sum(count for count, _ in seen) == samples  # two strengths, two steps
    assert {shape[1] for _, shape in seen} == {512}
    assert (stack.frames[0] - stack.frames[1]).abs().mean() > 1e-3
    again = generator.generate(photo, [20], **settings)
    # Float32 rounding of the batch, amplified by the decoder of random weights.
    torch.testing.assert_close(again.frames[0], stack.frames[1], rtol=0, atol=1e-3)


def test_chosen_noise_levels_are_those_that_are_sampled(clip_and_vae):
    seen = []
    watched = parts.watched(
        tiny.flux2_patcher(), lambda x, timestep, **_: seen.append(float(timestep[0]))
    )
    generator = native.NativeGenerator(watched, *clip_and_vae, flux2.RandomAdapter())
    options = {"steps": 50, "guidance": 1.0, "seed": 3, "sigmas": [1.0, 0.6509, 0.2932, 0.1108]}
    stack = generator.generate(torch.rand(32, 32, 3), [10], **options)
    assert seen == pytest.approx([1.0, 0.6509, 0.2932, 0.1108], abs=1e-6)
    assert stack.settings["steps"] == 4
    assert stack.settings["sigmas"] == pytest.approx([1.0, 0.6509, 0.2932, 0.1108, 0.0])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("vae", r"^vae: load FLUX\.2's own VAE, flux2-vae.* of 16 px, found 16 channels, 8 px"),
        ("clip", r"^clip: load Qwen 3 4B with CLIPLoader, type flux2: .* width 96, found 77"),
        ("sigmas", r"^sigmas: give noise levels that fall from 1 to 0: found 0\.5, 1\."),
    ],
)
def test_parts_that_do_not_fit_are_named_before_sampling(clip_and_vae, part, message):
    clip, vae = clip_and_vae
    settings = {"steps": 2, "guidance": 1.0, "seed": 3}
    if part == "vae":
        vae = SimpleNamespace(encode=lambda image: torch.zeros(1, 16, 2, 2))
    if part == "clip":
        clip = SimpleNamespace(
            tokenize=clip.tokenize,
            encode_from_tokens_scheduled=lambda tokens: [[torch.zeros(1, 9, 77), {}]],
        )
    if part == "sigmas":
        settings["sigmas"] = [0.5, 1.0]
    generator = native.NativeGenerator(tiny.flux2_patcher(), clip, vae, flux2.RandomAdapter())
    with pytest.raises(ValueError, match=message):
        generator.generate(torch.rand(16, 16, 3), [10], **settings)


@pytest.mark.parametrize(
    ("make", "adapter", "message"),
    [
        (tiny1.flux_patcher, flux2.RandomAdapter(), r"FLUX\.2-klein-4B, .* a FLUX\.1, Flux"),
        (tiny.flux2_patcher, parts.RandomAdapter(), r"FLUX\.1-Kontext-dev, .* a FLUX\.2, Flux2"),
    ],
)
def test_an_adapter_of_the_other_family_is_refused_by_name(make, adapter, message):
    with pytest.raises(ValueError, match=f"^model: load {message}"):
        flux_hooks.query_key_updates(make(), adapter)


def test_a_flux2_of_another_size_is_named():
    message = (
        r"^model: load FLUX\.2-klein-4B: the bokeh adapter is made for 5 attention layers of "
        r"width 256, found Flux2 \(Flux\) with 4 of width 256"
    )
    with pytest.raises(ValueError, match=message):
        flux_hooks.query_key_updates(tiny.flux2_patcher(depth=1), flux2.RandomAdapter())


def test_the_node_takes_an_adapter_for_flux2(monkeypatch):
    monkeypatch.setattr(adapter_node, "load_adapter", lambda path: flux2.RandomAdapter())
    monkeypatch.setattr(host, "fetch_model", lambda name: name)
    model, inputs = tiny.flux2_patcher(), flux2.make_inputs(batch=1)
    out = adapter_node.ApplyBokehDepthAdapter.execute(model, "adapter.safetensors", 20.0)
    vectors = flux2.RandomAdapter().strength_vectors([20.0])
    wanted = parts.predict(flux2.attached(model, vectors), inputs)
    assert torch.equal(parts.predict(out.args[0], inputs), wanted)
