"""Stage 1: a calibrated bokeh stack from one sharp photo."""

from pathlib import Path

import torch

from ..weights.published import BUILT_IN
from .protocol import BokehGenerator
from .rendered import RenderedStackGenerator

__all__ = ["BokehGenerator", "load_bokeh_generator"]


def load_bokeh_generator(
    adapter: str | Path,
    base_model: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    alpha: float | None = None,
    lora_scale: float | None = None,
    query_only: bool | None = None,
) -> BokehGenerator:
    """Return a bokeh-stack generator: `RenderedStackGenerator` or `FluxGenerator`.

    Args:
        adapter: adapter file; or "built-in" for frames rendered from a depth map, which needs no
            weights.
        base_model: FLUX.1-Kontext: a folder in diffusers' layout, a file of ComfyUI's, or a
            repository on the Hugging Face hub; not used by the built-in generator.
        device: where the generator works.
        dtype: precision of a network, bfloat16 as published; the built-in generator always works
            in float32.
        alpha: of a retrained adapter, see `load_adapter`, like the two that follow; the built-in
            generator takes none of them.
        lora_scale: factor of the queries' and keys' updates that it was trained with.
        query_only: True leaves the keys as they are.

    Raises:
        FileNotFoundError: no such file or folder.
        CheckpointError: an unusable adapter file.
        ValueError: a base model that the adapter does not fit, or none.

    Reference:
        arXiv 2512.12425, stage 1: the adapter. Black Forest Labs, "FLUX.1 Kontext", arXiv
        2506.15742: the base model.

    Example:
        >>> from bokehdepth_core import DepthMap
        >>> photo = torch.rand(24, 32, 3)
        >>> depth = DepthMap(torch.linspace(1, 4, 32).expand(1, 24, 32))
        >>> stack = load_bokeh_generator("built-in").generate(photo, [2.0, 4.0], depth=depth)
        >>> stack.frames.shape
        torch.Size([2, 24, 32, 3])
    """
    if str(adapter) == BUILT_IN:
        return RenderedStackGenerator(torch.device(device))
    from .flux_generator import load_flux_generator

    return load_flux_generator(
        adapter,
        base_model,
        device=device,
        dtype=dtype,
        alpha=alpha,
        lora_scale=lora_scale,
        query_only=query_only,
    )
