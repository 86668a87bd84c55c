"""What a pickle would take to read, told from its steps without making anything.

`torch.load` lets a few harmless functions be called, and every call copies what it is given. A text
that is written once and given to a hundred thousand calls takes gigabytes, and the hash of nested
tuples hours. So the steps are followed with sizes in place of values.
"""

import pickletools
from typing import IO, Any

MOST_STEPS = 500_000  # 32 for a tensor
_MOST_COST = 1 << 21  # entries, or 16 letters each, that all calls and keys are given
_LETTERS = 16
_HUGE = 1 << 40
_PUT = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GET = ("GET", "BINGET", "LONG_BINGET")
_CALLS = ("REDUCE", "NEWOBJ", "BUILD")
# What takes values off the stack: how many, or all down to a mark.
_TAKEN = {"TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "APPENDS": 0}
_TAKEN |= {"STACK_GLOBAL": 2}
_KEYS = {"SETITEM": 2, "SETITEMS": 0, "ADDITEMS": 0}
_TAKEN |= _KEYS
_EMPTY = ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET")
# A persistent name gives way to its value. Other steps, torch's reader does not know.
_NOTHING = ("PROTO", "FRAME", "STOP", "BINPERSID")
_UNBOUNDED = ("builtins bytearray", "__builtin__ bytearray")  # of a number it makes so many bytes


def check_steps(file: IO[bytes], most_pickles: int = 1) -> None:
    r"""Refuse pickles at this place of a file that would take much time or memory to read.

    Where a file is cut off or none of Python's steps, its reader stops as well.

    Args:
        file: open at the first pickle.
        most_pickles: how many follow each other.

    Raises:
        OverflowError: they would, and why.

    Example:
        >>> import io
        >>> import pickle
        >>> check_steps(io.BytesIO(pickle.dumps({"a": [1, 2]})))
        >>> nested = ()
        >>> for _ in range(40):
        ...     nested = (nested, nested)
        >>> nested = pickle.dumps([nested])[:-2] + b"K\x01s."  # as a key it would be hashed
        >>> check_steps(io.BytesIO(nested))
        Traceback (most recent call last):
        ...
        OverflowError: its calls and keys are given too much
    """
    for _ in range(most_pickles):
        if not _Steps().follow(file):
            return


class _Steps:
    """A pickle's stack and memo, with sizes in place of values.

    A size is a whole number, or a list of one where the value still grows; None is a mark.
    """

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._cost = 0

    def follow(self, file: IO[bytes]) -> bool:
        """Follow a pickle, and return whether it was one to its end."""
        steps = pickletools.genops(file)
        for _ in range(MOST_STEPS):
            try:
                step, argument, _ = next(steps)
            except StopIteration:
                return True
            except ValueError:
                return False
            try:
                self._step(step.name, argument)
            except (LookupError, TypeError):
                raise OverflowError("its description is no pickle's") from None
        raise OverflowError(f"its description has more than {MOST_STEPS} steps")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _PUT:
            self._memo[len(self._memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in _GET:
            stack.append(self._memo[argument])
        elif name in _CALLS:
            given = _size(stack.pop())
            self._pay(given)
            if name != "BUILD":
                stack[-1] = [given]
        elif name in _TAKEN:
            self._take(name)
        elif name == "GLOBAL" and argument in _UNBOUNDED:
            raise OverflowError("it makes arrays of bytes")
        elif name in _EMPTY:
            stack.append([1])
        elif name == "MARK":
            stack.append(None)
        elif name not in _NOTHING:
            letters = len(argument) if isinstance(argument, str | bytes | bytearray) else 0
            stack.append(1 + letters // _LETTERS)

    def _take(self, name: str) -> None:
        """Follow a step that puts what lies on the stack into a tuple, a list or a dictionary."""
        count = _TAKEN[name]
        items = sum(_size(self._stack.pop()) for _ in range(count)) or self._since_mark()
        if name in _KEYS:
            self._pay(items)
        if name.startswith(("TUPLE", "STACK")):
            self._stack.append(min(1 + items, _HUGE))
        else:
            grown = self._stack[-1]
            grown[0] = min(grown[0] + items, _HUGE)

    def _since_mark(self) -> int:
        """Take all down to the last mark off the stack, and return their size."""
        total = 0
        while (value := self._stack.pop()) is not None:
            total += _size(value)
        return total

    def _pay(self, size: int) -> None:
        self._cost += size
        if self._cost > _MOST_COST:
            raise OverflowError("its calls and keys are given too much")


def _size(value: int | list[int]) -> int:
    return value[0] if isinstance(value, list) else value
