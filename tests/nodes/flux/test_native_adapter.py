"""The bokeh adapter on ComfyUI's own FLUX class, on tiny random networks in process.

COMFYUI_PATH names a ComfyUI checkout.
"""

import make_tiny_flux as tiny
import native_parts as parts
import pytest
import torch
from comfyui_pack import adapter_node, flux_hooks, host

import comfy.model_management as mm  # isort: skip

pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]


def test_hooked_network_equals_folded_weights_for_each_strength_of_a_batch():
    model, inputs = tiny.flux_patcher(), parts.make_inputs()
    down, up, vectors = parts.random_adapter()
    before = parts.weights_of(model)
    hooked = parts.predict(flux_hooks.attach(model, parts.updates_of(down, up), vectors), inputs)
    parts.assert_untouched(model, before)
    for index in range(3):
        folded = parts.fold(model.model.diffusion_model, down, up, vectors[index])
        wanted = folded(**parts.rows(inputs, index))
        # Float32 rounding through five blocks, as the golden data allows it (2e-5).
        torch.testing.assert_close(hooked[index : index + 1], wanted, rtol=0, atol=2e-5)
    bare = parts.predict(model, inputs)
    assert (hooked - bare).abs().mean() > 0.1


def test_positive_and_negative_conditioning_share_a_batch_in_the_order_of_the_strengths():
    model, inputs = tiny.flux_patcher(), parts.make_inputs(batch=6)
    down, up, vectors = parts.random_adapter()
    updates = parts.updates_of(down, up)
    both = parts.predict(flux_hooks.attach(model, updates, vectors), inputs)
    for index in range(6):
        strength = vectors[index % 3 : index % 3 + 1]
        alone = parts.predict(
            flux_hooks.attach(model, updates, strength), parts.rows(inputs, index)
        )
        torch.testing.assert_close(both[index : index + 1], alone, rtol=0, atol=2e-5)


def test_a_batch_that_does_not_hold_every_strength_is_refused():
    model = tiny.flux_patcher()
    down, up, vectors = parts.random_adapter()
    patched = flux_hooks.attach(model, parts.updates_of(down, up), vectors)
    message = "strengths: 3 for a batch of 4 samples. Use a batch that holds every strength once."
    with pytest.raises(ValueError, match=message):
        parts.predict(patched, parts.make_inputs(batch=4))


def test_a_second_adapter_replaces_the_first():
    model, inputs = tiny.flux_patcher(), parts.make_inputs(batch=1)
    first, second = parts.random_adapter(0), parts.random_adapter(9)
    once = flux_hooks.attach(model, parts.updates_of(*second[:2]), second[2][:1])
    twice = flux_hooks.attach(
        flux_hooks.attach(model, parts.updates_of(*first[:2]), first[2][:1]),
        parts.updates_of(*second[:2]),
        second[2][:1],
    )
    assert torch.equal(parts.predict(twice, inputs), parts.predict(once, inputs))
    assert len(twice.get_nested_additional_models()) == 1


def test_the_model_that_came_in_keeps_running_bare():
    model, inputs = tiny.flux_patcher(), parts.make_inputs(batch=1)
    bare = parts.predict(model, inputs)
    down, up, vectors = parts.random_adapter()
    parts.predict(flux_hooks.attach(model, parts.updates_of(down, up), vectors[:1]), inputs)
    assert torch.equal(parts.predict(model, inputs), bare)


def test_a_failure_inside_the_network_leaves_no_trace():
    model, inputs = tiny.flux_patcher(), parts.make_inputs(batch=1)
    down, up, vectors = parts.random_adapter()
    before = parts.weights_of(model)

    def fail(module, args):
        raise ValueError("injected")

    block = model.model.diffusion_model.single_blocks[1]
    handle = block.register_forward_pre_hook(fail)
    patched = flux_hooks.attach(model, parts.updates_of(down, up), vectors[:1])
    with pytest.raises(ValueError, match="injected"):
        parts.predict(patched, inputs)
    handle.remove()
    parts.assert_untouched(model, before)


def test_a_replaced_block_is_an_error_and_not_a_silent_gap():
    model = tiny.flux_patcher()
    down, up, vectors = parts.random_adapter()
    patched = flux_hooks.attach(model, parts.updates_of(down, up), vectors[:1])
    patched.set_model_patch_replace(lambda args, extra: args, "dit", "single_block", 1)
    message = r"no effect on 2 of 12 layers, first single_blocks\.1\.linear1"
    with pytest.raises(RuntimeError, match=message):
        parts.predict(patched, parts.make_inputs(batch=1))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn])
