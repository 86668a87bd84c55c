"""What no tensor of a depth network tells: attention, stages and range; and where it is read from.

Each choice is settled in the same order: what the caller gives, else the metadata of a converted
file, else what the published networks were trained with.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from ...checks import check_number
from ...weights.errors import CheckpointError
from ...weights.reading import read_metadata

ATTENTION_SCALES = ("trained", "single", "double")
STAGES = 4
# Names in the metadata of converted files.
MAX_DEPTH_KEY = "max_depth_m"
_KEYS = {
    "attention_scale": "attention_scale",
    "max_depth": MAX_DEPTH_KEY,
    "alibi": "alibi",
    "heads": "dsfa_heads",
    "stages": "stages",
    "k_scale": "k_scale",
}


@dataclass(frozen=True)
class NetworkOptions:
    """Choices for a depth network; None where nothing is chosen.

    Attributes:
        attention_scale: "trained", "single" or "double", see `DepthAnything`.
        max_depth: end of a metric Depth Anything's range, m, > 0.
        alibi: by how much DSFA's focus logits fall for each px·m between two strengths, >= 0.
        heads: attention heads of DSFA; must divide the channels of a token.
        stages: the four encoder blocks whose tokens are used and fused, counted from 1, rising.
        k_scale: factor of the strengths within DSFA, > 0.

    Raises:
        ValueError: a choice that no network can have.

    Example:
        >>> NetworkOptions(alibi=0.25, stages=(2, 5, 9, 12)).stages
        (2, 5, 9, 12)
        >>> NetworkOptions(heads=0)
        Traceback (most recent call last):
        ValueError: heads: expected at least 1, found 0. Give a whole number.
    """

    attention_scale: str | None = None
    max_depth: float | None = None
    alibi: float | None = None
    heads: int | None = None
    stages: tuple[int, ...] | None = None
    k_scale: float | None = None

    def __post_init__(self) -> None:
        """Check each choice."""
        if self.attention_scale is not None and self.attention_scale not in ATTENTION_SCALES:
            known = ", ".join(ATTENTION_SCALES)
            raise ValueError(f"attention_scale: expected {known}, found '{self.attention_scale}'.")
        if self.max_depth is not None:
            hint = "Give the end of the range in metres."
            object.__setattr__(
                self, "max_depth", check_number(self.max_depth, "max_depth", above=0.0, hint=hint)
            )
        if self.alibi is not None:
            hint = "The published networks have 1."
            object.__setattr__(self, "alibi", check_number(self.alibi, "alibi", 0.0, hint=hint))
        if self.k_scale is not None:
            object.__setattr__(self, "k_scale", check_number(self.k_scale, "k_scale", above=0.0))
        if self.heads is not None:
            check_number(self.heads, "heads", 1, hint="Give a whole number.")
            if self.heads != int(self.heads) or isinstance(self.heads, bool):
                raise ValueError(f"heads: expected a whole number, found {self.heads}.")
        if self.stages is not None:
            object.__setattr__(self, "stages", check_stages(self.stages))

    def over(self, other: "NetworkOptions") -> "NetworkOptions":
        """Return these choices, and those of `other` where these are None."""
        chosen = {one.name: getattr(self, one.name) for one in fields(self)}
        return replace(
            other, **{name: value for name, value in chosen.items() if value is not None}
        )

    def metadata(self) -> dict[str, str]:
        """Return the choices as text for a file's metadata; read back by `stored_options`."""
        written = {}
        for name, key in _KEYS.items():
            value = getattr(self, name)
            if name == "stages" and value is not None:
                value = ",".join(map(str, value))
            if value is not None:
                # As few digits as say the same number.
                written[key] = str(value).removesuffix(".0")
        return written


PUBLISHED = NetworkOptions()


def check_stages(stages: Sequence[int]) -> tuple[int, ...]:
    """Return four rising block numbers, counted from 1.

    Raises:
        ValueError: another count, or numbers that do not rise.

    Example:
        >>> check_stages([3, 6, 9, 12])
        (3, 6, 9, 12)
    """
    numbers = [check_number(one, "stages", 1) for one in stages]
    whole = tuple(int(one) for one in numbers)
    rising = all(a < b for a, b in itertools.pairwise(whole))
    if len(whole) != STAGES or list(whole) != numbers or not rising:
        raise ValueError(
            f"stages: expected four rising block numbers, found {list(stages)}. Give them as "
            "2,5,9,12."
        )
    return whole


def parse_stages(text: str) -> tuple[int, ...]:
    """Return block numbers from text.

    Raises:
        ValueError: text that is not four rising numbers.

    Example:
        >>> parse_stages("2, 5, 9, 12")
        (2, 5, 9, 12)
    """
    parts = re.split(r"[,\s]+", text.strip())
    if not all(re.fullmatch(r"[0-9]{1,4}", part) for part in parts):
        raise ValueError(f"stages: cannot read {text[:40]!r}. Give them as 2,5,9,12.")
    return check_stages([int(part) for part in parts])


def stored_options(path: str | Path) -> NetworkOptions:
    """Return the choices that a converted file carries in its metadata.

    Raises:
        CheckpointError: unreadable metadata.
    """
    written: Mapping[str, str] = read_metadata(path)
    readers = {"heads": _whole, "stages": parse_stages}  # the others are checked as text
    try:
        values = {
            name: readers.get(name, str)(written[key])
            for name, key in _KEYS.items()
            if key in written
        }
        return NetworkOptions(**values)  # type: ignore[arg-type]
    except ValueError as error:
        name, _, rest = str(error).partition(":")
        raise CheckpointError(f"{Path(path).name}: {_KEYS.get(name, name)}:{rest}") from None


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise ValueError(f"heads: cannot read {text[:40]!r} as a whole number.")
    return int(text)
