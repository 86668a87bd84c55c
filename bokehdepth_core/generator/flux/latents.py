"""FLUX's latents: from a photo and back through the VAE, the noise, and where sampling is heading.

FLUX moves from noise to a picture on nearly straight paths (rectified flow), in the space of its
VAE: C channels at an eighth of the picture's sides, shifted and scaled to a spread of about 1.
"""

from typing import Any

import torch
from torch import Tensor

from .tokens import SIDE


def encoded(vae: Any, image: Tensor, device: torch.device) -> Tensor:
    """Return the latent of a photo, [1,C,h/8,w/8], on the CPU: the mode of the VAE's posterior.

    Args:
        vae: diffusers' `AutoencoderKL`, on `device`.
        image: [h,w,3], sRGB, 0…1; both sides multiples of 16 px.
        device: that computes.
    """
    planes = (2 * image.movedim(-1, 0)[None] - 1).to(device, vae.dtype)
    latent = vae.encode(planes).latent_dist.mode()
    scaled: Tensor = (latent - vae.config.shift_factor) * vae.config.scaling_factor
    return scaled.cpu()


def decoded(vae: Any, latent: Tensor, device: torch.device) -> Tensor:
    """Return the pictures [n,h,w,3], float32, 0…1, of latents [n,C,h/8,w/8], on the CPU.

    Args:
        vae: diffusers' `AutoencoderKL`, on `device`.
        latent: as from `encoded`.
        device: that computes.
    """
    latent = latent.to(device, vae.dtype)
    latent = latent / vae.config.scaling_factor + vae.config.shift_factor
    picture: Tensor = vae.decode(latent, return_dict=False)[0]
    return (picture.float().cpu() / 2 + 0.5).clamp(0, 1).movedim(1, -1)


def packed_noise(pipeline: Any, height: int, width: int, seed: int) -> Tensor:
    """Return the noise that every strength starts from, [1,T,C], in the transformer's number type.

    Args:
        pipeline: diffusers' `FluxKontextPipeline`.
        height: of the picture, px, a multiple of 16.
        width: of the picture, px, a multiple of 16.
        seed: of the noise.
    """
    network = pipeline.transformer
    channels = network.config.in_channels // 4
    rows, columns = height // SIDE * 2, width // SIDE * 2
    generator = torch.Generator("cpu").manual_seed(seed)
    # In float32 whatever the networks run in: some versions draw other numbers in bfloat16.
    noise = torch.randn((1, channels, rows, columns), generator=generator)
    packed: Tensor = pipeline._pack_latents(noise, 1, channels, rows, columns)
    return packed.to(network.dtype)


def end_of_path(before: Tensor, after: Tensor, sigmas: Tensor) -> Tensor:
    """Return where a straight path through two noise levels ends, at no noise.

    Args:
        before: latents at the first level.
        after: latents at the second.
        sigmas: [2], the levels, falling.

    Reference:
        Liu et al., Flow straight and fast, ICLR 2023: x = (1 − σ) x₀ + σ ε.

    Example:
        >>> end_of_path(torch.tensor([3.0]), torch.tensor([2.0]), torch.tensor([1.0, 0.5]))
        tensor([1.])
    """
    start, end = sigmas.tolist()
    share: float = end / (start - end)
    return after + (after - before) * share
