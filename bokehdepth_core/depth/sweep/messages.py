"""What a sweep tells while it works, for those who do not read the log.

A found tone curve or aperture, frames that are not blurred, a focus distance that does not fit: the
sweep logs them. `collected` also keeps them, for a node or a command line to show.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOG = logging.getLogger(__package__)


class _Keeper(logging.Handler):
    """Keeps the records of one thread."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.records.append(record)


@contextmanager
def collected(
    log: logging.Logger = _LOG, lowest: int = logging.INFO
) -> Iterator[list[logging.LogRecord]]:
    """Give a list that fills with what is logged in this thread.

    Args:
        log: whose messages, and those of the loggers below it; the sweep's if left out.
        lowest: level of the least important messages to keep.

    Example:
        >>> with collected() as said:
        ...     _LOG.getChild("tone").info("stack: %d frames", 2)
        >>> [record.getMessage() for record in said]
        ['stack: 2 frames']
    """
    keeper, level = _Keeper(lowest), log.level
    if not log.isEnabledFor(lowest):
        log.setLevel(lowest)
    log.addHandler(keeper)
    try:
        yield keeper.records
    finally:
        log.removeHandler(keeper)
        log.setLevel(level)
