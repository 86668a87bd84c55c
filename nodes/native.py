"""Stage 1 on ComfyUI's own FLUX.1-Kontext: one photo, a list of bokeh strengths, its sampler.

The photo goes in as a Kontext reference latent, every strength starts from the same noise with its
own prompt and its own strength vector, and all of them share one batch where memory allows.
"""

import math

import torch
from torch import Tensor

BASE_SHIFT, MAX_SHIFT = 0.5, 1.15  # FLUX.1's schedule: shift at 256 and at 4096 image tokens
BASE_TOKENS, MAX_TOKENS = 256, 4096


def flux_sigmas(steps: int, tokens: int) -> Tensor:
    """Return FLUX.1's noise levels for a picture, falling from 1 to 0.

    ComfyUI's own schedule has the shift of a 4096-token picture at every size; the published one
    grows linearly with the number of image tokens.

    Args:
        steps: number of sampling steps, >= 1.
        tokens: image tokens, without the reference's: height/16 · width/16.

    Returns:
        [steps+1], float32.
    """
    slope = (MAX_SHIFT - BASE_SHIFT) / (MAX_TOKENS - BASE_TOKENS)
    shift = math.exp(BASE_SHIFT + slope * (tokens - BASE_TOKENS))
    uniform = torch.linspace(1.0, 1.0 / steps, steps, dtype=torch.float64)
    shifted = shift / (shift + 1 / uniform - 1)
    return torch.cat([shifted, shifted.new_zeros(1)]).float()
