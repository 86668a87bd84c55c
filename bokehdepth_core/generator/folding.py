"""Folding the adapter's updates of queries and keys into the projections that make them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

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


@dataclass(frozen=True, eq=False)
class Slice:
    """Output rows of a linear layer that make queries, or keys.

    Attributes:
        linear: the layer.
        first: number of the first row; `down` of the update tells how many there are.
    """

    linear: nn.Linear
    first: int = 0


@contextmanager
def folded(
    projections: Mapping[int, tuple[Slice, Slice]],
    pairs: Mapping[int, tuple[Tensor, Tensor]],
) -> Iterator[None]:
    """Hold updates inside query and key projections for as long as the block runs.

    The weights come back bit for bit, also after an error in the block or in the folding itself:
    the original rows are kept, in main memory where the projections lie on another device.

    Args:
        projections: what makes query and key, by layer number.
        pairs: as from `BokehAdapter.query_key_pairs`.

    Raises:
        TypeError: weights that are not floating point of at least 16 bits.
    """
    with ExitStack() as restored:  # each is put back, whatever happens to the others
        for index, rows in projections.items():
            down, up = pairs[index]
            for which, one in enumerate(rows):
                for parameter in one.linear.parameters():
                    _check_foldable(parameter)
                    _fold_rows(parameter, one.first, down[which], up[which], restored)
        yield


def _fold_rows(
    parameter: nn.Parameter, first: int, down: Tensor, up: Tensor, restored: ExitStack
) -> None:
    """Fold an update into the H rows from `first` on, and see that they come back."""
    count = len(up)
    if len(parameter) == count:  # all of it: a new tensor, as the old one may not be ours to write
        update = fold(parameter.data, down, up)
        restored.callback(_restore, parameter, parameter.data.to("cpu"))
        parameter.data = update
        return
    rows = slice(first, first + count)
    update = fold(parameter.data[rows], down, up)
    restored.callback(_restore_rows, parameter, rows, parameter.data[rows].to("cpu", copy=True))
    parameter.data[rows] = update


def _restore_rows(parameter: nn.Parameter, rows: slice, original: Tensor) -> None:
    parameter.data[rows] = original.to(parameter.device)  # by name: it may have moved since


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
