"""How many processes share the work: those that `accelerate launch` or torchrun started."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import torch

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


def this_process(cpu: bool = False) -> Processes:
    """Return this process's place; alone where no launcher started it, and then without accelerate.

    Args:
        cpu: the work is done on the CPU also where there is a GPU; processes find one another in
            another way then.

    Raises:
        ModuleNotFoundError: started by a launcher, and accelerate is not installed.

    Example:
        >>> this_process().count
        1
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return Processes()
    from accelerate import PartialState

    # Without `cpu` accelerate takes the processes of a machine without GPU for single ones.
    state = PartialState(cpu=cpu or not torch.cuda.is_available(), timeout=_PATIENCE)
    return Processes(
        state.process_index,
        state.num_processes,
        state.local_process_index,
        state.wait_for_everyone,
    )
