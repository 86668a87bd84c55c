"""How many processes share the work: those that `accelerate launch` or torchrun started."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

_PATIENCE = timedelta(days=7)  # that quick processes wait for slow ones


def _nothing() -> None:
    """Wait for nobody."""


@dataclass(frozen=True)
class Processes:
    """This process among those that share the work.

    Attributes:
        index: of this process, from 0.
        count: of all.
        local_index: of this process on its machine.
        wait: returns when all processes have called it.
    """

    index: int = 0
    count: int = 1
    local_index: int = 0
    wait: Callable[[], None] = field(default=_nothing)

    @property
    def is_main(self) -> bool:
        """True in the one process that writes what all share."""
        return self.index == 0


def this_process() -> Processes:
    """Return this process's place; alone where no launcher started it, and then without accelerate.

    Raises:
        ModuleNotFoundError: started by a launcher, and accelerate is not installed.

    Example:
        >>> this_process().count
        1
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return Processes()
    from accelerate import PartialState

    state = PartialState(timeout=_PATIENCE)
    return Processes(
        state.process_index,
        state.num_processes,
        state.local_process_index,
        state.wait_for_everyone,
    )
