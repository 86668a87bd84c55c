"""The training loop: any number of processes, and a run that can be stopped and go on exactly.

A step's number decides its samples, its learning rate and every draw, so the state of a run is its
weights, their average, the optimizer's moments and that number, nothing else.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from .checkpoints import Run, load_run, save_run
from .depth.batches import Batch, Source, batches, sample_numbers
from .depth.networks import (
    Trained,
    attention_warning,
    attention_watch,
    build,
    loss_of,
    parameter_groups,
)
from .depth.settings import Settings
from .depth.validation import validate
from .history import write_history
from .scenes.dice import Dice

_ADAM_EPS = 1e-8
_LOOK_EVERY = 200  # steps, at the attention that frames get
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What surrounds a training run and does not change what it computes.

    Attributes:
        output: folder for checkpoints, history and plots.
        validation: fixed batches, the same in every process.
        validate_every: steps between two validations.
        save_every: steps between two checkpoints.
        workers: processes that make samples ahead.
        cpu: stay on the CPU where there is a GPU.
    """

    output: Path
    validation: tuple[Batch, ...]
    validate_every: int = 200
    save_every: int = 200
    workers: int = 0
    cpu: bool = False


def train(
    settings: Settings,
    source: Source,
    plan: Plan,
    *,
    say: Say = lambda line: None,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Run:
    """Train a network and return the run; what the folder holds already is gone on from.

    Args:
        settings: what decides the result.
        source: of the samples.
        plan: where it is written, and how often.
        say: called with a line for each validation, and for warnings.
        on_progress: called after each step.
        check_cancelled: raises to stop; the last checkpoint stays.

    Raises:
        ModuleNotFoundError: accelerate is not installed.
        ValueError: unusable settings, data, or a folder with another run.
        OSError: the folder cannot be written.
    """
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    # Either head of a network waits while the other one is used.
    wrapper = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator: Any = Accelerator(
        mixed_precision="no",  # autocast is ours: accelerate's holds for a whole process
        gradient_accumulation_steps=settings.accumulate,
        cpu=plan.cpu,
        kwargs_handlers=[wrapper],
    )
    run = _start(settings, accelerator.device)
    if load_run(plan.output, run, settings) and accelerator.is_main_process:
        say(f"goes on after step {run.step}")
    model, optimizer = accelerator.prepare(Trained(run.network), run.optimizer)
    quiet: Say = say if accelerator.is_main_process else lambda line: None
    numbers = _numbers(settings, accelerator, run.step)
    data = batches(source, numbers, plan.workers)
    while run.step < settings.steps:
        check_cancelled()
        _step(settings, run, model, optimizer, accelerator, data, quiet)
        run.step += 1
        on_progress(run.step, settings.steps)
        ends = run.step == settings.steps
        if accelerator.is_main_process and (ends or run.step % plan.validate_every == 0):
            _validate(run, plan, accelerator.device, quiet, check_cancelled)
        if accelerator.is_main_process and (ends or run.step % plan.save_every == 0):
            save_run(plan.output, run, settings)
        accelerator.wait_for_everyone()
    return run


def learning_rate(settings: Settings, step: int) -> float:
    """Return the learning rate's factor at a step, 0…1: warm-up, then the schedule.

    Example:
        >>> chosen = Settings(steps=100, warmup=10)
        >>> [round(learning_rate(chosen, step), 4) for step in (0, 9, 55, 99)]
        [0.1, 1.0, 0.5, 0.0003]
    """
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    share = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * share))
    return 1 - share if settings.schedule == "linear" else 1.0


def _start(settings: Settings, device: torch.device) -> Run:
    network = build(settings).to(device)
    groups: list[dict[str, Any]] = parameter_groups(network, settings)
    optimizer = torch.optim.AdamW(groups, lr=settings.rate, eps=_ADAM_EPS)
    averaged = {name: value.detach().clone() for name, value in network.state_dict().items()}
    return Run(network, averaged, optimizer)


def _numbers(settings: Settings, accelerator: Any, first: int) -> Iterator[range]:
    """Yield the sample numbers of this process from one step to the end."""
    index, count = accelerator.process_index, accelerator.num_processes
    for step in range(first, settings.steps):
        for part in range(settings.accumulate):
            yield sample_numbers(step, part, index, count, settings.batch, settings.accumulate)


def _step(
    settings: Settings,
    run: Run,
    model: Any,
    optimizer: Any,
    accelerator: Any,
    data: Iterator[Batch],
    say: Say,
) -> None:
    """Update the weights once, and their average."""
    torch.manual_seed(Dice(settings.seed, run.step, 2).integer(0, 2**31 - 1))
    with_stack = not Dice(settings.seed, run.step, 3).chance(settings.photo_share)
    factor = learning_rate(settings, run.step)
    for group in run.optimizer.param_groups:
        group["lr"] = settings.rate * group["factor"] * factor
    for part in range(settings.accumulate):
        batch = next(data).to(accelerator.device)
        if with_stack and part == 0 and run.step % _LOOK_EVERY == 0:
            _warn_of_blindness(run, batch, say)
        with accelerator.accumulate(model):
            with torch.autocast(
                accelerator.device.type, torch.bfloat16, enabled=settings.precision == "bf16"
            ):
                outputs = model(batch, with_stack)
            loss = loss_of(outputs, batch, settings).mean()
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
def _average(run: Run, keep: float) -> None:
    """Move the averaged weights towards the new ones; early ones are not kept for long."""
    keep = min(keep, (1 + run.step) / (10 + run.step))
    for name, value in run.network.state_dict().items():
        average: Tensor = run.averaged[name]
        if average.is_floating_point():
            average.lerp_(value.to(average.dtype), 1 - keep)
        else:
            average.copy_(value)


@torch.no_grad()
def _warn_of_blindness(run: Run, batch: Batch, say: Say) -> None:
    """Say where frames get so little attention that a stack cannot teach anything."""
    with attention_watch(run.network) as shares:
        Trained(run.network)(batch, True)
    warning = attention_warning(shares)
    if warning:
        say(f"warning: {warning}")


def _validate(
    run: Run, plan: Plan, device: torch.device, say: Say, check_cancelled: CheckCancelled
) -> None:
    """Measure the averaged weights, and write the history."""
    own = {name: value.clone() for name, value in run.network.state_dict().items()}
    run.network.load_state_dict(run.averaged)
    try:
        found = validate(Trained(run.network), plan.validation, device, check_cancelled)
    finally:
        run.network.load_state_dict(own)
    run.network.train()
    run.history.append({"step": float(run.step), **found})
    write_history(plan.output, run.history)
    say(
        f"step {run.step}: blur {found['rho']:.3f} px off; disparity off by {found['stack']:.3f} "
        f"of its range, {found['photo']:.3f} without the stack, {found['shuffled']:.3f} with "
        "another photo's"
    )
