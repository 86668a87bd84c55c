"""Stage 1 inside ComfyUI: the adapter on its own FLUX class, and the stack through its sampler.

Runs in process on tiny random networks; COMFYUI_PATH names a ComfyUI checkout.
"""

import copy

import make_tiny_flux as tiny
import pytest
import torch
from comfyui_pack import kontext, native  # first: it sets ComfyUI up

import comfy.model_management as mm  # isort: skip
import comfy.patcher_extension  # isort: skip
import comfy.sample  # isort: skip
import comfy.samplers  # isort: skip

pytestmark = pytest.mark.comfyui
LAYERS, RANK = tiny.DOUBLES + tiny.SINGLES, 4


@pytest.fixture(autouse=True)
def _as_comfyui_runs_nodes():
    with torch.inference_mode():
        yield


def _random_adapter(seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = tiny.HIDDEN
    down = torch.randn(LAYERS, 2, RANK, hidden, generator=generator) / hidden**0.5
    up = torch.randn(LAYERS, 2, hidden, RANK, generator=generator) / RANK**0.5
    vectors = 0.5 * torch.randn(3, LAYERS, hidden, generator=generator)
    return down, up, vectors


def _updates(down, up):
    layers = {i: kontext.QueryKeyUpdate(down[i], up[i]) for i in range(LAYERS)}
    return kontext.model_patcher(kontext.QueryKeyUpdates(layers))


def _fold(flux, down, up, vectors):
    """Return a copy of the network with one strength folded into its weights, in float64."""
    flux, hidden = copy.deepcopy(flux), tiny.HIDDEN
    for projection in kontext.projections(flux):
        weight, bias, layer = projection.module.weight, projection.module.bias, projection.layer
        if not projection.makes_queries:
            bias += weight[:, :hidden] @ vectors[layer]
            continue
        for part in range(2):
            rows = slice(part * hidden, (part + 1) * hidden)
            change = torch.eye(hidden, dtype=torch.float64)
            change += up[layer, part].double() @ down[layer, part].double()
            weight[rows] = (change @ weight[rows].double()).to(weight)
            bias[rows] = (change @ bias[rows].double()).to(bias)
    return flux


def _inputs(batch=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    sizes = [(16, 8, 12), (9, tiny.TEXT_WIDTH), (tiny.POOLED_WIDTH,), (16, 8, 12)]
    x, context, pooled, reference = (
        torch.randn(batch, *size, generator=generator) for size in sizes
    )
    return {
        "x": x,
        "timestep": torch.full((batch,), 0.7),
        "context": context,
        "y": pooled,
        "guidance": torch.full((batch,), 2.5),
        "ref_latents": [reference],
    }


def _predict(patcher, inputs):
    options = comfy.patcher_extension.merge_nested_dicts(
        {"wrappers": patcher.wrappers}, patcher.model_options["transformer_options"]
    )
    return patcher.model.diffusion_model(**inputs, transformer_options=options)


def _rows(inputs, index):
    pick = slice(index, index + 1)
    rows = {name: value[pick] for name, value in inputs.items() if name != "ref_latents"}
    return rows | {"ref_latents": [value[pick] for value in inputs["ref_latents"]]}


def _weights(patcher):
    state = patcher.model.diffusion_model.state_dict()
    return {name: value.clone() for name, value in state.items()}


def _assert_untouched(patcher, before):
    flux = patcher.model.diffusion_model
    after = flux.state_dict()
    assert after.keys() == before.keys()
    for name, value in after.items():
        assert torch.equal(value.view(torch.uint8), before[name].view(torch.uint8)), name
    hooks = [m for m in flux.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooks == []


def test_hooked_network_equals_folded_weights_for_each_strength_of_a_batch():
    model, inputs = tiny.flux_patcher(), _inputs()
    down, up, vectors = _random_adapter()
    before = _weights(model)
    hooked = _predict(kontext.attach(model, _updates(down, up), vectors), inputs)
    _assert_untouched(model, before)
    for index in range(3):
        folded = _fold(model.model.diffusion_model, down, up, vectors[index])
        wanted = folded(**_rows(inputs, index))
        # Float32 rounding through five blocks, as the golden data allows it (2e-5).
        torch.testing.assert_close(hooked[index : index + 1], wanted, rtol=0, atol=2e-5)
    bare = _predict(model, inputs)
    assert (hooked - bare).abs().mean() > 0.1


def test_positive_and_negative_conditioning_share_a_batch_in_the_order_of_the_strengths():
    model, inputs = tiny.flux_patcher(), _inputs(batch=6)
    down, up, vectors = _random_adapter()
    updates = _updates(down, up)
    both = _predict(kontext.attach(model, updates, vectors), inputs)
    for index in range(6):
        strength = vectors[index % 3 : index % 3 + 1]
        alone = _predict(kontext.attach(model, updates, strength), _rows(inputs, index))
        torch.testing.assert_close(both[index : index + 1], alone, rtol=0, atol=2e-5)


def test_a_batch_that_does_not_hold_every_strength_is_refused():
    model = tiny.flux_patcher()
    down, up, vectors = _random_adapter()
    patched = kontext.attach(model, _updates(down, up), vectors)
    message = "strengths: 3 for a batch of 4 samples. Use a batch that holds every strength once."
    with pytest.raises(ValueError, match=message):
        _predict(patched, _inputs(batch=4))


def test_a_second_adapter_replaces_the_first():
    model, inputs = tiny.flux_patcher(), _inputs(batch=1)
    first, second = _random_adapter(0), _random_adapter(9)
    once = kontext.attach(model, _updates(*second[:2]), second[2][:1])
    twice = kontext.attach(
        kontext.attach(model, _updates(*first[:2]), first[2][:1]),
        _updates(*second[:2]),
        second[2][:1],
    )
    assert torch.equal(_predict(twice, inputs), _predict(once, inputs))
    assert len(twice.get_nested_additional_models()) == 1


def test_the_model_that_came_in_keeps_running_bare():
    model, inputs = tiny.flux_patcher(), _inputs(batch=1)
    bare = _predict(model, inputs)
    down, up, vectors = _random_adapter()
    _predict(kontext.attach(model, _updates(down, up), vectors[:1]), inputs)
    assert torch.equal(_predict(model, inputs), bare)


def test_a_failure_inside_the_network_leaves_no_trace():
    model, inputs = tiny.flux_patcher(), _inputs(batch=1)
    down, up, vectors = _random_adapter()
    before = _weights(model)

    def fail(module, args):
        raise ValueError("injected")

    block = model.model.diffusion_model.single_blocks[1]
    handle = block.register_forward_pre_hook(fail)
    patched = kontext.attach(model, _updates(down, up), vectors[:1])
    with pytest.raises(ValueError, match="injected"):
        _predict(patched, inputs)
    handle.remove()
    _assert_untouched(model, before)


def test_a_replaced_block_is_an_error_and_not_a_silent_gap():
    model = tiny.flux_patcher()
    down, up, vectors = _random_adapter()
    patched = kontext.attach(model, _updates(down, up), vectors[:1])
    patched.set_model_patch_replace(lambda args, extra: args, "dit", "single_block", 1)
    message = r"no effect on 2 of 12 layers, first single_blocks\.1\.linear1"
    with pytest.raises(RuntimeError, match=message):
        _predict(patched, _inputs(batch=1))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn])
def test_low_precision_weights_are_neither_read_nor_rounded_again(kind):
    # fp8 is cast to bfloat16 layer by layer, so the same numbers held as bfloat16 agree exactly.
    stored, plain = tiny.flux_patcher(kind), tiny.flux_patcher(torch.bfloat16)
    state = stored.model.diffusion_model.state_dict()
    rounded = {name: value.to(torch.bfloat16) for name, value in state.items()}
    plain.model.diffusion_model.load_state_dict(rounded)
    inputs = _inputs(batch=1)
    references = [value.bfloat16() for value in inputs.pop("ref_latents")]
    inputs = {name: value.bfloat16() for name, value in inputs.items()}
    inputs["ref_latents"] = references
    down, up, vectors = _random_adapter()
    before = _weights(stored)
    outputs = [
        _predict(kontext.attach(model, _updates(down, up), vectors[:1]), inputs)
        for model in (stored, plain)
    ]
    assert torch.equal(*outputs)
    assert (outputs[0] - _predict(stored, inputs)).abs().mean() > 0.1
    _assert_untouched(stored, before)


def _conditioning(seed=3, batch=1):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(batch, 9, tiny.TEXT_WIDTH, generator=generator)
    pooled = torch.randn(batch, tiny.POOLED_WIDTH, generator=generator)
    reference = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(5))
    return [[tokens, {"pooled_output": pooled, "guidance": 2.5, "reference_latents": [reference]}]]


