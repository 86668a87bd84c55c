"""The transformers that a bokeh adapter may be made for: where it attaches to each, as data.

A family is a network class with its names, in diffusers and in ComfyUI; a base is one published
size of a family. All of them are double blocks, with an image and a text stream, and after those
single blocks, with one stream for both. H is the width of a stream.
"""

from dataclasses import dataclass
from typing import Any

from ...weights.errors import CheckpointError


@dataclass(frozen=True)
class Rows:
    """H output rows of a linear layer: those from number `part`·H on.

    Attributes:
        layer: name of the layer inside its block.
        part: 0 for the first H rows, 1 for the next H.
    """

    layer: str
    part: int = 0


@dataclass(frozen=True)
class Attention:
    """Where the adapter acts in the attention of one kind of block.

    Attributes:
        query: what makes the queries of the image stream.
        key: what makes its keys.
        outputs: output projections inside the block; the strength's vector is added to the first H
            columns of what each receives.
    """

    query: Rows
    key: Rows
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Blocks:
    """The blocks of a network class.

    Attributes:
        doubles: name of the list of double blocks.
        singles: name of the list of single blocks.
        width: name of the number H.
        double: the attention of a double block; its outputs are of the image and the text stream.
        single: the attention of a single block.
    """

    doubles: str
    singles: str
    width: str
    double: Attention
    single: Attention

    def counts(self, network: Any) -> tuple[int, int]:
        """Return how many double and single blocks a network has."""
        return len(getattr(network, self.doubles)), len(getattr(network, self.singles))

    def attention(self, doubles: int, singles: int) -> list[Attention]:
        """Return the attention layers by their full names, in the adapter's order."""
        return [
            _inside(f"{blocks}.{index}", one)
            for blocks, one, count in (
                (self.doubles, self.double, doubles),
                (self.singles, self.single, singles),
            )
            for index in range(count)
        ]


@dataclass(frozen=True)
class Family:
    """A network class.

    Attributes:
        name: of the family.
        marks: parts that a network of this family alone has, in diffusers or in ComfyUI.
        diffusers: its blocks in diffusers' class.
        comfyui: its blocks in ComfyUI's class.
        latent_channels: of the latents that ComfyUI's network takes and its VAE makes.
        latent_side: px that one such latent covers.
        pooled_text: True where a pooled text goes in beside the tokens.
        vae: file of its VAE, as published for ComfyUI.
        text_loader: ComfyUI's node and type for its text encoders.
    """

    name: str
    marks: tuple[str, ...]
    diffusers: Blocks
    comfyui: Blocks
    latent_channels: int
    latent_side: int
    pooled_text: bool
    vae: str
    text_loader: str


@dataclass(frozen=True)
class Base:
    """A published transformer.

    Attributes:
        name: as adapter files give it.
        repository: on the Hugging Face hub.
        licence: of its weights, which binds what is trained on it.
        family: its class.
        width: H.
        doubles: double blocks.
        singles: single blocks.
        text_width: channels of a text token that goes in.
        text_encoders: that make the texts, in words.
        guidance_embeds: True where guidance is a number that goes in; else a second call without
            the prompt gives it (classifier-free guidance).
        steps: sampling steps as published, for an adapter where one is published for it.
        guidance: as published, likewise.
        distilled_steps: of the step-distilled weights of the same shape, sampled at guidance 1;
            None where there are none.
    """

    name: str
    repository: str
    licence: str
    family: Family
    width: int
    doubles: int
    singles: int
    text_width: int
    text_encoders: str
    guidance_embeds: bool
    steps: int
    guidance: float
    distilled_steps: int | None = None

    @property
    def layers(self) -> int:
        """Attention layers."""
        return self.doubles + self.singles

    @property
    def title(self) -> str:
        """What to ask a user for: the repository's own name."""
        return self.repository.partition("/")[2]


# --- the table -----------------------------------------------------------------------------------

_COMFYUI = Blocks(  # one class for both families; its first 2H rows are query and key
    "double_blocks",
    "single_blocks",
    "hidden_size",
    Attention(Rows("img_attn.qkv", 0), Rows("img_attn.qkv", 1), ("img_attn.proj", "txt_attn.proj")),
    Attention(Rows("linear1", 0), Rows("linear1", 1), ("linear2",)),
)
_DIFFUSERS_DOUBLE = Attention(
    Rows("attn.to_q"), Rows("attn.to_k"), ("attn.to_out.0", "attn.to_add_out")
)
FLUX1 = Family(
    "FLUX.1",
    ("vector_in", "time_text_embed"),
    Blocks(
        "transformer_blocks",
        "single_transformer_blocks",
        "inner_dim",
        _DIFFUSERS_DOUBLE,
        Attention(Rows("attn.to_q"), Rows("attn.to_k"), ("proj_out",)),
    ),
    _COMFYUI,
    latent_channels=16,
    latent_side=8,
    pooled_text=True,
    vae="ae.safetensors",
    text_loader="DualCLIPLoader, type flux",
)
_FUSED = "attn.to_qkv_mlp_proj"  # query, key, value and the MLP's input, one above the other
FLUX2 = Family(
    "FLUX.2",
    ("double_stream_modulation_img",),
    Blocks(
        "transformer_blocks",
        "single_transformer_blocks",
        "inner_dim",
        _DIFFUSERS_DOUBLE,
        Attention(Rows(_FUSED, 0), Rows(_FUSED, 1), ("attn.to_out",)),
    ),
    _COMFYUI,
    latent_channels=128,
    latent_side=16,
    pooled_text=False,
    vae="flux2-vae.safetensors",
    text_loader="CLIPLoader, type flux2",
)
FAMILIES = (FLUX1, FLUX2)

