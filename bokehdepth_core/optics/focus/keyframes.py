"""Keyframes of a focus pull, read from text such as `0: 1.2 m; 48: 4 m ease`.

A keyframe says at one frame of a clip what is in focus, how strong the blur is, or both, and how
the clip comes there from the keyframe before. Frames are counted from 0.
"""

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

SUBJECT = "subject"
LAST_FRAME = 99_999  # a clip of an hour; a slip of the keyboard asks for no more
_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048, "": 1.0}
_WRITE = 'keyframes: write such as "0: 1.2 m; 48: 4 m ease"'
_LONGEST = 1 << 16  # letters: some thousand keyframes
# No more digits than a number has use for: a run of them is else tried at every length.
_NUMBER = r"(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:e[+-]?\d{1,9})?"
_DECIMAL_COMMA = re.compile(r"\d\s*,\s*\d")
_KEY = re.compile(r"(\d{1,9})\s*:(.*)", re.DOTALL)
_WORDS = re.compile(
    rf"(?:strength|k)\s*=?\s*(?P<strength>{_NUMBER})(?![\w.])"
    rf"|(?P<x>{_NUMBER})\s*,\s*(?P<y>{_NUMBER})(?![\w.,])"
    r"|(?P<infinity>infinity|inf|∞)(?:\s*m)?(?!\w)"
    rf"|(?P<distance>{_NUMBER})\s*(?P<unit>mm|cm|m|ft)?(?![\w.,])"
    r"|(?P<easing>linear|ease|hold)(?!\w)"
    rf"|(?P<subject>{SUBJECT})(?!\w)"
)

EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda share: share,
    "ease": lambda share: share * share * (3 - 2 * share),
    "hold": lambda share: 0.0 if share < 1 else 1.0,
}
"""How far the value is, 0…1, at a share of the time: evenly, smoothly (smoothstep), or at once."""

Focus = float | tuple[float, float] | str
"""What is in focus: a distance in m, a point (x, y) in shares of the picture, or the subject."""


@dataclass(frozen=True)
class Keyframe:
    """What holds at one frame.

    Attributes:
        frame: counted from 0.
        focus: a distance in m, a point (x, y) in shares, or `SUBJECT`; None leaves it.
        strength: of the blur, in the renderer's unit; None leaves it.
        easing: one of `EASINGS`, how the clip comes here from the keyframe before.
    """

    frame: int
    focus: Focus | None = None
    strength: float | None = None
    easing: str = "linear"


def parse_keyframes(text: str) -> tuple[Keyframe, ...]:
    """Return the keyframes in a text, by rising frame.

    `;` or a new line stands between them. Each is `frame: what`, where what is a distance (`1.2 m`,
    `80 cm`, `inf`), a point (`0.3,0.5`: shares of width and height), `subject`, or `strength 40`;
    focus and strength may stand together. `ease`, `linear` or `hold` at its end says how the clip
    comes there. Full-width signs are read as the plain ones; an empty text has no keyframes.

    Raises:
        TypeError: not text.
        ValueError: what cannot be read, out of range, or a frame that is named twice.

    Example:
        >>> parse_keyframes("0: 1.2 m; 48: inf ease")
        (Keyframe(frame=0, focus=1.2, strength=None, easing='linear'), \
Keyframe(frame=48, focus=inf, strength=None, easing='ease'))
        >>> parse_keyframes("０：０．３，０．５ strength 20")[0].focus
        (0.3, 0.5)
    """
    if not isinstance(text, str):
        raise TypeError(f"{_WRITE}: expected text, found {type(text).__name__}.")
    if len(text) > _LONGEST:
        raise ValueError(
            f"keyframes: write at most {_LONGEST} letters, found {len(text)}. Leave out frames "
            "that lie between others."
        )
    plain = unicodedata.normalize("NFKC", text).replace("、", ",").lower()
    keys = [_keyframe(part.strip()) for part in re.split(r"[;\n]", plain) if part.strip()]
    keys.sort(key=lambda key: key.frame)
    for one, other in pairwise(keys):
        if one.frame == other.frame:
            raise ValueError(
                f"keyframes: frame {one.frame} is named twice. Write what holds there as one, "
                f'such as "{one.frame}: 1.2 m strength 40".'
            )
    return tuple(keys)


def _keyframe(part: str) -> Keyframe:
    found = _KEY.fullmatch(part)
    if found is None:
        raise ValueError(f'{_WRITE}: cannot read "{_short(part)}" as a keyframe.')
    frame, rest = int(found[1]), found[2]
    if frame > LAST_FRAME:
        raise ValueError(
            f"keyframes: frame {frame} is beyond {LAST_FRAME}, the last one. Use a smaller number."
        )
    values: dict[str, Focus] = {}
    while rest := rest.strip():
        word = _WORDS.match(rest)
        if word is None:
            raise ValueError(
                f'{_WRITE}: cannot read "{_short(rest)}" in "{_short(part)}".{_comma_hint(part)}'
            )
        name, value = _meaning(word, part)
        if name in values:
            raise ValueError(
                f"keyframes: write one {name} for a frame, not two.{_comma_hint(part)} Found "
                f'"{_short(part)}".'
            )
        values[name], rest = value, rest[word.end() :]
    if not values.keys() & {"focus", "strength"}:
        raise ValueError(f'{_WRITE}: "{_short(part)}" says nothing about its frame.')
    return Keyframe(frame, **values)  # type: ignore[arg-type]


def _meaning(word: re.Match[str], part: str) -> tuple[str, Focus]:
    """Return which field of a keyframe a word sets, and to what."""
    if word["strength"] is not None:
        return "strength", _finite(word["strength"], part)
    if word["x"] is not None:
        point = (float(word["x"]), float(word["y"]))
        if max(point) > 1:
            raise ValueError(
                f"keyframes: write points as shares of width and height, 0…1.{_comma_hint(part)} "
                f'"{_short(part)}" lies outside of the picture.'
            )
        return "focus", point
    if word["infinity"] is not None:
        return "focus", math.inf
    if word["distance"] is not None:
        distance = _finite(word["distance"], part) * _METRES[word["unit"] or ""]
        if distance < 1e-6:
            raise ValueError(
                f'keyframes: write metres above 0, or inf for infinity: "{_short(part)}" is not '
                "above 0."
            )
        return "focus", distance
    return ("easing", word["easing"]) if word["easing"] is not None else ("focus", SUBJECT)


def _finite(text: str, part: str) -> float:
    value = float(text)
    if value > 1e6:
        raise ValueError(f'{_WRITE}: {text} in "{_short(part)}" is above a million.')
    return value


def _comma_hint(part: str) -> str:
    return " Decimals take a point: 1.2 m." if _DECIMAL_COMMA.search(part) else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "…"
