"""Names that a file gives to what it holds, as messages and reports show them."""

from collections.abc import Iterable

LONGEST_NAME = 60  # letters shown of one name
_LETTERS = 240  # of all names of one message


def shown(names: Iterable[str]) -> str:
    r"""Return names from a file for a message, on one line: those that fit, and how many there are.

    Example:
        >>> shown(["Z", "a bell" + chr(7)])
        'Z, a bell\\x07'
        >>> shown(f"c{at}" for at in range(1000))[-24:]
        '48, c49, … (1000 in all)'
    """
    every = list(names)
    parts: list[str] = []
    for name in every:
        part = _plain(name)
        if parts and sum(len(one) + 2 for one in parts) + len(part) > _LETTERS:
            parts.append(f"… ({len(every)} in all)")
            break
        parts.append(part)
    return ", ".join(parts)


def _plain(name: str) -> str:
    """Return a name with its control characters written out, cut where it is long."""
    cut = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in cut
    )
