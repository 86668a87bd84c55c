"""A tiny random FLUX.2 klein on diffusers: transformer, pipeline, text encoder and adapter."""

import torch

from bokehdepth_core.generator.adapter import adapter_from_state_dict

HEAD, HEADS, DOUBLES, SINGLES = 16, 2, 2, 3
WIDTH, TEXT_WIDTH, RANK, CONTEXT = HEAD * HEADS, 24, 4, 12
BASE = "FLUX.2-klein-4B"


def randomized(module, seed=0):
    """Fill a network with random numbers of the usual size, for inference; returns it."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        value = torch.randn(parameter.shape, generator=generator)
        value = value / value[0].numel() ** 0.5 if parameter.ndim > 1 else 0.1 * value
        parameter.data = value + 1 if parameter.ndim == 1 and name.endswith("weight") else value
    return module.eval().requires_grad_(False)


def tiny_transformer(seed=0, **changes):
    from diffusers import Flux2Transformer2DModel

    config = {
        "in_channels": 32,
        "num_layers": DOUBLES,
        "num_single_layers": SINGLES,
        "attention_head_dim": HEAD,
        "num_attention_heads": HEADS,
        "joint_attention_dim": TEXT_WIDTH,
        "axes_dims_rope": (4, 4, 4, 4),
        "guidance_embeds": False,
    }
    return randomized(Flux2Transformer2DModel(**config | changes), seed)


def adapter_state(layers=DOUBLES + SINGLES, width=WIDTH, rank=RANK, context=CONTEXT, seed=3):
    """Tensors of a random bokeh adapter, by their published names."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(shape, generator=generator) / shape[-1] ** 0.5

    state = {
        "embedding_layer.0.weight": random(64, 1),
        "embedding_layer.0.bias": random(64),
        "embedding_layer.2.weight": random(context, 64),
        "embedding_layer.2.bias": random(context),
    }
    sizes = {"k_dof": context, "v_dof": context, "q_adp": width, "k_adp": width}
    for index in range(layers):
        for name, size in sizes.items():
            state[f"adapter_modules.{index}.to_{name}.down.weight"] = random(rank, size)
            state[f"adapter_modules.{index}.to_{name}.up.weight"] = random(width, rank)
    return state


def random_adapter(base=BASE, **sizes):
    return adapter_from_state_dict(adapter_state(**sizes), base=base)


def tiny_text_encoder():
    """A random Qwen 3 with the 28 layers that klein's text is read from, and a tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    words = ["<pad>", "<unk>", "Set", "dof_cond", "=", "10.00", "20.00", "(stronger", "30.00"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=512
    )
    wrapped.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=TEXT_WIDTH // 3,
        intermediate_size=16,
        num_hidden_layers=28,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
        pad_token_id=0,
    )
    return {
        "text_encoder": randomized(Qwen3ForCausalLM(config), 5),
        "tokenizer": wrapped,
    }


def tiny_pipeline(kind="Flux2KleinPipeline", **changes):
    """A whole tiny FLUX.2 klein in diffusers' classes."""
    import diffusers

    vae = diffusers.AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, latent_channels=8, norm_num_groups=4
    )
    vae = randomized(vae, 2)
    vae.bn.running_mean += 0.1
    vae.bn.running_var *= 0.5
    pipeline = getattr(diffusers, kind)(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        transformer=tiny_transformer(**changes),
        **tiny_text_encoder(),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
