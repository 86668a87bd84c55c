"""The adapter on models people run: number formats, LoRAs, skipped steps; a tiny FLUX.2 in process.

COMFYUI_PATH names a ComfyUI checkout.
"""

import flux2_native as flux2
import make_tiny_flux2 as tiny
import native_parts as parts
import pytest
import torch

import comfy.model_management as mm  # isort: skip
import comfy.sd  # isort: skip
import comfy.supported_models  # isort: skip
import comfy.utils  # isort: skip

if not hasattr(comfy.supported_models, "Flux2"):
    pytest.skip("this ComfyUI has no FLUX.2", allow_module_level=True)
from comfy_extras import nodes_easycache

pytestmark = [pytest.mark.comfyui, pytest.mark.usefixtures("inference_mode")]

FORMATS = tiny.formats()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    home = tmp_path_factory.mktemp("flux2")
    with torch.inference_mode():
        paths = tiny.save_flux2(home)
        tiny.save_lora(home / "lora.safetensors")
    return paths | {"lora": home / "lora.safetensors"}


def with_lora(model, files):
    lora = comfy.utils.load_torch_file(str(files["lora"]), safe_load=True)
    patched, _ = comfy.sd.load_lora_for_models(model, None, lora, 1.0, 0.0)
    assert len(patched.patches) == 2
    return patched


def vectors():
    return parts.random_adapter()[2][:1]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("lora", ["none", "before", "after"])
def test_vectors_and_updates_arrive_at_every_step_and_layer(files, kind, lora):
    model = tiny.file_patcher(files[kind])
    before = parts.weights_of(model)
    patched = with_lora(model, files) if lora == "before" else model
    patched = flux2.attached(patched)
    patched = with_lora(patched, files) if lora == "after" else patched
    with flux2.Arrivals(model, vectors()) as watch:
        out = flux2.sample(patched, steps=3)
    assert watch.calls == [flux2.names(model)] * 3
    bare = flux2.sample(with_lora(model, files) if lora != "none" else model, steps=3)
    assert (out - bare).abs().mean() > 0.05
    mm.unload_all_models()
    parts.assert_untouched(model, before)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_lora_before_and_after_gives_the_same_picture(files, kind):
    model = tiny.file_patcher(files[kind])
    before_it = flux2.sample(flux2.attached(with_lora(model, files)))
    after_it = flux2.sample(with_lora(flux2.attached(model), files))
    assert torch.equal(before_it, after_it)
    assert (before_it - flux2.sample(flux2.attached(model))).abs().mean() > 1e-3
    mm.unload_all_models()


def multiplied_out(model):
    """Return a float32 MODEL of the numbers that a quantised one stands for."""
    from comfy.quant_ops import QuantizedTensor

    plain = tiny.flux2_patcher()
    for (name, one), (_, other) in zip(
        plain.model.diffusion_model.named_parameters(),
        model.model.diffusion_model.named_parameters(),
        strict=True,
    ):
        value = other.dequantize() if isinstance(other, QuantizedTensor) else other
        assert one.shape == value.shape, name
        one.data = value.float().clone()
    return plain


# int8 products round each token's activations to 1/127 of its largest; fp8 is multiplied out here.
@pytest.mark.parametrize(("kind", "share"), [("fp8_scaled", 1e-5), ("int8_convrot", 0.05)])
def test_a_quantised_network_with_the_adapter_is_that_of_its_numbers(files, kind, share):
    if kind not in FORMATS:
        pytest.skip(f"this ComfyUI reads no {kind}")
    model = tiny.file_patcher(files[kind])
    inputs = flux2.make_inputs(batch=1)
    got = parts.predict(flux2.attached(model), inputs)
    wanted = parts.predict(flux2.attached(multiplied_out(model)), inputs)
    assert (got - wanted).norm() <= share * wanted.norm()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("node", ["EasyCacheNode", "LazyCacheNode"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_steps_that_run_have_all_vectors_where_others_are_skipped(files, kind, node, order):
    model = tiny.file_patcher(files[kind])
    before = parts.weights_of(model)

    def skipping(patched):
        make = getattr(nodes_easycache, node).execute
        return make(patched, 1000.0, 0.0, 1.0, False).args[0]

    patched = flux2.attached(skipping(model)) if order == "before" else skipping(
        flux2.attached(model))  # fmt: skip
    with flux2.Arrivals(model, vectors()) as watch:
        out = flux2.sample(patched, steps=8)
    assert 1 <= len(watch.calls) < 8
    assert watch.calls == [flux2.names(model)] * len(watch.calls)
    assert out.isfinite().all()
    parts.assert_untouched(model, before)
