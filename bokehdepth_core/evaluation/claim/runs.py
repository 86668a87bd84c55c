"""The runs that a claim is made of: for each seed one trained with stacks, one without."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ...training.checkpoints import STATE, read_record
from ...training.course import differing
from ...training.depth.training import WEIGHTS


class Arm(str, Enum):
    """What a network was trained with."""

    STACK = "stack"
    PHOTO = "no stack"


@dataclass(frozen=True)
class ClaimRun:
    """A finished or unfinished run of `train depth`.

    Attributes:
        folder: of the run.
        arm: PHOTO where every step saw the photo alone.
        seed: of the run.
        steps: updates done.
        settings: as they were recorded.
        history: a record for each validation.
    """

    folder: Path
    arm: Arm
    seed: int
    steps: int
    settings: dict[str, object]
    history: Sequence[dict[str, float]]

    @property
    def weights(self) -> Path:
        """The averaged weights."""
        return self.folder / WEIGHTS

    @property
    def samples(self) -> int:
        """Pictures seen by one process."""
        return self.steps * int(str(self.settings["batch"])) * int(str(self.settings["accumulate"]))


def read_run(folder: Path) -> ClaimRun:
    """Return what a run's folder says about itself.

    Raises:
        CheckpointError: a damaged state.
        FileNotFoundError: no state, or no weights beside it.
    """
    if not (folder / STATE).is_file() or not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(
            f"{folder}: no run of train depth. Give folders that hold {STATE} and {WEIGHTS}."
        )
    record = read_record(folder / STATE)
    settings = record["settings"]
    arm = Arm.PHOTO if settings.get("photo_share") == 1 else Arm.STACK
    return ClaimRun(
        folder, arm, int(settings.get("seed", 0)), record["step"], settings, record["history"]
    )


def find_runs(folders: Sequence[Path]) -> list[ClaimRun]:
    """Return the runs in folders, or in the folders right inside them, in pairs of one seed.

    Raises:
        FileNotFoundError: no run there.
        ValueError: two runs of one seed and arm, or a seed without its other arm; a pair that
            differs in more than what it is shown.

    Reference:
        A seed's two arms share its first weights and its scenes, so that their errors are a pair.
    """
    found: dict[tuple[int, Arm], ClaimRun] = {}
    for folder in folders:
        inside = [folder] if (folder / STATE).is_file() else _inside(folder)
        for one in map(read_run, inside):
            other = found.setdefault((one.seed, one.arm), one)
            if other is not one:
                raise ValueError(
                    f"runs: {other.folder} and {one.folder} are both of seed {one.seed}, "
                    f"{one.arm.value}. Leave one out."
                )
    for seed, arm in found:
        _check_pair(seed, arm, found)
    arms = list(Arm)
    return [found[key] for key in sorted(found, key=lambda one: (one[0], arms.index(one[1])))]


def _inside(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder. Give folders of train depth.")
    found = sorted(one.parent for one in folder.glob(f"*/{STATE}"))
    if not found:
        raise FileNotFoundError(f"{folder}: no run in it. Make some: --train-steps 2000.")
    return found


def _check_pair(seed: int, arm: Arm, found: dict[tuple[int, Arm], ClaimRun]) -> None:
    other = found.get((seed, Arm.PHOTO if arm is Arm.STACK else Arm.STACK))
    if other is None:
        share = "1" if arm is Arm.STACK else "0"
        raise ValueError(
            f"runs: seed {seed} has only the arm '{arm.value}'. Train the other one with "
            f"--seed {seed} --photo-share {share}."
        )
    own, its = found[seed, arm].settings, other.settings
    names = differing(own, its, ("photo_share", "steps"))
    if names:
        raise ValueError(
            f"runs: the arms of seed {seed} differ in {', '.join(names)}. "
            "Train both with the same options but --photo-share."
        )
