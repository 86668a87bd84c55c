"""A tiny FLUX.1-Kontext, its text encoders and its adapter, by the published recipe."""

import contextlib
from unittest import mock

import torch
from golden import fixture, recipe_state

from bokehdepth_core.generator.adapter import adapter_from_state_dict

STAGE1, PICTURES = fixture("stage1_tiny")

FREQUENCIES = 128  # of the embedding of the time, which FLUX has from torch.exp
UP = 12  # of them, the one that was a unit in the last place too high where the numbers were made


@contextlib.contextmanager
def published_exp():
    """Take the frequencies of the embedding of the time that the published numbers were made with.

    Their phase is times 1000, so one unit in the last place of `torch.exp`, by which processors
    differ, changes predictions by up to 5e-5. All are rounded right there but number `UP`: with it
    predictions are within 3e-6 of the published ones, without it 2.9e-5 off.
    """
    original = torch.exp

    def exp(exponent):
        if exponent.shape[-1:] != (FREQUENCIES,) or exponent.dtype != torch.float32:
            return original(exponent)
        found = original(exponent.double()).float()
        found[..., UP] = torch.nextafter(found[..., UP], torch.tensor(torch.inf))
        return found

    with mock.patch.object(torch, "exp", exp):
        yield


def load_transformer(manifest):
    from diffusers import FluxTransformer2DModel

    model = FluxTransformer2DModel(**manifest["config"]["transformer"])
    model.load_state_dict(recipe_state(manifest["parameters"]["transformer"], manifest["seed"]))
    return model.eval().requires_grad_(False)


def load_recipe_adapter(manifest, alpha=None):
    state = recipe_state(manifest["parameters"]["adapter"], manifest["seed"])
    return adapter_from_state_dict(state, alpha=alpha)


def make_pipeline(transformer, text=None):
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxKontextPipeline

    config = STAGE1["config"]
    vae = AutoencoderKL(**config["vae"])
    vae.load_state_dict(recipe_state(STAGE1["parameters"]["vae"], STAGE1["seed"]))
    text = text or dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
    pipeline = FluxKontextPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**config["scheduler"]),
        vae=vae.eval().requires_grad_(False),
        transformer=transformer,
        **text,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_text_encoders():
    """Random CLIP and T5 text encoders, with a word for each word of the prompt."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPTextConfig,
        CLIPTextModel,
        PreTrainedTokenizerFast,
        T5Config,
        T5EncoderModel,
    )

    words = [
        "<pad>",
        "<unk>",
        *dict.fromkeys(["10.00", "20.00", "Set", "dof_cond", "=", "stronger"]),
    ]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()

    def wrapped(length):
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            pad_token="<pad>",
            unk_token="<unk>",
            model_max_length=length,
        )

    torch.manual_seed(0)
    size = len(words)
    clip = CLIPTextConfig(
        vocab_size=size,
        hidden_size=40,
        projection_dim=40,
        intermediate_size=40,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=0,
    )
    t5 = T5Config(
        vocab_size=size, d_model=48, d_ff=48, d_kv=8, num_layers=1, num_heads=2, pad_token_id=0
    )
    return {
        "text_encoder": CLIPTextModel(clip).eval(),
        "tokenizer": wrapped(77),
        "text_encoder_2": T5EncoderModel(t5).eval(),
        "tokenizer_2": wrapped(512),
    }
