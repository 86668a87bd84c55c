"""Sampling with diffusers' pipelines: what the two families do in their own way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..prompts import PROMPT_TOKENS
from .architectures import FLUX2, family_of
from .flux2 import Flux2Sampler
from .latents import decoded, encoded, end_of_path, packed_noise
from .schedule import Course

Denoised = Callable[[], Tensor]
"""Returns what the frames of a batch look like so far: latents [n,C,h,w], as their family's."""
AfterStep = Callable[[int, Denoised], None]


class FluxSampler(Protocol):
    """What a family does in its own way; the pipeline's parts are on the device when needed."""

    @property
    def numbers_per_token(self) -> int:
        """Memory beside the weights: numbers for each token of a sample and channel of width."""

    def needs_plain_text(self, guidance: float) -> bool:
        """Tell whether a second call, of a text without words, gives the guidance."""

    def text(self, prompt: str, device: torch.device) -> tuple[Tensor, ...]:
        """Return what the text encoders make of a prompt, on the CPU, one row each."""

    def encode(self, image: Tensor, device: torch.device) -> Tensor:
        """Return the latent of a photo [h,w,3], 0…1, on the CPU."""

    def decode(self, latent: Tensor, device: torch.device) -> Tensor:
        """Return the pictures [n,h,w,3], float32, 0…1, of latents, on the CPU."""

    def noise(self, height: int, width: int, seed: int) -> Tensor:
        """Return the noise that every strength starts from, [1,T,C], drawn in float32."""

    def denoise(
        self,
        reference: Tensor,
        noise: Tensor,
        texts: tuple[Tensor, ...],
        plain: tuple[Tensor, ...] | None,
        course: Course,
        device: torch.device,
        after_step: AfterStep,
    ) -> Tensor:
        """Return latents of n frames, on the CPU.

        Args:
            reference: the photo's latent.
            noise: [n,T,C].
            texts: rows of `text`, n of them.
            plain: one row of the text without words, where the guidance needs it.
            course: how it is sampled.
            device: that computes.
            after_step: called after each step.
        """


def sampler_of(pipeline: Any) -> FluxSampler:
    """Return the sampler of a diffusers pipeline."""
    if family_of(pipeline.transformer) is FLUX2:
        return Flux2Sampler(pipeline)
    return Flux1Sampler(pipeline)


@dataclass(frozen=True, eq=False)
class Flux1Sampler:
    """FLUX.1-Kontext through diffusers' `FluxKontextPipeline`.

    Attributes:
        pipeline: diffusers'.
    """

    pipeline: Any
    # Measured on the CPU: 17.4; a sixth more for what a device's libraries take.
    numbers_per_token: int = 20

    def needs_plain_text(self, guidance: float) -> bool:
        """Tell that guidance goes in as a number, whatever it is."""
        return False

    def text(self, prompt: str, device: torch.device) -> tuple[Tensor, ...]:
        """Return the tokens [1,L,J] and the pooled text [1,P] of a prompt."""
        embeds, pooled, _ = self.pipeline.encode_prompt(
            prompt, None, device=device, max_sequence_length=PROMPT_TOKENS
        )
        return embeds.cpu(), pooled.cpu()

    def encode(self, image: Tensor, device: torch.device) -> Tensor:
        """Return the latent of a photo, [1,C,h/8,w/8]."""
        return encoded(self.pipeline.vae, image, device)

    def decode(self, latent: Tensor, device: torch.device) -> Tensor:
        """Return the pictures of latents [n,C,h/8,w/8]."""
        return decoded(self.pipeline.vae, latent, device)

    def noise(self, height: int, width: int, seed: int) -> Tensor:
        """Return the noise, in the transformer's number type."""
        return packed_noise(self.pipeline, height, width, seed)

    def denoise(
        self,
        reference: Tensor,
        noise: Tensor,
        texts: tuple[Tensor, ...],
        plain: tuple[Tensor, ...] | None,
        course: Course,
        device: torch.device,
        after_step: AfterStep,
    ) -> Tensor:
        """Return latents [n,C,h/8,w/8]; see `FluxSampler`."""
        sampler = self._without_other_parts(course.levels)
        scale = sampler.vae_scale_factor
        height, width = (side * scale for side in reference.shape[-2:])
        before = [noise.to(device)]

        def unpacked(latents: Tensor) -> Tensor:
            planes: Tensor = sampler._unpack_latents(latents, height, width, scale)
            return planes

        def on_step_end(_: Any, step: int, __: Any, kept: dict[str, Any]) -> dict[str, Any]:
            last, latents = before.pop(), kept["latents"]
            before.append(latents)
            sigmas = sampler.scheduler.sigmas
            after_step(step, lambda: unpacked(end_of_path(last, latents, sigmas[step : step + 2])))
            return kept

        embeds, pooled = texts
        chosen = {} if course.levels is None else {"sigmas": list(course.levels[:-1])}
        out = sampler(
            image=reference.to(device),  # latents are taken as they are
            prompt_embeds=embeds.to(device),
            pooled_prompt_embeds=pooled.to(device),
            latents=before[0],
            height=height,
            width=width,
            max_area=height * width,
            num_inference_steps=course.steps,
            guidance_scale=course.guidance,
            callback_on_step_end=on_step_end,
            output_type="latent",
            **chosen,
        )
        return unpacked(out.images).cpu()

    def _without_other_parts(self, levels: Sequence[float] | None) -> Any:
        """Return the pipeline with nothing but the transformer, the only part on the device."""
        absent = ("vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
        scheduler = self.pipeline.scheduler
        if levels is not None:  # taken as they are, without the picture's shift
            scheduler = type(scheduler)(shift=1.0, use_dynamic_shifting=False)
        sampler = type(self.pipeline)(
            scheduler=scheduler,
            transformer=self.pipeline.transformer,
            **dict.fromkeys(absent),
        )
        sampler.vae_scale_factor = self.pipeline.vae_scale_factor
        sampler.latent_channels = self.pipeline.latent_channels
        sampler.set_progress_bar_config(disable=True)
        return sampler
