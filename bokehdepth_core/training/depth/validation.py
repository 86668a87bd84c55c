"""How good a network is while it trains: with the stack, without it, and with a wrong one."""

from collections.abc import Sequence

import torch

from ...callbacks import CheckCancelled, never_cancelled
from ..feeding import Source
from ..samples import Sample
from .batches import Batch, collate
from .losses import affine_disparity_loss, defocus_loss
from .networks import Trained

COLUMNS = ("rho", "stack", "photo", "shuffled")


def fixed_batches(source: Source[Sample], count: int, batch: int) -> list[Batch]:
    """Return the first `count` samples of a source, at least two, in batches of at least two."""
    size = max(2, batch)
    starts = [start for start in range(0, count, size) if start == 0 or count - start > 1]
    ends = [*starts[1:], count]
    return [
        collate([source[index] for index in range(start, end)])
        for start, end in zip(starts, ends, strict=True)
    ]


@torch.no_grad()
def validate(
    network: Trained,
    batches: Sequence[Batch],
    device: torch.device,
    check_cancelled: CheckCancelled = never_cancelled,
) -> dict[str, float]:
    """Return the means over the samples of fixed batches.

    Returns:
        `rho`: error of signed blur, px; `stack`, `photo` and `shuffled`: error of disparity after
        the best scale and offset, over its range, with the stack, from the photo alone, and with
        another photo's frames.
    """
    was_training = network.training
    network.eval()
    totals = dict.fromkeys(COLUMNS, 0.0)
    count = 0
    for one in batches:
        check_cancelled()
        batch = one.to(device)
        with_stack = network(batch, True)
        others = network(batch.with_other_stacks(), True)
        photo = network(batch, False)
        totals["rho"] += float(defocus_loss(with_stack.defocus, batch.defocus, batch.known).sum())
        for name, found in (("stack", with_stack), ("photo", photo), ("shuffled", others)):
            error = affine_disparity_loss(found.disparity, batch.disparity, batch.known)
            totals[name] += float(error.sum())
        count += len(batch.disparity)
    network.train(was_training)
    return {name: total / count for name, total in totals.items()}
