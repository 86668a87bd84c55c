"""Stage 1: a calibrated bokeh stack from one sharp photo."""

import torch

from ..weights import BUILT_IN
from .builtin import RenderedStackGenerator


def load_bokeh_generator(
    adapter: str,
    base_model: str | None = None,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> RenderedStackGenerator:
    """Return a bokeh-stack generator.

    Args:
        adapter: "built-in" for frames rendered from a depth map, which needs no weights.
        base_model: not used by the built-in generator.
        device: where the generator works.
        dtype: precision of a network; the built-in generator always works in float32.

    Raises:
        ValueError: an unknown adapter.
    """
    if adapter == BUILT_IN:
        return RenderedStackGenerator(torch.device(device))
    raise ValueError(f'adapter: unknown bokeh adapter {adapter!r}. Use "{BUILT_IN}".')
