"""What the user is told: mistakes before the run, marked at the widget, and text without tags."""

from collections.abc import Callable, Sequence


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


def check_listed(file: str, name: str, files: Sequence[str]) -> None:
    """Check that a chosen weight file is among those that are there or can be downloaded.

    Args:
        file: as its combo names it.
        name: of the input.
        files: what the combo lists now.

    Raises:
        ValueError: it is not, as in a graph of another machine.
    """
    if file not in files:
        raise ValueError(
            f"{name}: choose another, or put the file into models/bokehdepth and press R. "
            f"{file} is not there."
        )


def without_tags(text: str) -> str:
    """Return text that means the same as HTML, as Markdown and as plain text, for any front end.

    Angle brackets become quotes, and nothing is left that makes a link or a picture. Two spaces
    keep each line's end in Markdown.

    Example:
        >>> without_tags("<b>depth</b> ![a](b) [[a|b]]")
        '‹b›depth‹/b› ![a] (b) [ [a|b]]'
    """
    plain = text.translate({ord("<"): "\u2039", ord(">"): "\u203a"})
    plain = plain.replace("](", "] (").replace("[[", "[ [")
    return "  \n".join(line.rstrip(" ") for line in plain.split("\n"))
