"""Reading weight files safely: nothing in a file is run, and tensors stay on disk until used.

Files come from strangers. Whatever does not fit stops with one line that names the file and what
was found. `unwrapping.py` finds the weights inside a training file, `strict.py` renames them and
gives them to a network.
"""

import contextlib
import io
import itertools
import json
import pickle
import re
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..files.atomic import whole_file
from .archive import MOST_PICKLE, check_archive, check_storages, too_much
from .errors import LONGEST_KEY, MOST_KEYS, CheckpointError, quoted
from .pickles import check_steps
from .unwrapping import unwrap, without_wrappers

StateDict = dict[str, Tensor]


_SAFETENSORS = ".safetensors"
_PICKLES = (".pth", ".pt", ".bin", ".ckpt")
FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
_SAFER = "Use a .safetensors file."
_LFS = b"version https://git-lfs"
_DAMAGES = (
    RuntimeError,  # RecursionError too
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    ArithmeticError,
    MemoryError,
    AssertionError,
    struct.error,
)
_MOST_CONFIG = 1 << 20  # bytes of a config.json
_OLD_PICKLES = 5  # a mark, a version, the system, the weights and their order
_MOST_HEADER = 8 << 20  # bytes that a .safetensors file may take to say what is in it
_MOST_SHARED = 2  # times its own size that a file may take in memory: a few weights may be tied


def read_state_dict(path: str | Path) -> StateDict:
    """Return the tensors of a weight file by name, unwrapped, without `module.` prefixes.

    The tensors are mapped from the file and take memory only when they are used. Where a training
    file holds averaged (EMA) weights, those are returned.

    Args:
        path: .safetensors, .pth, .pt, .bin or .ckpt; or a folder with model.safetensors or
            pytorch_model.bin.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: damaged, unsafe, or without weights.
    """
    file = weight_file(path)
    if file.suffix == _SAFETENSORS:
        state: object = _read_safetensors(file)
    else:
        state = unwrap(_read_pickle(file), file.name)
    found: StateDict = {}
    for key, value in _tensors(state, file.name):
        plain = without_wrappers(key)
        if plain in found:
            raise CheckpointError(f"{file.name}: two keys mean '{plain}', one is '{key}'.")
        found[plain] = value
    if not found:
        raise CheckpointError(f"{file.name}: holds no weights. Download it again.")
    if file.suffix != _SAFETENSORS:
        check_storages(file, found.values())
    return found


def read_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in a .safetensors file, from its header alone.

    Raises:
        CheckpointError: absent, damaged, or another kind of file.
    """
    with _open_safetensors(Path(path)) as opened:
        names = _checked_names(list(opened.keys()), Path(path).name)
        return {key: tuple(opened.get_slice(key).get_shape()) for key in names}


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the text beside the weights of a .safetensors file; empty for other kinds.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: a damaged file.
    """
    file = weight_file(path)
    if file.suffix != _SAFETENSORS:
        return {}
    with _open_safetensors(file) as opened:
        return dict(opened.metadata() or {})


def read_config(path: str | Path) -> dict[str, object]:
    """Return config.json of a model folder, or of a file's own folder; empty where there is none.

    Raises:
        CheckpointError: a config.json that is not a JSON object.
    """
    path = Path(path)
    config = (path if path.is_dir() else path.parent) / "config.json"
    if not config.is_file():
        return {}
    if config.stat().st_size > _MOST_CONFIG:
        raise CheckpointError(f"{config.name}: larger than any model's. Get it again.")
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{config.name}: is not readable JSON ({error}).") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{config.name}: expected a JSON object.")
    return found


def weight_file(path: str | Path) -> Path:
    """Return the weight file that a path means: itself, or the one in a model folder.

    Raises:
        FileNotFoundError: no such file, or a folder without weights.
        CheckpointError: another kind of file.
    """
    path = Path(path)
    if path.is_dir():
        for name in FOLDER_FILES:
            if (path / name).is_file():
                return path / name
        raise FileNotFoundError(f"{path}: the folder holds no {' or '.join(FOLDER_FILES)}.")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weight file. See: bokehdepth weights list.")
    with path.open("rb") as opened:
        if opened.read(len(_LFS)) == _LFS:
            raise CheckpointError(
                f"{path.name}: a Git LFS pointer in place of the weights. Fetch it with git lfs "
                "pull, or download the file itself."
            )
    if path.suffix not in (_SAFETENSORS, *_PICKLES):
        kinds = " ".join((_SAFETENSORS, *_PICKLES))
        raise CheckpointError(f"{path.name}: expected one of {kinds}, found '{path.suffix}'.")
    return path