_NON_COMMERCIAL = "FLUX Non-Commercial"
KONTEXT = Base(
    "FLUX.1-Kontext",
    "black-forest-labs/FLUX.1-Kontext-dev",
    "FLUX.1 [dev] Non-Commercial",
    FLUX1,
    width=3072,
    doubles=19,
    singles=38,
    text_width=4096,
    text_encoders="T5-XXL and CLIP-L",
    guidance_embeds=True,
    steps=50,
    guidance=7.0,
)
BASES = (
    KONTEXT,
    Base(
        "FLUX.2-dev",
        "black-forest-labs/FLUX.2-dev",
        _NON_COMMERCIAL,
        FLUX2,
        width=6144,
        doubles=8,
        singles=48,
        text_width=15360,
        text_encoders="Mistral 3 24B",
        guidance_embeds=True,
        steps=50,
        guidance=4.0,
    ),
    Base(
        "FLUX.2-klein-4B",
        "black-forest-labs/FLUX.2-klein-4B",
        "Apache-2.0",
        FLUX2,
        width=3072,
        doubles=5,
        singles=20,
        text_width=7680,
        text_encoders="Qwen 3 4B",
        guidance_embeds=False,
        steps=50,
        guidance=4.0,
        distilled_steps=4,
    ),
    Base(
        "FLUX.2-klein-9B",
        "black-forest-labs/FLUX.2-klein-9B",
        _NON_COMMERCIAL,
        FLUX2,
        width=4096,
        doubles=8,
        singles=24,
        text_width=12288,
        text_encoders="Qwen 3 8B",
        guidance_embeds=False,
        steps=50,
        guidance=4.0,
        distilled_steps=4,
    ),
)


# --- reading it ----------------------------------------------------------------------------------


def base_named(name: str) -> Base:
    """Return a base of the table, whatever the case of its letters.

    Raises:
        ValueError: no such base.

    Example:
        >>> base_named("flux.2-KLEIN-4b").width
        3072
    """
    for base in BASES:
        if base.name.lower() == name.strip().lower():
            return base
    known = ", ".join(base.name for base in BASES)
    raise ValueError(f"base: use one of {known}: found '{name[:40]}'.")


def base_of_size(layers: int, width: int) -> Base | None:
    """Return the base with so many attention layers of such a width, None where none has.

    Example:
        >>> base_of_size(57, 3072).name
        'FLUX.1-Kontext'
    """
    return next((one for one in BASES if (one.layers, one.width) == (layers, width)), None)


def family_of(network: Any) -> Family | None:
    """Return the family of a transformer of diffusers or ComfyUI, None for other networks."""
    for family in FAMILIES:
        if any(getattr(network, mark, None) is not None for mark in family.marks):
            return family
    return None


def stated_base(stated: str | None, layers: int, width: int, name: str) -> Base:
    """Return the base of an adapter file: the one it states, else FLUX.1-Kontext.

    Args:
        stated: what the file or the user says; None where nobody does.
        layers: attention layers of the adapter.
        width: H that the adapter was made for.
        name: the file's, for messages.

    Raises:
        CheckpointError: an unknown base, or one that sizes of another published base contradict.
    """
    try:
        base = KONTEXT if stated is None else base_named(stated)
    except ValueError as error:
        raise CheckpointError(f"{name}: {error} Give it with --base.") from None
    by_size = base_of_size(layers, width)
    if by_size in (None, base):
        return base
    if stated is None:
        raise CheckpointError(
            f"{name}: state its base: weights convert --base {by_size.name}. It has {layers} "
            f"layers of width {width}, {base.name} has {base.layers} of {base.width}."
        )
    raise CheckpointError(
        f"{name}: made for {by_size.name}, not {base.name}: {layers} layers of width {width}. "
        f"Use --base {by_size.name}."
    )


def check_base(
    base: Base, layers: int, width: int, network: Any, blocks: Blocks, asks: str, found: str
) -> None:
    """Check that a transformer is one that an adapter was made for.

    Args:
        base: of the adapter.
        layers: attention layers of the adapter.
        width: H that the adapter was made for.
        network: the transformer, diffusers' or ComfyUI's.
        blocks: of the base's family, in the class that the transformer is of.
        asks: begins the message: the input and what to do with it, as "model: load".
        found: names the transformer in the message.

    Raises:
        ValueError: another family, another base or other sizes.
    """
    family = family_of(network)
    # By name: a host may hold this package twice, as two modules with classes of their own.
    if family is None or family.name != base.family.name:
        found = found if family is None else f"a {family.name}, {found}"
        raise ValueError(f"{asks} {base.title}, for which the bokeh adapter is: found {found}.")
    count, found_width = sum(blocks.counts(network)), getattr(network, blocks.width)
    known = base_of_size(count, found_width)
    if known is not None and known.name != base.name:
        raise ValueError(
            f"{asks} {base.title}, for which the bokeh adapter is: found {known.title}."
        )
    if (layers, width) != (count, found_width):
        raise ValueError(
            f"{asks} {base.title}: the bokeh adapter is made for {layers} attention layers of "
            f"width {width}, found {found} with {count} of width {found_width}."
        )


def _inside(block: str, one: Attention) -> Attention:
    query, key = (Rows(f"{block}.{rows.layer}", rows.part) for rows in (one.query, one.key))
    return Attention(query, key, tuple(f"{block}.{name}" for name in one.outputs))
