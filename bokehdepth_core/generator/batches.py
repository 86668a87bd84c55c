"""Frames sampled together as far as memory allows, else one by one."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ..devices import is_out_of_memory

_LOG = logging.getLogger(__name__)


def in_batches(run: Callable[[int, int], Tensor], count: int, at_once: int) -> Tensor:
    """Return what `run` gives for all numbers below a count, joined along the first axis.

    Where memory is short they are run again one by one, which is warned of.

    Args:
        run: takes the first number and the one behind the last; returns a tensor with a row each.
        count: how many numbers there are, >= 1.
        at_once: how many are run together at most, >= 1.

    Raises:
        RuntimeError: of `run`; out of memory with a single number.

    Example:
        >>> in_batches(lambda first, last: torch.arange(first, last), 5, 2).tolist()
        [0, 1, 2, 3, 4]
    """
    try:
        return _spans(run, count, at_once)
    except RuntimeError as error:
        if at_once == 1 or not is_out_of_memory(error):
            raise
    # Outside the handler, which would keep the failed call's tensors alive.
    _LOG.warning(
        "strengths: %d did not fit into memory at once. Use a smaller picture to save time; they "
        "were made one by one.",
        count,
    )
    torch.cuda.empty_cache()
    return _spans(run, count, 1)


def _spans(run: Callable[[int, int], Tensor], count: int, at_once: int) -> Tensor:
    firsts = range(0, count, at_once)
    return torch.cat([run(first, min(first + at_once, count)) for first in firsts])
