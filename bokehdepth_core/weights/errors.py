"""The error of an unusable weight file, how many keys one may have, and how they are quoted."""

from collections.abc import Sequence

MOST_KEYS = 20_000  # tensors of a file; no network here has as many
LONGEST_KEY = 200  # characters of a tensor's name
_SHOWN = 3  # keys named in a message


class CheckpointError(ValueError):
    """A weight file that cannot be used; the message names the file and what was found."""


def listed(keys: Sequence[str]) -> str:
    """Return the first few keys, quoted, for a message."""
    shown = ", ".join(quoted(key) for key in keys[:_SHOWN])
    return shown + (" …" if len(keys) > _SHOWN else "")


def quoted(key: object) -> str:
    """Return a key for a message: on one line, and not too long."""
    text = repr(key)
    return text if len(text) <= LONGEST_KEY else text[: LONGEST_KEY // 2] + "…'"
