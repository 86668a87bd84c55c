"""What was encoded once, on disk: latents of pictures and tokens of prompts, by their content.

A file's name is the SHA-256 of everything that it was made from, so that a changed photo, model or
size is another file. The folder is bounded: what no run uses now goes first, the oldest before.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...weights.errors import CheckpointError
from ...weights.reading import StateDict, read_state_dict, write_safetensors

SUFFIX = ".safetensors"
_READ = 1 << 20  # bytes at once
_SAMPLED = 257  # values of each weight that a fingerprint looks at


@dataclass(frozen=True)
class Cache:
    """A bounded folder of encoded pictures and prompts.

    Attributes:
        folder: of the files; made where it is missing.
        limit: bytes that it may hold.
    """

    folder: Path
    limit: int

    def read(self, key: str) -> StateDict:
        """Return what is kept under a key, in memory of its own.

        Raises:
            CheckpointError: damaged.
            FileNotFoundError: not there.
        """
        return {name: value.clone() for name, value in read_state_dict(self._path(key)).items()}

    def found(self, key: str) -> StateDict | None:
        """Return what is kept under a key; None where there is nothing, or nothing that is whole.

        What is found counts as used now.
        """
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            state = self.read(key)
        except CheckpointError:  # it is made again, and written in its place
            return None
        os.utime(path)
        return state

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep tensors under a key.

        Raises:
            OSError: they cannot be written, as on a full disk.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        write_safetensors(self._path(key), state, {"format": "pt"})

    def make_room(self, used: Iterable[str], before: float) -> None:
        """Remove what is not used, the oldest first, until the folder is within its limit.

        Args:
            used: keys that this run needs.
            before: time, s; what was used since then is left, as other processes may need it.

        Raises:
            ValueError: what is used is more than the limit.
        """
        if not self.folder.is_dir():
            return
        kept = set(used)
        files = [one for one in self.folder.iterdir() if one.suffix == SUFFIX and _is_key(one.stem)]
        sizes = {one: one.stat() for one in files}
        needed = sum(found.st_size for one, found in sizes.items() if one.stem in kept)
        if needed > self.limit:
            raise ValueError(
                f"cache_size: {_gigabytes(needed)} or more are needed for these pairs, found "
                f"{_gigabytes(self.limit)}. Give more with --cache-size, or fewer pairs."
            )
        total = sum(found.st_size for found in sizes.values())
        for path in sorted(files, key=lambda one: sizes[one].st_mtime):
            if total <= self.limit or sizes[path].st_mtime >= before:
                return
            if path.stem not in kept:
                with contextlib.suppress(PermissionError):  # Windows: another process reads it
                    path.unlink(missing_ok=True)
                    total -= sizes[path].st_size

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"


def key_of(*parts: object) -> str:
    """Return the name of what is made from these parts.

    Example:
        >>> key_of("photo", 512) == key_of("photo", 512), len(key_of("photo"))
        (True, 64)
    """
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_READ):
            digest.update(part)
    return digest.hexdigest()


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """Return a name of weights: their names, shapes, types, and some values of each.

    Example:
        >>> fingerprint({"a": torch.zeros(3)}) == fingerprint({"a": torch.ones(3)})
        False
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach()
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        flat = value.flatten()
        step = max(1, flat.numel() // _SAMPLED)
        digest.update(flat[::step].to("cpu", torch.float64).numpy().tobytes())
    return digest.hexdigest()


def _is_key(stem: str) -> bool:
    return len(stem) == 64 and set(stem) <= set("0123456789abcdef")


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
