"""What the user is told: mistakes before the run, marked at the widget, and text without tags."""

from collections.abc import Callable


def said(check: Callable[..., object], *values: object) -> bool | str:
    """Return True where a check passes, else its message, as `validate_inputs` wants it.

    Args:
        check: raises ValueError or TypeError with the message for the user.
        values: of its arguments; None for one that is linked, and known only when it runs.
    """
    if any(value is None for value in values):
        return True
    try:
        check(*values)
    except (ValueError, TypeError) as error:
        return str(error)
    return True


def without_tags(text: str) -> str:
    """Return text that means the same as HTML and as plain text: angle brackets become quotes.

    Example:
        >>> without_tags("<b>depth</b>")
        '‹b›depth‹/b›'
    """
    return text.translate({ord("<"): "\u2039", ord(">"): "\u203a"})
