"""How a host follows long work: plain callables for progress and for cancelling."""

from collections.abc import Callable

OnProgress = Callable[[int, int], None]
"""Called as `on_progress(done, total)`, in steps of equal work."""

CheckCancelled = Callable[[], None]
"""Called at least once a second; raises the host's own exception to stop the work."""


def ignore_progress(done: int, total: int) -> None:
    """Report progress to nobody."""


def never_cancelled() -> None:
    """Let the work run to its end."""
