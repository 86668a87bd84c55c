"""The training loop: any number of processes, and a run that can be stopped and go on exactly.

A step's number decides its samples, its learning rate and every draw, so the state of a run is its
weights, their average, the optimizer's moments and that number, nothing else.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from .checkpoints import Run, load_run, save_state
from .course import Course, learning_rate
from .dice import Dice
from .feeding import sample_numbers
from .history import write_history

ADAM_EPS = 1e-8
Say = Callable[[str], None]
Network = TypeVar("Network", bound=nn.Module)


class Training(Protocol[Network]):
    """What is trained, on what, and how good it is: all that the loop does not know itself."""

    @property
    def settings(self) -> Course:
        """What decides the result."""

    @property
    def may_leave_unused(self) -> bool:
        """True where a step may use a part of the weights alone."""

    def start(self, device: torch.device) -> Run[Network]:
        """Return a run before its first step, on a device."""

    def held(self, run: Run[Network]) -> AbstractContextManager[nn.Module]:
        """Return what a step calls, for as long as the block runs."""

    def batches(self, numbers: Iterator[range]) -> Iterator[Any]:
        """Yield a batch, which has `to(device)`, for each range of sample numbers."""

    def loss(self, model: Any, batch: Any, run: Run[Network], part: int, say: Say) -> Tensor:
        """Return the mean loss of a batch, the step's number `part` from 0."""

    def validate(
        self, model: nn.Module, run: Run[Network], say: Say, check_cancelled: CheckCancelled
    ) -> dict[str, float]:
        """Return how good the network is with its weights of now, with the same names each time."""

    def write_weights(self, folder: Path, run: Run[Network]) -> None:
        """Write the averaged weights as they are used."""


@dataclass(frozen=True)
class Plan:
    """What surrounds a training run and does not change what it computes.

    Attributes:
        output: folder for checkpoints, history and plots; made where it is missing.
        validate_every: steps between two validations.
        save_every: steps between two checkpoints.
        cpu: stay on the CPU where there is a GPU.
    """

    output: Path
    validate_every: int = 200
    save_every: int = 200
    cpu: bool = False


def train(
    training: Training[Network],
    plan: Plan,
    *,
    say: Say = lambda line: None,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Run[Network]:
    """Train a network and return the run; what the folder holds already is gone on from.

    Args:
        training: what is trained.
        plan: where it is written, and how often.
        say: called with a line for each validation, and for warnings.
        on_progress: called after each step.
        check_cancelled: raises to stop; the last checkpoint stays.

    Raises:
        ModuleNotFoundError: accelerate is not installed.
        ValueError: unusable settings, data, or a folder with another run.
        OSError: the folder cannot be written.
    """
    settings = training.settings
    accelerator = _accelerator(training, plan)
    run = training.start(accelerator.device)
    quiet: Say = say if accelerator.is_main_process else lambda line: None
    if load_run(plan.output, run, settings):
        quiet(f"goes on after step {run.step}")
    plan.output.mkdir(parents=True, exist_ok=True)  # now, for all that is wrong so far was said
    with training.held(run) as held:
        model, optimizer = accelerator.prepare(held, run.optimizer)
        data = training.batches(_numbers(settings, accelerator, run.step))
        while run.step < settings.steps:
            check_cancelled()
            _step(training, run, model, optimizer, accelerator, data, quiet)
            run.step += 1
            on_progress(run.step, settings.steps)
            ends = run.step == settings.steps
            if accelerator.is_main_process and (ends or run.step % plan.validate_every == 0):
                _validate(training, held, run, plan, quiet, check_cancelled)
            if accelerator.is_main_process and (ends or run.step % plan.save_every == 0):
                training.write_weights(plan.output, run)
                save_state(plan.output, run, settings)
            accelerator.wait_for_everyone()
    return run


def _accelerator(training: Training[Network], plan: Plan) -> Any:
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    wrapper = DistributedDataParallelKwargs(find_unused_parameters=training.may_leave_unused)
    return Accelerator(
        mixed_precision="no",  # autocast is ours: accelerate's holds for a whole process
        gradient_accumulation_steps=training.settings.accumulate,
        cpu=plan.cpu,
        kwargs_handlers=[wrapper],
    )


def _numbers(settings: Course, accelerator: Any, first: int) -> Iterator[range]:
    """Yield the sample numbers of this process from one step to the end."""
    index, count = accelerator.process_index, accelerator.num_processes
    for step in range(first, settings.steps):
        for part in range(settings.accumulate):
            yield sample_numbers(step, part, index, count, settings.batch, settings.accumulate)


def _step(
    training: Training[Network],
    run: Run[Network],
    model: Any,
    optimizer: Any,
    accelerator: Any,
    data: Iterator[Any],
    say: Say,
) -> None:
    """Update the weights once, and their average."""
    settings = training.settings
    torch.manual_seed(Dice(settings.seed, run.step, 2).integer(0, 2**31 - 1))
    factor = learning_rate(settings, run.step)
    for group in run.optimizer.param_groups:
        group["lr"] = settings.rate * group["factor"] * factor
    for part in range(settings.accumulate):
        batch = next(data).to(accelerator.device)
        with accelerator.accumulate(model):
            with torch.autocast(
                accelerator.device.type, torch.bfloat16, enabled=settings.precision == "bf16"
            ):
                loss = training.loss(model, batch, run, part, say)
            if not torch.isfinite(loss):
                raise ValueError(
                    f"loss: is no number at step {run.step}. Use a smaller --learning-rate, or "
                    "--precision fp32."
                )
            accelerator.backward(loss)
    accelerator.clip_grad_norm_(model.parameters(), settings.clip)
    optimizer.step()
    optimizer.zero_grad()
    _average(run, settings.ema)


@torch.no_grad()
def _average(run: Run[Network], keep: float) -> None:
    """Move the averaged weights towards the new ones; early ones are not kept for long."""
    keep = min(keep, (1 + run.step) / (10 + run.step))
    for name, value in run.network.state_dict().items():
        average: Tensor = run.averaged[name]
        if average.is_floating_point():
            average.lerp_(value.to(average.dtype), 1 - keep)
        else:
            average.copy_(value)


def _validate(
    training: Training[Network],
    model: nn.Module,
    run: Run[Network],
    plan: Plan,
    say: Say,
    check_cancelled: CheckCancelled,
) -> None:
    """Measure the averaged weights, and write the history."""
    own = {name: value.clone() for name, value in run.network.state_dict().items()}
    run.network.load_state_dict(run.averaged)
    model.eval()
    try:
        with torch.no_grad():
            found = training.validate(model, run, say, check_cancelled)
    finally:
        run.network.load_state_dict(own)
        model.train()
    run.history.append({"step": float(run.step), **found})
    write_history(plan.output, run.history)
