"""Pictures and prompts as the base model takes them, by the base model's own encoders."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...generator.flux.architectures import FLUX2, family_of
from ...generator.flux.flux2 import REFERENCE, picture_places, word_places
from ...generator.flux.samplers import FluxSampler, sampler_of
from ...generator.flux.tokens import SIDE
from ...generator.placement import TEXT_ENCODERS, VAE, Placement
from .cache import fingerprint

_PARTS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
WordPlaces = Callable[[int], Tensor]
"""Returns the position ids [L,A] of so many words."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """The encoders of a FLUX pipeline.

    Attributes:
        pipeline: diffusers', of either family.
        placement: brings its parts to the device that computes.
        picture_mark: of what encodes pictures.
        text_mark: of what encodes prompts.
    """

    pipeline: Any
    placement: Placement
    picture_mark: str
    text_mark: str

    @property
    def sampler(self) -> FluxSampler:
        """What the pipeline's family does in its own way."""
        return sampler_of(self.pipeline)

    @torch.no_grad()
    def picture(self, image: Tensor) -> Tensor:
        """Return the packed latent tokens [T,C] of a picture [h,w,3], sRGB, 0…1."""
        self.placement.bring(VAE, 0)
        latent = self.sampler.encode(image, self.placement.device)
        if family_of(self.pipeline.transformer) is FLUX2:
            return latent[0].flatten(1).T.float()
        packed: Tensor = self.pipeline._pack_latents(latent, *latent.shape)
        return packed[0].float()

    @torch.no_grad()
    def prompt(self, text: str) -> dict[str, Tensor]:
        """Return the tokens `text` [L,J] of a prompt and, where the base takes it, `pooled` [P]."""
        self.placement.bring(TEXT_ENCODERS, 0)
        rows = self.sampler.text(text, self.placement.device)
        names = ("text", "pooled")[: len(rows)]
        return {name: row[0] for name, row in zip(names, rows, strict=True)}

    def places(self, size: int) -> Tensor:
        """Return the position ids [2T,A] of a square picture's tokens and of its reference's."""
        side = size // SIDE
        if family_of(self.pipeline.transformer) is FLUX2:
            return torch.cat([picture_places(side, side, one) for one in (0, REFERENCE)])
        own: Tensor = self.pipeline._prepare_latent_image_ids(1, side, side, "cpu", torch.float32)
        reference = own.clone()
        reference[:, 0] = 1  # Kontext tells the reference from the picture by the first number
        return torch.cat([own, reference])

    @property
    def word_places(self) -> WordPlaces:
        """What gives the position ids of a prompt's words."""
        return word_places if family_of(self.pipeline.transformer) is FLUX2 else no_places

    def drop_text_encoders(self) -> None:
        """Give the memory of the text encoders back; all prompts are kept by now."""
        there = [name for name in _PARTS if name in self.pipeline.components]
        self.pipeline.register_modules(**dict.fromkeys(there))


def no_places(count: int) -> Tensor:
    """Return the position ids of FLUX.1's words, [count,3], which have none.

    Example:
        >>> no_places(2).sum()
        tensor(0.)
    """
    return torch.zeros(count, 3)


def encoder_of(pipeline: Any, placement: Placement) -> Encoder:
    """Return the encoders of a pipeline, with marks of the weights that they hold."""
    parts = (getattr(pipeline, name, None) for name in TEXT_ENCODERS)
    texts = [fingerprint(part.state_dict()) for part in parts if part is not None]
    return Encoder(pipeline, placement, fingerprint(pipeline.vae.state_dict()), " ".join(texts))
