"""Reads focus distances from the text that a person writes."""

import math

from ...checks import plain_list

_LONGEST = 4096  # letters: hundreds of frames
_HINT = 'Write metres such as "0.5, 1, inf", or nothing where they are unknown.'


def parse_focus_distances(text: str) -> tuple[float, ...] | None:
    """Return focus distances, m, infinity allowed, from text; None where it is empty.

    Raises:
        ValueError: a part that is not a positive number, commas that may be decimal ones, or a
            text beyond 4096 letters.

    Example:
        >>> parse_focus_distances("0.5, 1 inf"), parse_focus_distances(" ")
        ((0.5, 1.0, inf), None)
    """
    if len(text) > _LONGEST:
        raise ValueError(
            f"focus_distances: at most {_LONGEST} letters are read, found {len(text)}. {_HINT}"
        )
    plain = plain_list(text, "focus_distances", "distances")
    return tuple(_distance(part) for part in plain.split()) or None


def _distance(part: str) -> float:
    shown = part if len(part) <= 40 else part[:39] + "…"
    try:
        value = float(part)
    except ValueError:
        raise ValueError(f"focus_distances: cannot read {shown!r} as a number. {_HINT}") from None
    if math.isnan(value) or value <= 0:
        raise ValueError(f"focus_distances: must be above 0, found {shown}. {_HINT}")
    return value
