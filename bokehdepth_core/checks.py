"""Checks of caller input, with messages that name the input, what was found and what to do."""

import math
import re
import unicodedata
from collections.abc import Iterable

import torch
from torch import Tensor


def check_shape(tensor: Tensor, name: str, pattern: str, hint: str = "") -> dict[str, int]:
    """Bind the letters of a pattern such as "B H W 3" to the sizes of a tensor.

    Raises:
        TypeError: `tensor` is not a tensor.
        ValueError: the sizes do not fit the pattern, or one of them is zero.

    Example:
        >>> check_shape(torch.zeros(2, 4, 6, 3), "image", "B H W 3")
        {'B': 2, 'H': 4, 'W': 6}
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"{name}: expected a tensor, found {type(tensor).__name__}. {hint}".rstrip()
        )
    dims = pattern.split()
    sizes: dict[str, int] = {}
    fits = tensor.ndim == len(dims) and all(
        size == (int(dim) if dim.isdigit() else sizes.setdefault(dim, size))
        for dim, size in zip(dims, tensor.shape, strict=True)
    )
    found = list(tensor.shape)
    if not fits:
        raise ValueError(f"{name}: expected [{','.join(dims)}], found {found}. {hint}".rstrip())
    if 0 in found:
        raise ValueError(f"{name}: is empty, found {found}. {hint}".rstrip())
    return sizes


def check_image(image: Tensor, name: str = "image", pattern: str = "B H W 3") -> dict[str, int]:
    """Check a picture: floating point, the wanted shape, every value finite.

    Raises:
        TypeError: not a floating-point tensor.
        ValueError: another shape, empty, NaN or infinite values.
    """
    hint = "Pictures are floating-point sRGB with three channels last."
    sizes = check_shape(image, name, pattern, hint)
    if not image.is_floating_point():
        raise TypeError(f"{name}: expected floating point, found {image.dtype}. {hint}")
    pictures = image if image.ndim == 4 else image[None]
    # The least and the most of a picture tell of NaN, too; answered together, for one wait.
    if not torch.isfinite(torch.stack([torch.stack(one.aminmax()) for one in pictures])).all():
        raise ValueError(f"{name}: holds NaN or infinite values. Repair the picture first.")
    return sizes


SMALLEST_DEPTH = 1e-30  # m; below it float32 has no reciprocal
LONGEST_STRENGTHS = 4096  # letters: a thousand strengths, more than any stack has
_LONGEST_SHOWN = 80  # letters of a text in a message
_DECIMAL_COMMA = re.compile(r"\d+,\d+")


def check_depth(depth: Tensor, name: str = "depth", pattern: str = "B H W") -> dict[str, int]:
    """Check a depth map: floating point, the wanted shape, every value positive or infinite.

    Raises:
        TypeError: not a floating-point tensor.
        ValueError: another shape, empty, NaN, zero or negative values.
    """
    hint = "Depth is metres without a channel axis; infinity is allowed for the sky."
    sizes = check_shape(depth, name, pattern, hint)
    if not depth.is_floating_point():
        raise TypeError(f"{name}: expected floating point, found {depth.dtype}. {hint}")
    if torch.isnan(depth).any():
        raise ValueError(f"{name}: holds NaN in {int(torch.isnan(depth).sum())} pixels. {hint}")
    if (depth <= SMALLEST_DEPTH).any():
        raise ValueError(
            f"{name}: must be positive, found {float(depth.min()):g} m as the smallest. {hint}"
        )
    return sizes


def check_number(
    value: float,
    name: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: float | None = None,
    hint: str = "",
) -> float:
    """Return `value` as a float after checking it is finite, within [low, high] and > above.

    Raises:
        ValueError: not a finite number, or outside the range.

    Example:
        >>> check_number(2, "f_number", above=0)
        2.0
        >>> check_number(-1, "f_number", above=0)
        Traceback (most recent call last):
        ValueError: f_number: must be above 0, found -1.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        shown = _shown(repr(value))
        raise ValueError(f"{name}: cannot read {shown} as a number. {hint}".rstrip()) from None
    if not math.isfinite(number):
        raise ValueError(f"{name}: expected a finite number, found {number}. {hint}".rstrip())
    if above is not None and number <= above:
        raise ValueError(f"{name}: must be above {above:g}, found {number:g}. {hint}".rstrip())
    if not low <= number <= high:
        wanted = f"{low:g} to {high:g}" if math.isfinite(high) else f"at least {low:g}"
        if above is not None and low <= above:
            wanted = f"above {above:g}, up to {high:g}"
        raise ValueError(f"{name}: expected {wanted}, found {number:g}. {hint}".rstrip())
    return number


def check_strengths(strengths: Iterable[float], name: str = "strengths") -> tuple[float, ...]:
    """Return bokeh strengths as floats, px·m, each finite and above zero.

    Raises:
        ValueError: no strength at all, or one that is not a positive finite number.
    """
    hint = 'Write bokeh strengths such as "10, 20, 30".'
    values = tuple(check_number(value, name, above=0.0, hint=hint) for value in strengths)
    if not values:
        raise ValueError(f"{name}: is empty. {hint}")
    return values


def parse_strengths(text: str, name: str = "strengths") -> tuple[float, ...]:
    """Read bokeh strengths, px·m, from text such as "10, 20, 30"; commas or spaces separate.

    Full-width digits and separators are read as the plain ones.

    Raises:
        TypeError: not text.
        ValueError: empty or very long text, a part that is not a positive finite number, or commas
            that may be decimal ones.

    Reference:
        Bokeh strength K: arXiv 2512.12425. The text's form is this project's own.

    Example:
        >>> parse_strengths("10, 20 30")
        (10.0, 20.0, 30.0)
    """
    hint = 'Write bokeh strengths such as "10, 20, 30".'
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected text, found {type(text).__name__}. {hint}")
    plain = plain_list(text, name, "strengths")
    if len(plain) > LONGEST_STRENGTHS:
        raise ValueError(f"{name}: text of {len(plain)} letters is too long. {hint}")
    numbers = []
    for part in plain.split():
        try:
            numbers.append(float(part))
        except ValueError:
            raise ValueError(
                f'{name}: cannot read {_shown(part)!r} in "{_shown(text)}" as a number. {hint}'
            ) from None
    return check_strengths(numbers, name)


def plain_list(text: str, name: str, what: str) -> str:
    """Return a typed list of numbers with plain digits, parted by spaces alone.

    Args:
        text: with spaces, commas or semicolons.
        name: of the input, for messages.
        what: its numbers are, for messages.

    Raises:
        ValueError: commas that may be decimal ones.

    Example:
        >>> plain_list("1;2, ３", "strengths", "strengths").split()
        ['1', '2', '3']
    """
    plain = unicodedata.normalize("NFKC", text).replace("、", ",").replace(";", " ")
    parts = plain.split()
    if len(parts) > 1 and all(_DECIMAL_COMMA.fullmatch(part) for part in parts):
        raise ValueError(
            f'{name}: the commas in "{_shown(text)}" may separate {what} or be decimal commas. '
            "Write decimals with a point."
        )
    return plain.replace(",", " ")


def counted(count: int, what: str) -> str:
    """Return a number with what it counts, for a message.

    >>> counted(1, "frame"), counted(2, "frame")
    ('1 frame', '2 frames')
    """
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _shown(text: str) -> str:
    """Return text for a message: on one line, and not too long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_SHOWN else line[:_LONGEST_SHOWN] + "…"
