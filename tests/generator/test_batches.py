"""Frames sampled together, and one by one where memory is short."""

import pytest
import torch

from bokehdepth_core.generator.batches import in_batches


def rows(first, last):
    return torch.arange(first, last)[:, None]


@pytest.mark.parametrize("at_once", [1, 2, 5, 9])
def test_every_row_comes_once_and_in_order(at_once):
    assert torch.equal(in_batches(rows, 5, at_once), rows(0, 5))


def test_short_memory_is_said_and_rows_are_made_one_by_one(caplog):
    def short(first, last):
        if last - first > 1:
            raise torch.OutOfMemoryError("injected")
        return rows(first, last)

    assert torch.equal(in_batches(short, 3, 3), rows(0, 3))
    (said,) = [one.getMessage() for one in caplog.records]
    assert said.startswith("strengths: 3 did not fit into memory at once.")


@pytest.mark.parametrize("at_once", [1, 3])
def test_other_failures_and_a_single_row_that_does_not_fit_are_raised(at_once):
    def failing(first, last):
        raise torch.OutOfMemoryError("injected") if at_once == 1 else RuntimeError("broken")

    with pytest.raises(RuntimeError, match="injected" if at_once == 1 else "broken"):
        in_batches(failing, 3, at_once)
