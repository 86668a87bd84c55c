"""Checks before the run: what ComfyUI marks at the widget in place of an error in the middle."""

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