def _sample(model, cfg=1.0, steps=2, callback=None):
    latent = torch.zeros(1, 16, 8, 12)
    return comfy.sample.sample_custom(
        model,
        comfy.sample.prepare_noise(latent, 4),
        cfg,
        comfy.samplers.sampler_object("euler"),
        native.flux_sigmas(steps, 24),
        _conditioning(3),
        _conditioning(8),
        latent,
        callback=callback,
        disable_pbar=True,
        seed=4,
    )


def test_a_lora_before_and_after_the_adapter_gives_the_same_picture():
    down, up, vectors = _random_adapter()
    name = "diffusion_model.double_blocks.1.img_attn.qkv.weight"
    change = 0.05 * torch.randn(3 * tiny.HIDDEN, tiny.HIDDEN, generator=torch.Generator())

    def with_lora(model):
        patched = model.clone()
        assert patched.add_patches({name: ("diff", (change,))}) == [name]
        return patched

    def with_adapter(model):
        return kontext.attach(model, _updates(down, up), vectors[:1])

    base = tiny.flux_patcher()
    before = _weights(base)
    lora_first = _sample(with_adapter(with_lora(base)))
    adapter_first = _sample(with_lora(with_adapter(base)))
    assert torch.equal(lora_first, adapter_first)

    summed = tiny.flux_patcher()
    summed.model.diffusion_model.double_blocks[1].img_attn.qkv.weight += change
    torch.testing.assert_close(lora_first, _sample(with_adapter(summed)), rtol=0, atol=2e-5)
    mm.unload_all_models()
    _assert_untouched(base, before)


