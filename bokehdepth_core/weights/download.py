"""Fetching one file from a Hugging Face hub: resumed after a break, checked, then put in place.

huggingface_hub resolves names, access rights and mirrors. It no longer resumes a broken download,
and these files have up to 12 GB, so the transfer itself is done here.
"""

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
from urllib.parse import urlsplit

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _RemoteFile:
    """What the hub says of a file; `sha256` is None where it only knows a git hash."""

    location: str
    size: int | None
    etag: str
    sha256: str | None
    headers: dict[str, str]


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

    A broken or cancelled download leaves a `.partial` file and goes on from there next time. The
    file appears under its own name only when it is whole and its checksum is right. One process at
    a time fetches a file.

    Args:
        repo: "owner/name" on the hub.
        filename: path of the file inside the repository; its last part names the local file.
        folder: where it goes; made if missing.
        revision: branch, tag or commit.
        endpoint: address of the hub; None for the usual one, or what HF_ENDPOINT says.
        token: access token; None uses the stored login, False none.
        on_progress: called with (bytes here, bytes in all).
        check_cancelled: raises to stop; called for all that arrives, at least every 1 MiB.

    Raises:
        ConnectionError: the hub cannot be reached, or broke off.
        FileNotFoundError: the hub has no such file.
        PermissionError: the file is gated and this machine has no right to it.
        OSError: the disk is too full, or the file is being fetched already.
        ValueError: what arrived is not what the hub announced.
    """
    target = Path(folder) / Path(filename).name
    if target.exists():
        return target
    remote = _resolve(repo, filename, revision, endpoint, token, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    tag = re.sub(r"\W", "", remote.etag)[:16]
    partial = target.with_name(f"{target.name}.{tag}.partial")
    with _alone(partial, target.name):
        digest = _transfer(remote, partial, target, on_progress, check_cancelled)
        if remote.sha256 is not None and digest != remote.sha256:
            partial.unlink()
            raise ValueError(
                f"{target.name}: the download is damaged (sha256 {digest[:12]}…, expected "
                f"{remote.sha256[:12]}…) and was removed. Start it again."
            )
        partial.replace(target)
    logger.info("downloaded %s from %s", target.name, repo)
    return target


@contextmanager
def _alone(partial: Path, name: str) -> Iterator[None]:
    """Hold a lock on a partial file; the lock's own file is gone afterwards."""
    from filelock import FileLock, Timeout  # huggingface_hub brings it

    path = partial.with_name(partial.name + ".lock")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OSError(f"{name}: is being downloaded already. Wait until that has ended.") from None
    try:
        yield
    finally:
        if os.name != "nt":  # Windows removes it at the release
            path.unlink(missing_ok=True)
        lock.release()


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
) -> _RemoteFile:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    unreachable: tuple[type[Exception], ...] = (
        OfflineModeIsEnabled,
        OSError,
        *_client_errors(HfHubHTTPError),
    )
    url = hf_hub_url(repo, filename, revision=revision, endpoint=endpoint)
    try:
        found = get_hf_file_metadata(url, token=token, endpoint=endpoint)
    except GatedRepoError as error:
        raise PermissionError(
            f"{filename}: {repo} is gated. Accept its licence at https://huggingface.co/{repo}, "
            f"then log in with `hf auth login`. Or: {_by_hand(repo, filename, target)}"
        ) from error
    except (EntryNotFoundError, RepositoryNotFoundError) as error:
        raise FileNotFoundError(f"{filename}: not found in {repo} on the hub.") from error
    except unreachable as error:
        raise ConnectionError(
            f"{filename}: the hub cannot be reached ({error.__class__.__name__}). "
            f"{_by_hand(repo, filename, target)}"
        ) from error
    etag = found.etag or ""
    headers = build_hf_headers(token=token)
    if urlsplit(found.location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # the store behind the hub gets a signed address
    checksum = etag if re.fullmatch(r"[0-9a-f]{64}", etag) else None
    return _RemoteFile(found.location, found.size, etag, checksum, headers)


def _transfer(
    remote: _RemoteFile,
    partial: Path,
    target: Path,
    on_progress: OnProgress,
    check_cancelled: CheckCancelled,
) -> str:
    """Complete the partial file and return its SHA-256."""
    digest = hashlib.sha256()
    done = _digest_of(partial, digest, check_cancelled)
    if remote.size is not None and done > remote.size:
        partial.unlink()
        done, digest = 0, hashlib.sha256()
    if remote.size is not None:
        _check_space(remote.size - done, partial)
    if remote.size is None or done < remote.size:
        try:
            with urllib.request.urlopen(_request(remote, done), timeout=TIMEOUT_S) as answer:  # noqa: S310
                if done and answer.status != 206:  # the server cannot resume
                    done, digest = 0, hashlib.sha256()
                total = remote.size or done + int(answer.headers.get("Content-Length") or 0)
                reported = done
                with partial.open("ab" if done else "wb") as file:
                    # What is there, not a whole chunk: a slow line can be cancelled, too.
                    while chunk := answer.read1(CHUNK_BYTES):
                        check_cancelled()
                        file.write(chunk)
                        digest.update(chunk)
                        done += len(chunk)
                        if done - reported >= CHUNK_BYTES or done == total:
                            on_progress(done, max(total, done))
                            reported = done
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            raise _broke_off(target, done, error) from error
    if done != (remote.size or done) or partial.stat().st_size != done:
        raise _broke_off(target, done, None)
    return digest.hexdigest()


def _request(remote: _RemoteFile, done: int) -> urllib.request.Request:
    request = urllib.request.Request(remote.location)  # noqa: S310 - the hub's own answer
    for name, value in remote.headers.items():
        request.add_unredirected_header(name, value)  # a redirect must not carry the token on
    if done:
        request.add_header("Range", f"bytes={done}-")
    return request


def _broke_off(target: Path, done: int, error: Exception | None) -> ConnectionError:
    cause = f" ({error})" if error else ""
    return ConnectionError(
        f"{target.name}: the download broke off after {done / 1e6:.1f} MB{cause}. "
        "Start it again and it goes on from there."
    )


def _digest_of(partial: Path, digest: "hashlib._Hash", check_cancelled: CheckCancelled) -> int:
    if not partial.exists():
        return 0
    with partial.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            check_cancelled()
            digest.update(chunk)
    return partial.stat().st_size


def _check_space(needed: int, partial: Path) -> None:
    free = shutil.disk_usage(partial.parent).free
    if needed > free:
        raise OSError(
            f"{partial.parent}: {needed / 1e9:.1f} GB needed and {free / 1e9:.1f} GB free. "
            "Make room, then start again."
        )
