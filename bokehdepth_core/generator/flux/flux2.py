"""FLUX.2 on diffusers: its latents, its tokens and their places, its steps.

The VAE's 32 channels at an eighth of the picture's sides are folded 2 x 2 into 128 at a sixteenth,
and normalised by the running mean and variance that the VAE carries. A token is one such latent;
its place is (picture, row, column, word): the frame is picture 0, the photo picture 10.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from ..prompts import PROMPT_TOKENS
from .architectures import FLUX2
from .latents import end_of_path
from .schedule import Course, noise_levels
from .tokens import SIDE

REFERENCE = 10  # number of the reference picture, as trained


@dataclass(frozen=True, eq=False)
class Flux2Sampler:
    """FLUX.2 dev or klein of diffusers' `Flux2Pipeline` or `Flux2KleinPipeline`.

    Attributes:
        pipeline: diffusers'.
    """

    pipeline: Any
    # As `Flux1Sampler`'s, by the widths of what a single block makes: 9 H here, 7 H there. An
    # estimate; it has not been measured.
    numbers_per_token: int = 26

    def needs_plain_text(self, guidance: float) -> bool:
        """Tell whether a second call, of a text without words, gives the guidance."""
        distilled = getattr(self.pipeline.config, "is_distilled", False)
        embeds = self.pipeline.transformer.config.guidance_embeds
        return guidance > 1 and not embeds and not distilled

    def text(self, prompt: str, device: torch.device) -> tuple[Tensor, ...]:
        """Return the tokens of a prompt, [1,L,J]."""
        embeds, _ = self.pipeline.encode_prompt(
            prompt, device=device, max_sequence_length=PROMPT_TOKENS
        )
        return (embeds.cpu(),)

    def encode(self, image: Tensor, device: torch.device) -> Tensor:
        """Return the latent of a photo, [1,4C,h/16,w/16], normalised."""
        vae = self.pipeline.vae
        planes = (2 * image.movedim(-1, 0)[None] - 1).to(device, vae.dtype)
        latent = pixel_unshuffle(vae.encode(planes).latent_dist.mode(), 2)
        mean, spread = _statistics(vae)
        normalised: Tensor = (latent - mean.to(latent)) / spread.to(latent)
        return normalised.cpu()

    def decode(self, latent: Tensor, device: torch.device) -> Tensor:
        """Return the pictures of latents [n,4C,h/16,w/16]."""
        vae = self.pipeline.vae
        latent = latent.to(device, vae.dtype)
        mean, spread = _statistics(vae)
        planes = pixel_shuffle(latent * spread.to(latent) + mean.to(latent), 2)
        picture: Tensor = vae.decode(planes, return_dict=False)[0]
        return (picture.float().cpu() / 2 + 0.5).clamp(0, 1).movedim(1, -1)

    def noise(self, height: int, width: int, seed: int) -> Tensor:
        """Return the noise, [1,T,4C], float32, as ComfyUI draws it for the same seed."""
        channels = self.pipeline.transformer.config.in_channels
        generator = torch.Generator("cpu").manual_seed(seed)
        noise = torch.randn((1, channels, height // SIDE, width // SIDE), generator=generator)
        return noise.flatten(2).transpose(1, 2)

    def denoise(
        self,
        reference: Tensor,
        noise: Tensor,
        texts: tuple[Tensor, ...],
        plain: tuple[Tensor, ...] | None,
        course: Course,
        device: torch.device,
        after_step: Callable[[int, Callable[[], Tensor]], None],
    ) -> Tensor:
        """Return latents [n,4C,h/16,w/16]; see `FluxSampler`. Steps are Euler's, in float32."""
        size = (int(reference.shape[-2]), int(reference.shape[-1]))
        levels: Sequence[float] | None = course.levels
        if levels is None:
            levels = noise_levels(FLUX2, course.steps, size[0] * size[1]).tolist()
        velocity = self._velocity(reference, texts, plain, course.guidance, device)
        latents = noise.to(device, torch.float32)

        def unpacked(tokens: Tensor) -> Tensor:
            return tokens.transpose(1, 2).reshape(len(tokens), -1, *size)

        for step, (level, following) in enumerate(pairwise(levels)):
            before, latents = latents, latents + (following - level) * velocity(latents, level)
            pair = torch.tensor([level, following])

            def denoised(a: Tensor = before, b: Tensor = latents, at: Tensor = pair) -> Tensor:
                return unpacked(end_of_path(a, b, at))

            after_step(step, denoised)
        return unpacked(latents).cpu()

    def _velocity(
        self,
        reference: Tensor,
        texts: tuple[Tensor, ...],
        plain: tuple[Tensor, ...] | None,
        guidance: float,
        device: torch.device,
    ) -> Callable[[Tensor, float], Tensor]:
        """Return what gives the velocity [n,T,4C], float32, of latents at a noise level."""
        network = self.pipeline.transformer
        rows, columns = reference.shape[-2:]
        count = len(texts[0])
        photo = reference.flatten(2).transpose(1, 2).expand(count, -1, -1).to(device, network.dtype)
        places = torch.cat([picture_places(rows, columns, one) for one in (0, REFERENCE)]).to(
            device
        )

        def predicted(latents: Tensor, level: float, words: Tensor) -> Tensor:
            tokens = torch.cat([latents.to(network.dtype), photo], dim=1)
            number = None
            if network.config.guidance_embeds:
                number = torch.full((count,), guidance, device=device)
            found: Tensor = network(
                hidden_states=tokens,
                timestep=torch.full((count,), level, device=device),
                guidance=number,
                encoder_hidden_states=words,
                txt_ids=word_places(words.shape[1]).to(device),
                img_ids=places,
                return_dict=False,
            )[0]
            return found[:, : latents.shape[1]].float()

        words = texts[0].to(device, network.dtype)
        without = None if plain is None else plain[0].expand(count, -1, -1).to(words)

        def velocity(latents: Tensor, level: float) -> Tensor:
            found = predicted(latents, level, words)
            if without is None:
                return found
            bare = predicted(latents, level, without)
            return bare + guidance * (found - bare)

        return velocity


def _statistics(vae: Any) -> tuple[Tensor, Tensor]:
    """Return mean and spread of the VAE's folded latents, [1,4C,1,1]."""
    mean, variance = (one.view(1, -1, 1, 1) for one in (vae.bn.running_mean, vae.bn.running_var))
    return mean, torch.sqrt(variance + vae.config.batch_norm_eps)


def picture_places(rows: int, columns: int, picture: int) -> Tensor:
    """Return the places of a picture's tokens, [rows·columns,4]."""
    grid = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).view(-1, 2)
    ends = torch.zeros(len(grid), 1, dtype=grid.dtype)
    return torch.cat([ends + picture, grid, ends], dim=1)


def word_places(count: int) -> Tensor:
    """Return the places of the words of a text, [count,4]."""
    places = torch.zeros(count, 4, dtype=torch.long)
    places[:, 3] = torch.arange(count)
    return places
