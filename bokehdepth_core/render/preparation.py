"""What is made of photo and depth before the blur, kept from one render to the next.

Refined depth depends on photo and depth alone, and layers on the light and the blur radius of each
pixel: on strength and focus, but not on the lens's shape. Whoever renders the same photo again
gives a cache along. A result is found by what it was made from: a digest of all numbers that went
into it, so a changed pixel is another photo, and a hit gives just what would be made anew.
"""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import TypeVar

import torch
from torch import Tensor

_LOG = logging.getLogger(__name__)

Made = TypeVar("Made")
Input = Tensor | float | None


class PreparationCache:
    """Results of the steps before the blur, by the content of their inputs; safe between threads.

    Args:
        largest: bytes that all results may take together; those used longest ago go first.

    Example:
        >>> cache = PreparationCache(1000)
        >>> photo = torch.ones(4)
        >>> first = cache.made("doubled", [photo], lambda: photo * 2)
        >>> cache.made("doubled", [photo.clone()], lambda: photo * 0) is first
        True
        >>> cache.used_bytes
        16
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._lock = threading.Lock()
        self._results: OrderedDict[str, tuple[object, int]] = OrderedDict()
        self._used = 0

    @property
    def used_bytes(self) -> int:
        """Bytes that the results take."""
        return self._used

    def made(self, step: str, inputs: list[Input], make: Callable[[], Made]) -> Made:
        """Return the result of a step: the one that is kept, or else what `make` returns.

        Args:
            step: its name, for the log and so that steps of equal inputs are told apart.
            inputs: all that the result depends on.
            make: makes it. What it returns must not be written into.
        """
        key = step + _digest(inputs)
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                _LOG.debug("%s: kept from an earlier render", step)
                return self._results[key][0]  # type: ignore[return-value]
        result = make()
        self._keep(key, result)
        return result

    def _keep(self, key: str, result: object) -> None:
        # Several tensors may share one memory, as planes that were only looked at from elsewhere.
        storages = {one.untyped_storage().data_ptr(): one for one in _tensors(result)}
        size = sum(one.untyped_storage().nbytes() for one in storages.values())
        if size > self._largest:
            return
        with self._lock:
            _, before = self._results.pop(key, (None, 0))
            self._results[key] = (result, size)
            self._used += size - before
        self.free(max(0, self.used_bytes - self._largest))

    def free(self, wanted: int | None = None) -> int:
        """Let results go, the longest unused first, and return how many bytes they took.

        Args:
            wanted: bytes, at least; None for all.
        """
        freed = 0
        with self._lock:
            while self._results and (wanted is None or freed < wanted):
                freed += self._results.popitem(last=False)[1][1]
            self._used -= freed
        if freed:
            _LOG.debug("let %d bytes of earlier renders go", freed)
        return freed


def made(
    cache: PreparationCache | None, step: str, inputs: list[Input], make: Callable[[], Made]
) -> Made:
    """Return the result of a step, out of a cache where there is one.

    Example:
        >>> made(None, "sum", [1.0, 2.0], lambda: 3.0)
        3.0
    """
    return make() if cache is None else cache.made(step, inputs, make)


def _digest(inputs: list[Input]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for one in inputs:
        if isinstance(one, Tensor):
            found.update(f"{tuple(one.shape)}{one.dtype}{one.device}".encode())
            found.update(one.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        else:
            found.update(repr(one).encode())
    return found.hexdigest()


def _tensors(result: object) -> Iterator[Tensor]:
    if isinstance(result, Tensor):
        yield result
    elif is_dataclass(result):
        for field in fields(result):
            yield from _tensors(getattr(result, field.name))