def test_low_precision_weights_are_neither_read_nor_rounded_again(kind):
    # fp8 is cast to bfloat16 layer by layer, so the same numbers held as bfloat16 agree exactly.
    stored, plain = tiny.flux_patcher(kind), tiny.flux_patcher(torch.bfloat16)
    state = stored.model.diffusion_model.state_dict()
    rounded = {name: value.to(torch.bfloat16) for name, value in state.items()}
    plain.model.diffusion_model.load_state_dict(rounded)
    inputs = parts.make_inputs(batch=1)
    references = [value.bfloat16() for value in inputs.pop("ref_latents")]
    inputs = {name: value.bfloat16() for name, value in inputs.items()}
    inputs["ref_latents"] = references
    down, up, vectors = parts.random_adapter()
    before = parts.weights_of(stored)
    outputs = [
        parts.predict(flux_hooks.attach(model, parts.updates_of(down, up), vectors[:1]), inputs)
        for model in (stored, plain)
    ]
    assert torch.equal(*outputs)
    assert (outputs[0] - parts.predict(stored, inputs)).abs().mean() > 0.1
    parts.assert_untouched(stored, before)


def test_a_lora_before_and_after_the_adapter_gives_the_same_picture():
    down, up, vectors = parts.random_adapter()
    name = "diffusion_model.double_blocks.1.img_attn.qkv.weight"
    change = 0.05 * torch.randn(3 * tiny.HIDDEN, tiny.HIDDEN, generator=torch.Generator())

    def with_lora(model):
        patched = model.clone()
        assert patched.add_patches({name: ("diff", (change,))}) == [name]
        return patched

    def with_adapter(model):
        return flux_hooks.attach(model, parts.updates_of(down, up), vectors[:1])

    base = tiny.flux_patcher()
    before = parts.weights_of(base)
    lora_first = parts.sample(with_adapter(with_lora(base)))
    adapter_first = parts.sample(with_lora(with_adapter(base)))
    assert torch.equal(lora_first, adapter_first)

    summed = tiny.flux_patcher()
    summed.model.diffusion_model.double_blocks[1].img_attn.qkv.weight += change
    torch.testing.assert_close(lora_first, parts.sample(with_adapter(summed)), rtol=0, atol=2e-5)
    mm.unload_all_models()
    parts.assert_untouched(base, before)


def test_a_strength_changed_between_runs_takes_effect_and_back_again():
    model = tiny.flux_patcher()
    down, up, vectors = parts.random_adapter()
    updates = parts.updates_of(down, up)
    first, other, again = (
        parts.sample(flux_hooks.attach(model, updates, vectors[i : i + 1])) for i in (0, 1, 0)
    )
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.01


def test_a_cancel_in_the_middle_leaves_no_trace():
    model = tiny.flux_patcher()
    down, up, vectors = parts.random_adapter()
    before = parts.weights_of(model)

    def cancel(step, denoised, x, total):
        mm.interrupt_current_processing()
        mm.throw_exception_if_processing_interrupted()

    with pytest.raises(mm.InterruptProcessingException):
        parts.sample(
            flux_hooks.attach(model, parts.updates_of(down, up), vectors[:1]), callback=cancel
        )
    mm.interrupt_current_processing(False)
    parts.assert_untouched(model, before)


def test_a_partly_loaded_network_predicts_the_same():
    model, inputs = tiny.flux_patcher(), parts.make_inputs(batch=1)
    down, up, vectors = parts.random_adapter()
    updates = parts.updates_of(down, up)
    patched = flux_hooks.attach(model, updates, vectors[:1])
    wanted = parts.predict(patched, inputs)
    for patcher in (patched, updates):
        patcher.patch_model(patcher.load_device, lowvram_model_memory=20_000)
    assert patched.model.model_lowvram
    torch.testing.assert_close(parts.predict(patched, inputs), wanted, rtol=0, atol=0)
    for patcher in (patched, updates):
        patcher.detach()


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
    message = r"^model: load FLUX.1-Kontext-dev .*: found BaseModel \(UNetModel\)\."
    with pytest.raises(ValueError, match=message):
        flux_hooks.query_key_updates(host.managed(model), parts.RandomAdapter())


