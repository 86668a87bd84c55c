"""The options that all trainings share: how long, how fast, where to."""

import argparse
from typing import TYPE_CHECKING

from ....checks import check_number
from ....training.course import PRECISIONS, SCHEDULES, Course

if TYPE_CHECKING:
    from ....training.loop import Plan


def course_options(group: "argparse._ActionsContainer", default: Course) -> None:
    """Add the options that all trainings share.

    Args:
        group: of the parser.
        default: settings whose values stand where an option is left out.
    """
    add = group.add_argument
    add("--steps", type=int, default=default.steps, help="updates of the weights")
    add("--batch", type=int, default=default.batch, help="samples of a process at once")
    add("--accumulate", type=int, default=default.accumulate, help="batches before an update")
    add("--schedule", choices=SCHEDULES, default=default.schedule, help="of the learning rate")
    add("--warmup", type=int, default=default.warmup, help="updates")
    add("--weight-decay", type=float, default=default.weight_decay)
    add("--clip", type=float, default=default.clip, help="largest norm of the gradient")
    add("--ema", type=float, default=default.ema, help="share that averaged weights keep")
    add("--precision", choices=PRECISIONS, default=default.precision)
    add("--seed", type=int, default=default.seed)
    add("--validate-every", type=int, default=200, metavar="N", help="updates")
    add("--save-every", type=int, default=200, metavar="N", help="updates")
    add("--cpu", action="store_true", help="also where there is a GPU")


def check_run(options: argparse.Namespace) -> None:
    """Check what says where a run goes and how often it is looked at.

    Raises:
        ValueError: unusable options.
    """
    for name in ("validate_every", "save_every"):
        check_number(getattr(options, name), name, 1)
    if options.output.exists() and not options.output.is_dir():
        raise ValueError(f"output: {options.output} is a file. Give a folder.")


def plan_of(options: argparse.Namespace) -> "Plan":
    """Return where a run goes and how often it is looked at."""
    from ....training.loop import Plan

    return Plan(options.output, options.validate_every, options.save_every, options.cpu)
