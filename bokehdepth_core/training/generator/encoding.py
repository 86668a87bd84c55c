"""Pictures and prompts as the base model takes them, by the base model's own encoders."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...generator.flux.latents import encoded
from ...generator.placement import TEXT_ENCODERS, VAE, Placement
from ...generator.prompts import PROMPT_TOKENS
from .cache import fingerprint

_PARTS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")


@dataclass(frozen=True, eq=False)
class Encoder:
    """The encoders of a FLUX pipeline.

    Attributes:
        pipeline: diffusers' `FluxKontextPipeline`.
        placement: brings its parts to the device that computes.
        picture_mark: of what encodes pictures.
        text_mark: of what encodes prompts.
    """

    pipeline: Any
    placement: Placement
    picture_mark: str
    text_mark: str

    @torch.no_grad()
    def picture(self, image: Tensor) -> Tensor:
        """Return the packed latent tokens [T,C] of a picture [h,w,3], sRGB, 0…1."""
        self.placement.bring(VAE, 0)
        latent = encoded(self.pipeline.vae, image, self.placement.device)
        packed: Tensor = self.pipeline._pack_latents(latent, *latent.shape)
        return packed[0].float().cpu()

    @torch.no_grad()
    def prompt(self, text: str) -> dict[str, Tensor]:
        """Return the tokens `text` [L,J] and `pooled` [P] of a prompt."""
        self.placement.bring(TEXT_ENCODERS, 0)
        embeds, pooled, _ = self.pipeline.encode_prompt(
            text, None, device=self.placement.device, max_sequence_length=PROMPT_TOKENS
        )
        return {"text": embeds[0].cpu(), "pooled": pooled[0].cpu()}

    def drop_text_encoders(self) -> None:
        """Give the memory of the text encoders back; all prompts are kept by now."""
        self.pipeline.register_modules(**dict.fromkeys(_PARTS))


def encoder_of(pipeline: Any, placement: Placement) -> Encoder:
    """Return the encoders of a pipeline, with marks of the weights that they hold."""
    texts = [fingerprint(getattr(pipeline, name).state_dict()) for name in TEXT_ENCODERS]
    return Encoder(pipeline, placement, fingerprint(pipeline.vae.state_dict()), " ".join(texts))


def places(pipeline: Any, size: int) -> Tensor:
    """Return the position ids [2T,3] of a square picture's tokens and of its reference's."""
    side = size // (2 * pipeline.vae_scale_factor)
    own: Tensor = pipeline._prepare_latent_image_ids(1, side, side, "cpu", torch.float32)
    reference = own.clone()
    reference[:, 0] = 1  # Kontext tells the reference from the picture by the first number
    return torch.cat([own, reference])