def test_a_flux_of_another_size_is_named():
    model = tiny.flux_patcher(depth=1)
    message = (
        r"^model: load FLUX\.1-Kontext-dev: the bokeh adapter is made for 5 attention layers of "
        r"width 256, found Flux \(Flux\) with 4 of width 256"
    )
    with pytest.raises(ValueError, match=message):
        flux_hooks.query_key_updates(model, parts.RandomAdapter())


def test_a_flux_that_reads_more_than_kontext_is_named():
    model = tiny.flux_patcher(in_channels=32)
    message = "^model: load FLUX.1-Kontext-dev, which reads 16 channels: found a FLUX that reads 32"
    with pytest.raises(ValueError, match=message):
        flux_hooks.query_key_updates(model, parts.RandomAdapter())


@pytest.mark.parametrize(
    ("stored", "held"),
    [
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.bfloat16),
        (torch.float8_e4m3fn, torch.bfloat16),
    ],
)
def test_the_updates_are_held_in_the_number_type_that_the_model_computes_in(stored, held):
    updates = flux_hooks.query_key_updates(tiny.flux_patcher(stored), parts.RandomAdapter())
    assert {weight.dtype for weight in updates.model.parameters()} == {held}


def test_the_node_takes_strength_and_both_scales(monkeypatch):
    monkeypatch.setattr(adapter_node, "load_adapter", lambda path: parts.RandomAdapter())
    monkeypatch.setattr(host, "fetch_model", lambda name: name)
    model, inputs = tiny.flux_patcher(), parts.make_inputs(batch=1)
    adapter, bare = parts.RandomAdapter(), parts.predict(model, inputs)

    def by_node(*settings):
        out = adapter_node.ApplyBokehDepthAdapter.execute(model, "adapter.bin", *settings)
        return parts.predict(out.args[0], inputs)

    def by_hand(strength, lora_scale, bokeh_scale):
        updates = flux_hooks.query_key_updates(model, adapter, lora_scale)
        vectors = adapter.strength_vectors([strength], bokeh_scale)
        return parts.predict(flux_hooks.attach(model, updates, vectors), inputs)

    torch.testing.assert_close(by_node(20.0, 0.0, 0.0), bare, rtol=0, atol=2e-5)
    for settings in ((20.0, 1.0, 1.0), (9.0, 0.5, 0.0), (9.0, 0.0, 2.0)):
        assert torch.equal(by_node(*settings), by_hand(*settings))
        assert (by_node(*settings) - bare).abs().mean() > 0.01
    assert torch.equal(by_node(20.0), by_hand(20.0, 1.0, 1.0))


def test_a_block_replaced_between_two_runs_is_an_error_too():
    down, up, vectors = parts.random_adapter()
    patched = flux_hooks.attach(tiny.flux_patcher(), parts.updates_of(down, up), vectors[:1])
    parts.sample(patched)
    patched.set_model_patch_replace(lambda args, extra: args, "dit", "single_block", 1)
    with pytest.raises(RuntimeError, match=r"no effect on 2 of 12 layers"):
        parts.sample(patched)


@pytest.mark.parametrize("count", [1, tiny.DOUBLES])
def test_blocks_swapped_for_others_are_named(count):
    model = tiny.flux_patcher()
    down, up, vectors = parts.random_adapter()
    patched = flux_hooks.attach(model, parts.updates_of(down, up), vectors[:1])
    others = torch.nn.ModuleList(torch.nn.Identity() for _ in range(count))
    model.model.diffusion_model.double_blocks = others
    message = "^model: take out the node that replaced blocks of it: the bokeh adapter finds "
    with pytest.raises(RuntimeError, match=message):
        parts.predict(patched, parts.make_inputs(batch=1))


def test_comfyui_can_make_the_updates_again_for_another_gpu():
    down, up, _ = parts.random_adapter()
    updates = parts.updates_of(down, up)
    if not hasattr(updates, "deepclone_multigpu"):
        pytest.skip("this ComfyUI has no multi-GPU work split")
    other = updates.deepclone_multigpu()
    assert other.model is not updates.model
    for one, two in zip(updates.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(one, two)
        assert one.data_ptr() != two.data_ptr()
