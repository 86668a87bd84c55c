"""Folding the adapter's updates of queries and keys into the projections that make them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn


def fold(weight: Tensor, down: Tensor, up: Tensor, scale: float = 1.0) -> Tensor:
    """Return (I + scale·BA) W, or (I + scale·BA) b: a projection with its update inside.

    Computed in float32 at least and rounded once to the weight's own type.

    Args:
        weight: [H,in] weight or [H] bias.
        down: [r,H], A.
        up: [H,r], B.
        scale: alpha / rank, times any further scale.
    """
    kind = torch.promote_types(weight.dtype, torch.float32)
    exact, a, b = (part.to(weight.device, kind) for part in (weight, down, up))
    return (exact + scale * (b @ (a @ exact))).to(weight.dtype)


@contextmanager
def folded(
    projections: Mapping[int, tuple[nn.Linear, nn.Linear]],
    pairs: Mapping[int, tuple[Tensor, Tensor]],
) -> Iterator[None]:
    """Hold updates inside query and key projections for as long as the block runs.

    The weights come back bit for bit, also after an error in the block or in the folding itself:
    the originals are kept, in main memory where the projections lie on another device.

    Args:
        projections: (to_q, to_k) by layer number.
        pairs: as from `BokehAdapter.query_key_pairs`.

    Raises:
        TypeError: weights that are not floating point of at least 16 bits.
    """
    with ExitStack() as restored:  # each is put back, whatever happens to the others
        for index, layers in projections.items():
            down, up = pairs[index]
            for which, linear in enumerate(layers):
                for parameter in linear.parameters():
                    _check_foldable(parameter)
                    update = fold(parameter.data, down[which], up[which])
                    restored.callback(_restore, parameter, parameter.data.to("cpu"))
                    parameter.data = update
        yield


def _restore(parameter: nn.Parameter, original: Tensor) -> None:
    if parameter.device == original.device:
        parameter.data = original
    else:
        parameter.data.copy_(original)  # takes no memory on the device


def _check_foldable(weight: Tensor) -> None:
    if not weight.is_floating_point() or weight.element_size() < 2:
        raise TypeError(
            f"base_model: weights are {weight.dtype}, expected bfloat16, float16 or float32. "
            "Use quantised files through ComfyUI's own loaders."
        )