def write_safetensors(path: Path, state: StateDict, metadata: Mapping[str, str]) -> None:
    """Write tensors and text to a .safetensors file, whole or not at all.

    Raises:
        OSError: the file cannot be written; nothing is left of it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with whole_file(path) as part:
        try:
            save_file({k: v.contiguous() for k, v in state.items()}, part, metadata=dict(metadata))
        except SafetensorError as error:  # in place of the system's error
            raise OSError(
                f"{path}: cannot be written ({error}). Free space there, or give another place."
            ) from error


def _tensors(state: object, name: str) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{name}: expected named weights, found {type(state).__name__}.")
    _checked_names(list(state), name)
    storages: dict[int, int] = {}
    wanted = 0
    for key, value in state.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"{name}: expected a tensor under '{key}', found {type(value).__name__}."
            )
        odd = value.is_meta or value.is_quantized or value.is_nested
        if value.layout != torch.strided or odd or _claims_more_than_it_holds(value):
            raise CheckpointError(f"{name}: '{key}' is not a plain tensor.")
        storage = value.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        wanted += value.numel() * value.element_size()
        yield key, value.detach()
    if wanted > _MOST_SHARED * sum(storages.values()):
        raise CheckpointError(
            f"{name}: refused, {len(state)} tensors of {wanted / 1e9:.1f} GB share "
            f"{sum(storages.values()) / 1e9:.1f} GB. Get the file from its authors."
        )


def _checked_names(names: list[Any], name: str) -> list[str]:
    """Return the names of tensors, after checking that they can be some.

    Raises:
        CheckpointError: too many names, or one that is no text, too long or not printable.
    """
    if len(names) > MOST_KEYS:
        raise CheckpointError(f"{name}: {len(names)} tensors; no network here has {MOST_KEYS}.")
    for key in names:
        if not isinstance(key, str) or len(key) > LONGEST_KEY or not key.isprintable():
            raise CheckpointError(f"{name}: {quoted(key)} is no name of a tensor.")
    return names


def _claims_more_than_it_holds(value: Tensor) -> bool:
    # A stride of zero lets a few bytes pose as any number of gigabytes.
    return value.untyped_storage().nbytes() < value.numel() * value.element_size()


@contextmanager
def _open_safetensors(file: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
    if size > _MOST_HEADER and size <= file.stat().st_size:
        raise CheckpointError(
            f"{file.name}: its header has {size / 1e6:.0f} MB; no network here needs more than "
            f"{_MOST_HEADER / 1e6:.0f}."
        )
    try:
        with safe_open(file, framework="pt") as opened:
            yield opened
    except (SafetensorError, OSError) as error:
        raise CheckpointError(_damage(file.name, error)) from error


def _read_safetensors(file: Path) -> StateDict:
    with _open_safetensors(file) as opened:
        names = _checked_names(list(opened.keys()), file.name)
        return {key: opened.get_tensor(key) for key in names}


def _read_pickle(file: Path) -> object:
    zipped = zipfile.is_zipfile(file)
    if zipped:
        check_archive(file)
    elif not _is_pickle(file):
        raise CheckpointError(
            f"{file.name}: is not a weight file. Get it again, or choose another."
        )
    else:
        _check_old(file)
    count = itertools.count(1)

    def counted(storage: Any, _place: str) -> Any:
        """Return a storage as it is, in main memory, and stop where there are too many."""
        if next(count) > MOST_KEYS:
            raise CheckpointError(f"{file.name}: more than {MOST_KEYS} tensors; no network has.")
        return storage

    try:
        with (
            _allowing(_harmless()),
            warnings.catch_warnings(),
            contextlib.nullcontext(file) if zipped else _Described(io.FileIO(file)) as opened,
        ):
            warnings.simplefilter("ignore")  # of protocols and kinds; what does not fit is refused
            return torch.load(  # noqa: TID251 - the one place that may
                opened, map_location=counted, weights_only=True, mmap=zipped
            )
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(file.name, str(error))) from error
    except _DAMAGES as e:
        raise CheckpointError(_damage(file.name, e)) from e


def _is_pickle(file: Path) -> bool:
    """Tell whether a file can be a pickle of torch before 1.6, which starts with a mark.

    A tar archive whose first entry's name starts so is none: torch before 2.6 would unpack it.
    """
    with file.open("rb") as opened:
        start = opened.read(tarfile.BLOCKSIZE)
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return len(start) > 1 and start[0] == 0x80 and start[1] <= pickle.HIGHEST_PROTOCOL
    return False


def _check_old(file: Path) -> None:
    """Check what reading the pickles in a file of torch before 1.6 would take."""
    try:
        with _Described(io.FileIO(file)) as opened:
            check_steps(opened, _OLD_PICKLES)
    except OverflowError as error:
        raise too_much(file, error) from None


class _Described(io.BufferedReader):
    """A file of torch before 1.6, whose weights are read past it: what it reads describes them."""

    _left = MOST_PICKLE

    def read(self, size: int | None = -1, /) -> bytes:
        # No more than would be refused: a text's length may be said to be 2⁶⁰.
        room = self._left + 1
        return self._counted(super().read(room if size is None or not 0 <= size < room else size))

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._counted(super().readline(size))

    def _counted(self, found: bytes) -> bytes:
        self._left -= len(found)
        if self._left < 0:
            raise OverflowError(f"its description has more than {MOST_PICKLE / 1e6:.0f} MB")
        return found


def _refusal(name: str, reason: str) -> str:
    kinds = re.findall(r"GLOBAL ([\w.]+)", reason)
    if kinds:
        return (
            f"{name}: refused, it holds Python objects ({kinds[0]}) that could run code. {_SAFER}"
        )
    return f"{name}: is not a weight file. Get it again, or choose another."


@contextmanager
def _allowing(types: list[Any]) -> Iterator[None]:
    """Let `torch.load` read these types, given alone or as (type, name in the file), meanwhile."""
    known = torch.serialization
    if hasattr(known, "safe_globals"):
        with known.safe_globals(types):
            yield
        return
    before = known.get_safe_globals()  # torch 2.4 has neither the context nor the pairs
    pairs = [*types, (_latin1, "_codecs.encode")]
    known.add_safe_globals([_renamed(*one) if isinstance(one, tuple) else one for one in pairs])
    try:
        yield
    finally:
        known.clear_safe_globals()
        known.add_safe_globals(before)


def _latin1(text: str, _encoding: str) -> bytes:
    return text.encode("latin1")  # how numpy's numbers were pickled by old protocols


def _renamed(value: Any, name: str) -> Any:
    """Return a class or function that goes by the name that it has in a file."""
    module, _, short = name.rpartition(".")
    if isinstance(value, type):
        return type(short, (value,), {"__module__": module})

    def call(*arguments: Any) -> Any:
        return value(*arguments)

    call.__module__, call.__name__ = module, short
    return call


def _harmless() -> list[Any]:
    """Return the plain value types that training files hold beside weights."""
    core = getattr(np, "_core", None) or np.core
    scalar = core.multiarray.scalar
    types: Iterable[Any] = (type(np.dtype(kind)) for kind in "?bhilqBHILQefdgFDGUS")
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *types,
        # Paths as text without a file system behind them, whatever system wrote them.
        *[
            (kind, f"{home}.{pure}{system}Path")
            for home in ("pathlib", "pathlib._local")
            for pure in ("", "Pure")
            for system, kind in (("Posix", PurePosixPath), ("Windows", PureWindowsPath))
        ],
    ]


def _damage(name: str, error: Exception) -> str:
    text = str(error).strip().split("\n")[0].split(". ")[0][:120] or type(error).__name__
    return f"{name}: damaged ({text}). Get it again."
