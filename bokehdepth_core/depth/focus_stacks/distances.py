"""Reads focus distances from the text that a person writes."""

import math
import unicodedata


def parse_focus_distances(text: str) -> tuple[float, ...] | None:
    """Return focus distances, m, infinity allowed, from text; None where it is empty.

    Raises:
        ValueError: a part that is not a positive number.

    Example:
        >>> parse_focus_distances("0.5, 1 inf"), parse_focus_distances(" ")
        ((0.5, 1.0, inf), None)
    """
    plain = unicodedata.normalize("NFKC", text).replace("、", ",").replace(";", ",")
    return tuple(_distance(part, text) for part in plain.replace(",", " ").split()) or None


def _distance(part: str, text: str) -> float:
    hint = 'Write metres such as "0.5, 1, inf", or nothing where they are unknown.'
    try:
        value = float(part)
    except ValueError:
        raise ValueError(
            f'focus_distances: cannot read {part!r} in "{text}" as a number. {hint}'
        ) from None
    if math.isnan(value) or value <= 0:
        raise ValueError(f"focus_distances: must be above 0, found {part}. {hint}")
    return value
