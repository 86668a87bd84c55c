"""Stage 1: a calibrated bokeh stack from one sharp photo."""

from pathlib import Path
from typing import Any

import torch

from ..weights.published import BUILT_IN
from .rendered import RenderedStackGenerator


def load_bokeh_generator(
    adapter: str | Path,
    base_model: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Any:
    """Return a bokeh-stack generator: `RenderedStackGenerator` or `KontextGenerator`.

    Args:
        adapter: adapter file; or "built-in" for frames rendered from a depth map, which needs no
            weights.
        base_model: FLUX.1-Kontext: a folder in diffusers' layout, a file of ComfyUI's, or a
            repository on the Hugging Face hub; not used by the built-in generator.
        device: where the generator works.
        dtype: precision of a network, bfloat16 as published; the built-in generator always works
            in float32.

    Raises:
        FileNotFoundError: no such file or folder.
        CheckpointError: an unusable adapter file.
        ValueError: a base model that the adapter does not fit, or none.
    """
    if str(adapter) == BUILT_IN:
        return RenderedStackGenerator(torch.device(device))
    from .kontext import load_kontext

    return load_kontext(adapter, base_model, device=device, dtype=dtype)
