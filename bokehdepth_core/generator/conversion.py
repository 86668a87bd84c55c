"""Bokeh adapters as safetensors, with what their tensors do not tell in the metadata."""

from pathlib import Path

from ..weights.reading import read_state_dict, write_safetensors
from .adapter import ALPHA_KEY, BASE_KEY, LORA_SCALE_KEY, QUERY_ONLY_KEY, load_adapter


def convert_adapter(
    source: Path,
    target: Path,
    alpha: float | None = None,
    lora_scale: float | None = None,
    query_only: bool | None = None,
    base: str | None = None,
) -> str:
    """Write a bokeh adapter as .safetensors that needs no options; return what was written.

    Names and number types stay. An alpha that is given is stored; alphas in the file stay there.

    Args:
        source: the adapter.
        target: the file to write.
        alpha: as in `load_adapter`, like the two that follow.
        lora_scale: …
        query_only: …
        base: …

    Raises:
        FileNotFoundError: no such adapter.
        CheckpointError: a file that is no whole adapter.
        ValueError: an unusable option.
    """
    adapter = load_adapter(source, alpha, lora_scale=lora_scale, query_only=query_only, base=base)
    metadata = {"format": "pt", "network": "BokehAdapter", "source": source.name}
    metadata[BASE_KEY] = adapter.base.name
    metadata[LORA_SCALE_KEY] = f"{adapter.lora_scale:g}"
    metadata[QUERY_ONLY_KEY] = "true" if adapter.query_only else "false"
    if adapter.given_alpha is not None:
        metadata[ALPHA_KEY] = f"{adapter.given_alpha:g}"
    state = {key: value.clone() for key, value in read_state_dict(source).items()}
    write_safetensors(target, state, metadata)
    return "BokehAdapter"