def test_a_strength_changed_between_runs_takes_effect_and_back_again():
    model = tiny.flux_patcher()
    down, up, vectors = _random_adapter()
    updates = _updates(down, up)
    first, other, again = (
        _sample(kontext.attach(model, updates, vectors[i : i + 1])) for i in (0, 1, 0)
    )
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.01


def test_a_cancel_in_the_middle_leaves_no_trace():
    model = tiny.flux_patcher()
    down, up, vectors = _random_adapter()
    before = _weights(model)

    def cancel(step, denoised, x, total):
        mm.interrupt_current_processing()
        mm.throw_exception_if_processing_interrupted()

    with pytest.raises(mm.InterruptProcessingException):
        _sample(kontext.attach(model, _updates(down, up), vectors[:1]), callback=cancel)
    mm.interrupt_current_processing(False)
    _assert_untouched(model, before)


def test_a_partly_loaded_network_predicts_the_same():
    model, inputs = tiny.flux_patcher(), _inputs(batch=1)
    down, up, vectors = _random_adapter()
    updates = _updates(down, up)
    patched = kontext.attach(model, updates, vectors[:1])
    wanted = _predict(patched, inputs)
    for patcher in (patched, updates):
        patcher.patch_model(patcher.load_device, lowvram_model_memory=20_000)
    assert patched.model.model_lowvram
    torch.testing.assert_close(_predict(patched, inputs), wanted, rtol=0, atol=0)
    for patcher in (patched, updates):
        patcher.detach()


def _run(model, steps=2):
    down, up, vectors = _random_adapter()
    reference = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(5))
    run = native.SampleRun(model, _updates(down, up), reference, steps, 4)
    return run, vectors, [_conditioning(seed) for seed in (3, 8, 13)]


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


class _Adapter:
    """A bokeh adapter of random numbers, with the strength as a factor of one vector."""

    hidden_size, layer_count = tiny.HIDDEN, LAYERS

    def query_key_pairs(self, lora_scale=1.0):
        down, up, _ = _random_adapter()
        return {i: (down[i], lora_scale * up[i]) for i in range(LAYERS)}

    def strength_vectors(self, strengths):
        vector = _random_adapter()[2][:1]
        return torch.cat([vector * strength / 30 for strength in strengths])


@pytest.fixture(scope="module")
def parts():
    with torch.inference_mode():
        return tiny.text_encoder(), tiny.image_autoencoder()


def test_a_stack_has_the_size_of_the_photo_and_says_how_it_was_made(parts):
    clip, vae = parts
    photo = torch.rand(37, 50, 3, generator=torch.Generator().manual_seed(0))
    kept = photo.clone()
    generator = native.NativeGenerator(tiny.flux_patcher(), clip, vae, _Adapter())
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


def test_a_model_that_is_not_flux_is_named():
    import comfy.model_base
    import comfy.supported_models

    config = {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 32,
        "num_res_blocks": [1, 1],
        "channel_mult": (1, 2),
        "num_heads": 2,
        "transformer_depth": [0, 0],
        "transformer_depth_middle": 0,
        "transformer_depth_output": [0, 0, 0, 0],
        "context_dim": 16,
        "use_spatial_transformer": True,
        "adm_in_channels": None,
    }
    model = comfy.model_base.BaseModel(comfy.supported_models.SD15(config))
    message = r"model: expected FLUX.1-Kontext, found BaseModel \(UNetModel\)\. Load"
    with pytest.raises(ValueError, match=message):
        kontext.query_key_updates(kontext.model_patcher(model), _Adapter())


def test_a_flux_of_another_size_is_named():
    model = tiny.flux_patcher(depth=1)
    message = (
        r"model: the bokeh adapter is made for 5 attention layers of width 256, "
        r"found Flux \(Flux\) with 4 of width 256"
    )
    with pytest.raises(ValueError, match=message):
        kontext.query_key_updates(model, _Adapter())
