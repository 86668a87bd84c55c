"""Fetching one file from a Hugging Face hub: resumed after a break, checked, then put in place.

huggingface_hub resolves names, access rights and mirrors. The transfer itself is done here, for
its own checks the size of a file but not its checksum, tries a silent server six times for 10 s
each, which nothing cancels meanwhile, and since its version 1 begins a broken download anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ..files.atomic import take_name
from .transfer import (
    CHUNK_BYTES,
    Answer,
    RefusedError,
    answer_and_bytes,
    check_location,
    in_background,
)

if TYPE_CHECKING:
    from hashlib import _Hash as _Digest

    from huggingface_hub.file_download import HfFileMetadata

_SHA256_DIGITS = 64
_REMEDY = "Nothing was kept. Try again later, or fetch it by hand."

logger = logging.getLogger(__name__)


class _TooLongError(Exception):
    """More bytes than announced."""


@dataclass(frozen=True)
class _RemoteFile:
    """What the hub says of a file: `checksum` is its SHA-256, or git's hash of a small file."""

    location: str
    size: int  # bytes, at least 1
    checksum: str
    headers: dict[str, str]

    @property
    def host(self) -> str:
        return urlsplit(self.location).hostname or ""


def download_hub_file(
    repo: str,
    filename: str,
    folder: str | Path,
    *,
    revision: str = "main",
    endpoint: str | None = None,
    token: str | bool | None = None,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Path:
    """Return the path of a hub file in `folder`, after fetching what is missing of it.

    A broken or cancelled download leaves a `.partial` file and goes on from there next time; one
    of another version of the file is removed. The file appears under its own name only when it is
    whole and its checksum is right. One process at a time fetches a file.

    Args:
        repo: "owner/name" on the hub.
        filename: path of the file inside the repository; its last part names the local file.
        folder: where it goes; made if missing.
        revision: branch, tag or commit.
        endpoint: address of the hub; None for the usual one, or what HF_ENDPOINT says.
        token: access token; None uses the stored login, False none.
        on_progress: called with (bytes here, bytes in all).
        check_cancelled: raises to stop; called for all that arrives, and four times a second
            while the server is silent.

    Raises:
        ConnectionError: the hub cannot be reached, or broke off.
        FileNotFoundError: the hub has no such file.
        PermissionError: the file is gated and this machine has no right to it.
        OSError: the disk is too full, or the file is being fetched already.
        ValueError: what arrived is not what the hub announced; it announces no size or no
            checksum; or it sends to another kind of address, or from https to http.
    """
    target = Path(folder) / Path(filename).name
    if target.exists():
        return target
    remote = _resolve(repo, filename, revision, endpoint, token, target, check_cancelled)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{remote.checksum[:16]}.partial")
    with _alone(target):
        _remove_outdated(partial, target)
        _transfer(remote, partial, target, on_progress, check_cancelled)
        take_name(partial, target)
    logger.info("downloaded %s from %s", target.name, repo)
    return target


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold a lock on the parts of a file; the lock's own file is gone afterwards."""
    from filelock import FileLock, Timeout  # huggingface_hub brings it

    path = target.with_name(f"{target.name}.partial.lock")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OSError(
            f"{target.name}: is being downloaded already. Wait until that has ended."
        ) from None
    try:
        yield
    finally:
        if os.name != "nt":  # Windows removes it at the release
            path.unlink(missing_ok=True)
        lock.release()


def _remove_outdated(partial: Path, target: Path) -> None:
    """Remove parts of other versions of a file: nothing will go on with them."""
    kind = re.compile(re.escape(target.name) + r"\.[0-9a-f]{16}\.partial")
    for other in target.parent.iterdir():
        if kind.fullmatch(other.name) and other.name != partial.name:
            other.unlink(missing_ok=True)


def _client_errors(hub_error: type[Exception]) -> list[type[Exception]]:
    """Return the base errors of the HTTP client below huggingface_hub, which has changed twice."""
    shared = (Exception, BaseException, object)
    return [base for base in hub_error.__mro__ if base not in shared]


def _by_hand(repo: str, filename: str, target: Path) -> str:
    return (
        f"Fetch {filename} by hand from https://huggingface.co/{repo} "
        f"and put it into {target.parent}."
    )


def _resolve(
    repo: str,
    filename: str,
    revision: str,
    endpoint: str | None,
    token: str | bool | None,
    target: Path,
    check_cancelled: CheckCancelled,
) -> _RemoteFile:
    """Ask the hub where a file lies, and what it is."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, utils

    hub: Any = utils  # which re-exports: `huggingface_hub.errors` has not all of these before 0.26
    unreachable: tuple[type[Exception], ...] = (
        hub.OfflineModeIsEnabled,
        OSError,
        RecursionError,  # versions before 1 follow a server that sends to itself for ever
        *_client_errors(hub.HfHubHTTPError),
    )
    url = hf_hub_url(repo, filename, revision=revision, endpoint=endpoint)
    try:
        found = next(
            in_background(lambda: [get_hf_file_metadata(url, token=token)], check_cancelled)
        )
    except hub.GatedRepoError as error:
        raise PermissionError(
            f"{filename}: {repo} is gated. Accept its licence at https://huggingface.co/{repo}, "
            f"then log in with `hf auth login`. Or: {_by_hand(repo, filename, target)}"
        ) from error
    except (hub.EntryNotFoundError, hub.RepositoryNotFoundError) as error:
        raise FileNotFoundError(f"{filename}: not found in {repo} on the hub.") from error
    except unreachable as error:
        raise ConnectionError(
            f"{filename}: the hub cannot be reached ({error.__class__.__name__}). "
            f"{_by_hand(repo, filename, target)}"
        ) from error
    headers = hub.build_hf_headers(token=token)
    return _checked(found, url, headers, filename)


def _checked(
    found: HfFileMetadata, url: str, headers: dict[str, str], filename: str
) -> _RemoteFile:
    """Return what the hub says of a file, where it says enough."""
    host = urlsplit(url).hostname
    size, etag = found.size, found.etag or ""
    if size is None or size < 1:
        said = "no size" if size is None else f"a size of {size} bytes"
        raise ValueError(f"{filename}: refused, for {host} announces {said} for it. {_REMEDY}")
    if not re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{40}", etag):
        raise ValueError(f"{filename}: refused, for {host} announces no checksum. {_REMEDY}")
    try:
        check_location(found.location, url)
    except RefusedError as error:
        raise ValueError(f"{filename}: refused, for {error}. {_REMEDY}") from error
    location = urljoin(url, found.location)
    if urlsplit(location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # the store behind the hub gets a signed address
    return _RemoteFile(location, size, etag, headers)


def _transfer(
    remote: _RemoteFile,
    partial: Path,
    target: Path,
    on_progress: OnProgress,
    check_cancelled: CheckCancelled,
) -> None:
    """Complete the partial file and check that it is the announced one.

    A part that proves wrong is removed; one that is only too short stays for the next time.
    """
    digest, done = _digest_of(partial, remote, check_cancelled)
    _check_space(remote.size - done, partial)
    try:
        if done < remote.size:
            digest, done = _receive(remote, partial, (digest, done), on_progress, check_cancelled)
    except RefusedError as error:
        raise ValueError(f"{target.name}: refused, for {error}. {_REMEDY}") from error
    except _TooLongError:
        partial.unlink(missing_ok=True)
        raise ValueError(
            f"{target.name}: refused, for {remote.host} sends more than the {remote.size} bytes "
            f"that were announced. {_REMEDY}"
        ) from None
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise _broke_off(remote, target, partial, error) from error
    if done < remote.size:
        raise _broke_off(remote, target, partial, None)
    if digest.hexdigest() != remote.checksum:
        partial.unlink()
        raise ValueError(
            f"{target.name}: the download is damaged (checksum {digest.hexdigest()[:12]}… from "
            f"{remote.host}, expected {remote.checksum[:12]}…) and was removed. "
            "Start it again."
        )


def _receive(
    remote: _RemoteFile,
    partial: Path,
    begun: tuple[_Digest, int],
    on_progress: OnProgress,
    check_cancelled: CheckCancelled,
) -> tuple[_Digest, int]:
    """Append what is missing to the partial file; return its digest and length in bytes."""
    digest, done = begun
    arriving = answer_and_bytes(_request(remote, done), check_cancelled)
    with contextlib.closing(arriving):
        answer = next(arriving)
        assert isinstance(answer, Answer)  # noqa: S101 - the first is
        if done and not _goes_on_at(answer, done):  # the server cannot resume
            digest, done = _new_digest(remote), 0
        if done + _length(answer) > remote.size:
            raise _TooLongError
        reported = done
        with partial.open("ab" if done else "wb") as file:
            for chunk in arriving:
                assert isinstance(chunk, bytes)  # noqa: S101 - all others are
                if done + len(chunk) > remote.size:
                    raise _TooLongError
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if done - reported >= CHUNK_BYTES or done == remote.size:
                    on_progress(done, remote.size)
                    reported = done
    return digest, done


def _goes_on_at(answer: Answer, done: int) -> bool:
    given = answer.headers.get("Content-Range") or ""
    return answer.status == 206 and (not given or given.startswith(f"bytes {done}-"))


def _length(answer: Answer) -> int:
    """Return the announced length of a body in bytes; 0 where none is announced."""
    given = (answer.headers.get("Content-Length") or "0").strip()
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 19 else 0


def _request(remote: _RemoteFile, done: int) -> urllib.request.Request:
    request = urllib.request.Request(remote.location)  # noqa: S310 - checked to be a web address
    for name, value in remote.headers.items():
        request.add_unredirected_header(name, value)  # a redirect must not carry the token on
    if done:
        request.add_header("Range", f"bytes={done}-")
    return request


def _broke_off(
    remote: _RemoteFile, target: Path, partial: Path, error: Exception | None
) -> ConnectionError:
    here = partial.stat().st_size if partial.exists() else 0
    cause = f" ({_line(error)})" if error else ""
    return ConnectionError(
        f"{target.name}: the download broke off after {here / 1e6:.1f} of "
        f"{remote.size / 1e6:.1f} MB from {remote.host}{cause}. Start it again and it goes on "
        "from there."
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _new_digest(remote: _RemoteFile) -> _Digest:
    """Return what makes the hub's checksum: SHA-256, or git's hash of small files."""
    if len(remote.checksum) == _SHA256_DIGITS:
        return hashlib.sha256()
    return hashlib.sha1(f"blob {remote.size}\0".encode(), usedforsecurity=False)


def _digest_of(
    partial: Path, remote: _RemoteFile, check_cancelled: CheckCancelled
) -> tuple[_Digest, int]:
    """Return the digest and length of what is here already; a part that is too long goes."""
    digest = _new_digest(remote)
    if not partial.exists():
        return digest, 0
    if partial.stat().st_size > remote.size:
        partial.unlink()
        return digest, 0
    done = 0
    with partial.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            check_cancelled()
            digest.update(chunk)
            done += len(chunk)
    return digest, done


def _check_space(needed: int, partial: Path) -> None:
    free = shutil.disk_usage(partial.parent).free
    if needed > free:
        raise OSError(
            f"{partial.parent}: {needed / 1e9:.1f} GB needed and {free / 1e9:.1f} GB free. "
            "Make room, then start again."
        )
