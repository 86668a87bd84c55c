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

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.records.append(record)


@contextmanager
def collected() -> Iterator[list[logging.LogRecord]]:
    """Give a list that fills with what sweeps in this thread log, from INFO upwards.

    Example:
        >>> with collected() as said:
        ...     _LOG.getChild("tone").info("stack: %d frames", 2)
        >>> [record.getMessage() for record in said]
        ['stack: 2 frames']
    """
    keeper, level = _Keeper(), _LOG.level
    if not _LOG.isEnabledFor(logging.INFO):
        _LOG.setLevel(logging.INFO)
    _LOG.addHandler(keeper)
    try:
        yield keeper.records
    finally:
        _LOG.removeHandler(keeper)
        _LOG.setLevel(level)
