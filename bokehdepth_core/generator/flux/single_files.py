"""FLUX.1-Kontext from the files that ComfyUI loads: found, recognised by their keys, converted.

A file holds the transformer alone, or a whole checkpoint. What is missing is looked for among the
files beside it. Scaled 8-bit weights are brought to the wanted type.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...devices import vae_dtype
from ...weights.errors import CheckpointError, listed
from ...weights.reading import StateDict, read_shapes, read_state_dict
from ...weights.scaled import packed_weights, unscaled
from ...weights.strict import build_on_meta, load_strictly
from . import names
from .architectures import FLUX2

# Folders of ComfyUI's models in which the other parts lie, beside that of the transformer.
PART_FOLDERS = ("text_encoders", "clip", "vae")
CLIP_TOKENIZER, T5_TOKENIZER = "openai/clip-vit-large-patch14", "google/t5-v1_1-xxl"
CLIP_TOKENS = 77
# Where several files fit, the published ones are taken, in this order.
PREFERRED = (
    "ae.safetensors",
    "flux_vae.safetensors",
    "clip_l.safetensors",
    "t5xxl_fp16.safetensors",
    "t5xxl_fp8_e4m3fn_scaled.safetensors",
    "t5xxl_fp8_e4m3fn.safetensors",
)
_TITLES = {"clip": "CLIP-L text encoder", "t5": "T5-XXL text encoder", "vae": "VAE of FLUX"}
_LOG = logging.getLogger(__name__)
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Sources:
    """Where the parts of FLUX beside its transformer come from.

    Attributes:
        folders: with files of text encoders and VAE, beside those that the model file's own place
            suggests.
        tokenizers: folders or names on the hub of CLIP's and T5's tokenizers; None looks for them
            near the model file, then takes the hub's.
    """

    folders: Sequence[str | Path] = ()
    tokenizers: tuple[str | Path, str | Path] | None = None


@dataclass(frozen=True)
class _Part:
    """One network in a file: its keys begin with `prefix`."""

    file: Path
    prefix: str

    def state(self, dtype: torch.dtype) -> StateDict:
        found = read_state_dict(self.file)
        own = {
            key.removeprefix(self.prefix): value
            for key, value in found.items()
            if key.startswith(self.prefix)
        }
        return _plain_weights(own, self.file.name, dtype)


def load_single_file(path: Path, dtype: torch.dtype, sources: Sources) -> Any:
    """Return diffusers' `FluxKontextPipeline` of ComfyUI's files.

    Args:
        path: .safetensors file with FLUX's transformer, or with the whole model.
        dtype: of the networks; weights of other types are converted. The VAE is never float16.
        sources: of the other parts.

    Raises:
        CheckpointError: no FLUX, weights of an unknown number format, or parts that do not fit.
        FileNotFoundError: text encoders, VAE or tokenizers that are nowhere.
    """
    import diffusers

    flux: Any = diffusers  # its classes have no types

    parts = find_parts(path, sources.folders)
    clip, t5 = load_tokenizers(path, sources.tokenizers)
    return flux.FluxKontextPipeline(
        scheduler=flux.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=_vae(parts["vae"], vae_dtype(dtype)),
        text_encoder=_clip(parts["clip"], dtype),
        tokenizer=clip,
        text_encoder_2=_t5(parts["t5"], dtype),
        tokenizer_2=t5,
        transformer=_transformer(parts["transformer"], dtype),
    )


# --- finding -------------------------------------------------------------------------------------


def find_parts(path: Path, folders: Sequence[str | Path] = ()) -> dict[str, _Part]:
    """Return the four networks: `transformer`, `clip`, `t5` and `vae`.

    Args:
        path: .safetensors file with FLUX's transformer, or with the whole model.
        folders: to look into after the file itself, its own folder and ComfyUI's folders beside.

    Raises:
        CheckpointError: a file without FLUX's transformer.
        FileNotFoundError: a part that nothing there fits.
        ValueError: a part that several files fit alike.
    """
    if path.suffix != ".safetensors":
        raise CheckpointError(
            f"{path.name}: expected a .safetensors file, found '{path.suffix}'. Such files run "
            "through ComfyUI's loaders: connect model, clip and vae."
        )
    shapes = read_shapes(path)
    prefix = _home(shapes, "double_blocks.0.img_attn.qkv.weight")
    if prefix is None:
        raise CheckpointError(
            f"{path.name}: not FLUX; {len(shapes)} keys, first {listed(list(shapes))}. Choose a "
            "FLUX.1-Kontext model."
        )
    if any(f"{prefix}{mark}.lin.weight" in shapes for mark in FLUX2.marks):
        raise CheckpointError(
            f"{path.name}: connect model, clip and vae, or give a diffusers folder: FLUX.2's files "
            "run through ComfyUI's own loaders alone."
        )
    parts = {"transformer": _Part(path, prefix)}
    looked_in = _folders(path, folders)
    others: list[tuple[Path, Shapes]] | None = None
    for role, test in _tests(shapes, prefix).items():
        found = _fitting([(path, shapes)], test)
        if not found:
            others = list(_readable(looked_in, path)) if others is None else others
            found = _fitting(others, test)
            found = [part for part in found if part.file.parent == path.parent] or found
        parts[role] = _chosen(found, role, path, looked_in)
        _LOG.info("%s: %s from %s", path.name, _TITLES[role], parts[role].file.name)
    return parts


def _fitting(
    files: Sequence[tuple[Path, Shapes]], test: Callable[[Shapes], str | None]
) -> list[_Part]:
    return [_Part(file, home) for file, one in files if (home := test(one)) is not None]


def _tests(shapes: Shapes, prefix: str) -> dict[str, Callable[[Shapes], str | None]]:
    """Return for each part a test of a file's shapes: where in it the part is, or None."""
    pooled = shapes[f"{prefix}vector_in.in_layer.weight"][1]
    text = shapes[f"{prefix}txt_in.weight"][1]
    channels = shapes[f"{prefix}img_in.weight"][1] // 4

    def clip(one: Shapes) -> str | None:
        home = _home(one, key := "text_model.embeddings.token_embedding.weight")
        return home if home is not None and one[home + key][1] == pooled else None

    def t5(one: Shapes) -> str | None:
        home = _home(one, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
        if home is None or one.get(f"{home}shared.weight", (0, 0))[1] != text:
            return None
        # Its relatives for many languages have such a bias in every block.
        second = f"{home}encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"
        return home if second not in one else None

    def vae(one: Shapes) -> str | None:
        home = _home(one, key := "decoder.conv_in.weight")
        is_flux = home is not None and one[home + key][1:] == (channels, 3, 3)
        return home if is_flux and f"{home}encoder.down.0.block.0.conv1.weight" in one else None

    return {"clip": clip, "t5": t5, "vae": vae}


def _home(shapes: Shapes, key: str) -> str | None:
    """Return what comes before a key in a file, or None where the key is not in it."""
    return next((one.removesuffix(key) for one in shapes if _ends(one, key)), None)


def _ends(one: str, key: str) -> bool:
    return one == key or one.endswith("." + key)


def _folders(path: Path, more: Sequence[str | Path]) -> list[Path]:
    beside = [home / name for home in path.parents[:3] for name in PART_FOLDERS]
    return [one for one in (path.parent, *beside, *map(Path, more)) if one.is_dir()]


def _readable(folders: Sequence[Path], known: Path) -> Iterator[tuple[Path, Shapes]]:
    files = {file.resolve(): file for one in folders for file in sorted(one.rglob("*.safetensors"))}
    files.pop(known.resolve(), None)
    for file in files.values():
        try:
            yield file, read_shapes(file)
        except CheckpointError as error:
            _LOG.info("passed over: %s", error)


def _chosen(found: Sequence[_Part], role: str, path: Path, folders: Sequence[Path]) -> _Part:
    if not found:
        places = ", ".join(dict.fromkeys(f"{one.parent.name}/{one.name}" for one in folders))
        raise FileNotFoundError(
            f"base_model: {path.name} holds no {_TITLES[role]}, and no file that fits it lies in "
            f"{places}. Put it into {'vae' if role == 'vae' else 'text_encoders'}."
        )
    preferred = [part for name in PREFERRED for part in found if part.file.name == name]
    if len(found) > 1 and not preferred:
        raise ValueError(
            f"base_model: {len(found)} files fit as the {_TITLES[role]} of {path.name}: "
            f"{listed([part.file.name for part in found])}. Put it beside the model file, alone."
        )
    return (preferred or list(found))[0]


# --- converting ----------------------------------------------------------------------------------


def _plain_weights(state: StateDict, name: str, dtype: torch.dtype) -> StateDict:
    """Return the tensors of one network in one number type; scaled 8 bits are multiplied out."""
    packed = packed_weights(state)
    if packed:
        raise CheckpointError(
            f"{name}: {listed(packed)} in a packed number format that only ComfyUI's own loaders "
            "read. Connect model, clip and vae, or choose a bf16 or fp8 file."
        )
    return {key: value.to(dtype) for key, value in unscaled(state, name, dtype).items()}


def _on_meta(build: Callable[..., nn.Module], config: dict[str, object]) -> nn.Module:
    return build_on_meta(lambda: build(**config))


def _transformer(part: _Part, dtype: torch.dtype) -> nn.Module:
    import diffusers

    build: Any = diffusers.FluxTransformer2DModel  # diffusers has no types
    state, name = part.state(dtype), part.file.name
    config = names.transformer_config(state, name)
    network = _on_meta(build, config)
    load_strictly(network, names.transformer_names(state, name), name, dtype=dtype)
    return network


def _clip(part: _Part, dtype: torch.dtype) -> nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel

    state = part.state(dtype)
    make: Any = CLIPTextConfig  # takes more than its types say
    config = make(**names.clip_config(state))
    network = build_on_meta(lambda: CLIPTextModel(config))
    for module in network.modules():
        if isinstance(getattr(module, "position_ids", None), Tensor):
            module.position_ids = torch.arange(config.max_position_embeddings)[None]
    own = names.clip_names(state, network.state_dict())
    load_strictly(network, own, part.file.name, dtype=dtype)
    return network


def _t5(part: _Part, dtype: torch.dtype) -> nn.Module:
    from transformers import T5Config, T5EncoderModel

    state = part.state(dtype)
    make: Any = T5Config  # takes more than its types say
    config = make(**names.t5_config(state))
    network: Any = build_on_meta(lambda: T5EncoderModel(config))

    def precision(key: str) -> torch.dtype:
        # As transformers does: in float16 this product overflows.
        return torch.float32 if key.endswith(".wo.weight") and dtype == torch.float16 else dtype

    load_strictly(network, names.t5_names(state), part.file.name, dtype=precision)
    network.encoder.embed_tokens.weight = network.shared.weight
    built: nn.Module = network
    return built


def _vae(part: _Part, dtype: torch.dtype) -> nn.Module:
    import diffusers

    build: Any = diffusers.AutoencoderKL  # diffusers has no types
    state = part.state(dtype)
    config = names.vae_config(state)
    network = _on_meta(build, config)
    load_strictly(network, names.vae_names(state, config), part.file.name, dtype=dtype)
    return network


# --- tokenizers ----------------------------------------------------------------------------------


def load_tokenizers(path: Path, given: tuple[str | Path, str | Path] | None) -> tuple[Any, Any]:
    """Return the tokenizers of CLIP and T5.

    Args:
        path: the model file; they are looked for beside it (diffusers' folders) and above it
            (ComfyUI's own).
        given: folders or names on the hub to use instead.

    Raises:
        FileNotFoundError: neither there nor to be had from the hub.
    """
    from transformers import AutoTokenizer

    clip, t5 = given or _tokenizers_near(path) or (CLIP_TOKENIZER, T5_TOKENIZER)
    try:
        return (
            AutoTokenizer.from_pretrained(str(clip), model_max_length=CLIP_TOKENS),
            AutoTokenizer.from_pretrained(str(t5)),
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise FileNotFoundError(
            f"base_model: no tokenizers for {path.name}: {reason} Put the folders tokenizer and "
            "tokenizer_2 of FLUX.1-Kontext-dev beside it."
        ) from error


def _tokenizers_near(path: Path) -> tuple[Path, Path] | None:
    pairs = [(path.parent / "tokenizer", path.parent / "tokenizer_2")]
    pairs += [
        (home / "comfy" / "sd1_tokenizer", home / "comfy" / "text_encoders" / "t5_tokenizer")
        for home in path.parents
    ]
    return next(((clip, t5) for clip, t5 in pairs if clip.is_dir() and t5.is_dir()), None)
