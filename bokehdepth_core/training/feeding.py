"""Which samples a step takes, and how they come: by the step's number alone.

Step t of all processes together takes the samples from t · batch · processes · accumulate on. So a
run that goes on needs no memory of where the data were, and two processes see what one would see
with the double batch.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

Sample = TypeVar("Sample", covariant=True)
One = TypeVar("One")
Batch = TypeVar("Batch")


class Source(Protocol[Sample]):
    """An endless row of samples."""

    def __getitem__(self, index: int) -> Sample:
        """Return sample number `index`."""


def sample_numbers(
    step: int, part: int, process: int, processes: int, batch: int, accumulate: int
) -> range:
    """Return the samples that one process takes for one of the `accumulate` parts of a step.

    Example:
        >>> [list(sample_numbers(1, 0, one, 2, 2, 1)) for one in (0, 1)]
        [[4, 5], [6, 7]]
        >>> list(sample_numbers(1, 0, 0, 1, 4, 1))
        [4, 5, 6, 7]
    """
    start = ((step * accumulate + part) * processes + process) * batch
    return range(start, start + batch)


def batches(
    source: Source[One],
    numbers: Iterator[range],
    collate: Callable[[Sequence[One]], Batch],
    workers: int = 0,
) -> Iterator[Batch]:
    """Yield a batch for each range of sample numbers, made ahead by `workers` processes."""
    if not workers:
        for wanted in numbers:
            yield collate([source[index] for index in wanted])
        return
    from torch.utils.data import DataLoader

    loader: DataLoader[Any] = DataLoader(
        source,  # type: ignore[arg-type]  # it needs indexing alone
        batch_sampler=_Numbers(numbers),
        collate_fn=collate,
        num_workers=workers,
    )
    yield from loader


class _Numbers:
    """Ranges of sample numbers as a loader takes them."""

    def __init__(self, numbers: Iterator[range]) -> None:
        self._numbers = numbers

    def __iter__(self) -> Iterator[list[int]]:
        return (list(one) for one in self._numbers)
