"""Bytes from a web server that may be silent: asked for in the background, so that waiting ends.

A blocked read cannot be interrupted on every system. A thread reads, and who waits for it asks a
few times a second whether to go on; after a cancel the thread ends with its next byte or timeout.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import urllib.request
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import IO, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from ..callbacks import CheckCancelled

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30.0
_TICK_S = 0.25
_WEB = ("http", "https")

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    error: BaseException | None


class RefusedError(ValueError):
    """A server sent elsewhere in a way that is not followed."""


def _run(
    make: Callable[[], Iterable[T]], arrived: queue.Queue[T | _End], given_up: threading.Event
) -> None:
    """Put what an iterable gives into a queue, and its end or error, until nobody wants it."""

    def put(item: T | _End) -> bool:
        while not given_up.is_set():
            with contextlib.suppress(queue.Full):
                arrived.put(item, timeout=_TICK_S)
                return True
        return False

    error = None
    try:
        for item in make():
            if not put(item):
                break
    except BaseException as raised:  # noqa: BLE001 - raised again where it is waited for
        error = raised
    put(_End(error))


def in_background(make: Callable[[], Iterable[T]], check_cancelled: CheckCancelled) -> Iterator[T]:
    """Yield what an iterable gives, which is made and run in a thread of its own.

    Args:
        make: makes the iterable, in that thread.
        check_cancelled: asked for every item, and four times a second while none comes.

    Raises:
        Exception: what the iterable raised, or `check_cancelled`.
    """
    arrived: queue.Queue[T | _End] = queue.Queue(maxsize=4)
    given_up = threading.Event()
    run = functools.partial(_run, make, arrived, given_up)
    threading.Thread(target=run, name="download", daemon=True).start()
    try:
        while True:
            check_cancelled()
            try:
                item = arrived.get(timeout=_TICK_S)
            except queue.Empty:
                continue
            if not isinstance(item, _End):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                return
    finally:
        given_up.set()


def check_location(address: str, before: str) -> None:
    """Refuse an address that a server must not send to.

    Args:
        address: where a server sends.
        before: the address that was asked.

    Raises:
        RefusedError: no web address, or one without encryption after one with it.
    """
    old, new = urlsplit(before), urlsplit(urljoin(before, address))
    host = old.hostname or before
    if new.scheme not in _WEB or not new.hostname:
        kind = new.scheme or "?"
        raise RefusedError(f"{host} sends to an address of the kind '{kind}:', not to a web server")
    if old.scheme == "https" and new.scheme != "https":
        raise RefusedError(f"{host} sends to {new.hostname} without encryption")


class _Redirects(urllib.request.HTTPRedirectHandler):
    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
    ) -> Any:
        fp.close()  # or it would be read to its end, however long it is
        check_location(headers.get("location") or headers.get("uri") or "", req.full_url)
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener of web addresses alone: the usual one reads `file:` and `ftp:`, too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


@dataclass(frozen=True)
class Answer:
    """What a server says before the first byte of a file.

    Attributes:
        status: 200 for a whole file, 206 for a part of it.
        headers: the answer's.
    """

    status: int
    headers: HTTPMessage


def answer_and_bytes(
    request: urllib.request.Request, check_cancelled: CheckCancelled
) -> Generator[Answer | bytes, None, None]:
    """Yield a server's answer, then what arrives, in pieces of at most 1 MiB.

    Args:
        request: for a web address.
        check_cancelled: asked for every piece, and four times a second while none comes.

    Raises:
        OSError: the server cannot be reached, breaks off, or is silent for 30 s.
        http.client.HTTPException: it does not speak HTTP.
        RefusedError: it sends elsewhere in a way that is not followed.
    """

    def run() -> Iterator[Answer | bytes]:
        with _opener().open(request, timeout=TIMEOUT_S) as answer:
            yield Answer(answer.status, answer.headers)
            # What is there, not a whole chunk: a slow line shows progress, too.
            while chunk := answer.read1(CHUNK_BYTES):
                yield chunk

    yield from in_background(run, check_cancelled)
