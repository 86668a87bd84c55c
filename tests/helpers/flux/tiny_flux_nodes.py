"""Nodes that the server tests add to ComfyUI: tiny text encoders and VAE, hashes, a failure.

ComfyUI loads this file as a custom node. TINY_VRAM=LOW_VRAM or NO_VRAM makes it load models in
part, as --lowvram and --novram do beside a GPU. Without a GPU there is --cpu alone, which excludes
both and loads every model whole.
"""
# ruff: noqa: N802 (names of ComfyUI)

import hashlib
import os
import sys
from pathlib import Path

import comfy.model_detection
import comfy.model_management as mm
import comfy.patcher_extension
import torch

os.environ.setdefault("COMFYUI_PATH", str(Path(mm.__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import make_tiny_flux as tiny


class TinyFluxParts:
    RETURN_TYPES = ("CLIP", "VAE")
    FUNCTION = "make"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def make(self):
        return tiny.text_encoder(), tiny.image_autoencoder()


class TinyFlux2Parts:
    RETURN_TYPES = ("CLIP", "VAE")
    FUNCTION = "make"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def make(self):
        import make_tiny_flux2

        return make_tiny_flux2.text_encoder(), make_tiny_flux2.image_autoencoder()


class HashModel:
    """Shows the hash of a MODEL's weights, its hooks, its streamed layers and all its layers."""

    OUTPUT_NODE = True
    RETURN_TYPES = ()
    FUNCTION = "show"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}, "optional": {"after": ("*",)}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    @classmethod
    def IS_CHANGED(cls, **_):
        return float("nan")

    def show(self, model, after=None):
        flux = model.model.diffusion_model
        total = hashlib.sha256()
        for name, value in sorted(flux.state_dict().items()):
            total.update(f"{name} {value.dtype}".encode())
            total.update(value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        hooks = sum(bool(m._forward_hooks or m._forward_pre_hooks) for m in flux.modules())
        streamed = sum(hasattr(m, "prev_comfy_cast_weights") for m in flux.modules())
        layers = sum(hasattr(m, "comfy_cast_weights") for m in flux.modules())
        return {"ui": {"text": [total.hexdigest(), str(hooks), str(streamed), str(layers)]}}


class FailInside:
    """A MODEL that fails in the middle of the second model call of every sampling."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "make"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def make(self, model):
        calls = []

        def fail_in_the_second_block(args, extra):
            calls.append(1)
            if len(calls) == 2:
                raise ValueError("injected")
            return extra["original_block"](args)

        model = model.clone()
        model.set_model_patch_replace(fail_in_the_second_block, "dit", "double_block", 1)
        return (model,)


NODE_CLASS_MAPPINGS = {
    "TinyFluxParts": TinyFluxParts,
    "TinyFlux2Parts": TinyFlux2Parts,
    "HashModel": HashModel,
    "FailInside": FailInside,
}


def _read_the_width_from_the_file(detect):
    """0.3.64 takes every FLUX file for one of full width."""

    def detect_with_width(state, prefix, *args, **options):
        config = detect(state, prefix, *args, **options)
        if config and config.get("image_model") == "flux":
            config["hidden_size"], config["context_in_dim"] = state[f"{prefix}txt_in.weight"].shape
            config["num_heads"] = config["hidden_size"] // sum(config["axes_dim"])
        return config

    return detect_with_width


def _load_in_part(load, share):
    """Give every model that is loaded a share of its size: what a small GPU leaves free."""

    def load_in_part(self, lowvram_model_memory=0, force_patch_weights=False):
        budget = share * self.model.model_size() - self.model.loaded_size()
        return load(self, max(0.1, budget), force_patch_weights)

    return load_in_part


comfy.model_detection.detect_unet_config = _read_the_width_from_the_file(
    comfy.model_detection.detect_unet_config
)
if "TINY_VRAM" in os.environ:
    mm.vram_state = mm.VRAMState[os.environ["TINY_VRAM"]]
    shares = {"LOW_VRAM": 0.5, "NO_VRAM": 0.0}
    mm.LoadedModel.model_load = _load_in_part(
        mm.LoadedModel.model_load, shares[os.environ["TINY_VRAM"]]
    )
