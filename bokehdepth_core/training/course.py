"""What the settings of all trainings share: how long, how fast, how exact."""

import math
from typing import Protocol

from ..checks import check_number

SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("fp32", "bf16")


class Course(Protocol):
    """Settings of a training run as the loop sees them; one that goes on has the same."""

    @property
    def steps(self) -> int:
        """Updates of the weights."""

    @property
    def batch(self) -> int:
        """Samples of one process at once."""

    @property
    def accumulate(self) -> int:
        """Batches before an update."""

    @property
    def rate(self) -> float:
        """Learning rate."""

    @property
    def schedule(self) -> str:
        """Of the learning rate after the warm-up, one of `SCHEDULES`."""

    @property
    def warmup(self) -> int:
        """Updates until the learning rate is full."""

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""

    @property
    def clip(self) -> float:
        """Largest norm of the gradient."""

    @property
    def ema(self) -> float:
        """Share that the averaged weights keep at each update."""

    @property
    def precision(self) -> str:
        """One of `PRECISIONS`: "fp32", or "bf16" by autocast."""

    @property
    def seed(self) -> int:
        """Decides weights and samples."""

    def record(self) -> dict[str, object]:
        """Return the settings as they are written beside the weights."""


def check_course(course: Course) -> None:
    """Check what the settings of all trainings share.

    Raises:
        ValueError: a number out of range, or an unknown word.
    """
    for name, least in (("steps", 1), ("batch", 1), ("accumulate", 1), ("warmup", 0)):
        check_number(getattr(course, name), name, least)
    check_number(course.clip, "clip", above=0)
    check_number(course.ema, "ema", 0, 0.999999)
    check_word(course.schedule, "schedule", SCHEDULES)
    check_word(course.precision, "precision", PRECISIONS)


def check_word(found: object, name: str, known: tuple[object, ...]) -> None:
    """Check that a setting is one of the words that it may be.

    Raises:
        ValueError: another.
    """
    if found not in known:
        raise ValueError(f"{name}: expected {', '.join(map(str, known))}, found {found!r}.")


def differing(
    own: dict[str, object], other: dict[str, object], free: tuple[str, ...] = ()
) -> list[str]:
    """Return the names of the settings that another run had otherwise.

    Example:
        >>> differing({"batch": 2, "steps": 9}, {"batch": 4, "steps": 5}, free=("steps",))
        ['batch']
    """
    return [name for name in own if name not in free and own[name] != other.get(name)]


def learning_rate(course: Course, step: int) -> float:
    """Return the learning rate's factor at a step, 0…1: warm-up, then the schedule.

    Example:
        >>> from .depth.settings import Settings
        >>> chosen = Settings(steps=100, warmup=10)
        >>> [round(learning_rate(chosen, step), 4) for step in (0, 9, 55, 99)]
        [0.1, 1.0, 0.5, 0.0003]
    """
    if step < course.warmup:
        return (step + 1) / course.warmup
    share = (step - course.warmup) / max(1, course.steps - course.warmup)
    if course.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * share))
    return 1 - share if course.schedule == "linear" else 1.0
