"""Reading weight files: safe, unwrapped, renamed by table and loaded strictly.

Every checkpoint of the project takes this one way. Files come from strangers: nothing in them is
run, tensors stay on disk until they are used, and whatever does not fit stops with one line that
names the file and what was found.
"""

import json
import pickle
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import torch
from torch import Tensor, nn

StateDict = dict[str, Tensor]
Rules = Mapping[str, str | None]

_SAFETENSORS = ".safetensors"
_PICKLES = (".pth", ".pt", ".bin", ".ckpt")
FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
_WEIGHT_KEYS = ("model", "state_dict", "model_state_dict")
_EMA_KEYS = ("ema", "ema_state_dict", "model_ema")
_AVERAGE_KEYS = ("shadow_params", "average_params", "state_dict", "module", "model")
_SAFER = "Use a .safetensors file."
_LFS = b"version https://git-lfs"
_SHOWN = 3  # keys named in a message
_LONGEST_KEY = 200
_MOST_KEYS = 20_000
_MOST_SHARED = 2  # times its own size that a file may take in memory: a few weights may be tied


class CheckpointError(ValueError):
    """A weight file that cannot be used; the message names the file and what was found."""


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
        plain = _without_wrappers(key)
        if plain in found:
            raise CheckpointError(f"{file.name}: two keys mean '{plain}', one is '{key}'.")
        found[plain] = value
    if not found:
        raise CheckpointError(f"{file.name}: holds no weights. Download it again.")
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
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
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
    """Write tensors and text to a .safetensors file, whole or not at all."""
    from safetensors.torch import save_file

    partial = path.with_name(path.name + ".partial")
    try:
        save_file({k: v.contiguous() for k, v in state.items()}, partial, metadata=dict(metadata))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def unwrap(found: object, name: str) -> Mapping[str, object]:
    """Return the state dict inside a training file; averaged (EMA) weights win.

    Args:
        found: what the file held: a state dict, or a mapping with it under `model` or
            `state_dict` and averages under `ema`, by name or as a list in parameter order.
        name: the file's, for messages.

    Raises:
        CheckpointError: neither a state dict nor a mapping with one.
    """
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{name}: expected named weights, found {type(found).__name__}.")
    wrapped = [found[key] for key in _WEIGHT_KEYS if isinstance(found.get(key), Mapping)]
    weights = wrapped[0] if wrapped else found
    averages = [
        found[key] for key in _EMA_KEYS if isinstance(found.get(key), Mapping | list | tuple)
    ]
    averages = [one for one in averages if one]
    if not averages:
        return weights
    average = averages[0]
    if isinstance(average, Mapping):
        inner = [average[key] for key in _AVERAGE_KEYS if key in average]
        average = inner[0] if inner else average
    if not wrapped:
        weights = {}
    return _averaged(weights, average, name)


def _averaged(weights: Mapping[str, object], average: object, name: str) -> Mapping[str, object]:
    """Return weights with the averaged ones in their place, matched by name or by order."""
    if isinstance(average, Mapping):
        plain = {_without_wrappers(key): value for key, value in weights.items()}
        # Beside the weights stand numbers such as the decay.
        named = {_without_wrappers(str(k)): v for k, v in average.items() if isinstance(v, Tensor)}
        unknown = [key for key in named if plain and key not in plain]
        if unknown:
            raise CheckpointError(
                f"{name}: averaged weights have keys that the model lacks: {listed(unknown)}."
            )
        return {**plain, **named}
    values = list(average) if isinstance(average, Sequence) else []
    if len(values) != len(weights):
        raise CheckpointError(
            f"{name}: {len(values)} averaged weights for {len(weights)} keys. Without names they "
            "cannot be matched; save them by name."
        )
    for (key, weight), value in zip(weights.items(), values, strict=True):
        if getattr(weight, "shape", None) != getattr(value, "shape", None):
            raise CheckpointError(f"{name}: averaged weights are in another order at '{key}'.")
    return dict(zip(weights, values, strict=True))


def rename(state: StateDict, rules: Rules, name: str) -> StateDict:
    """Return the tensors under the names of a table of whole-key patterns.

    Args:
        state: tensors by published name.
        rules: pattern to new name; None drops the key.
        name: the file's, for messages.

    Raises:
        CheckpointError: keys that no rule matches, or two for one name.
    """
    compiled = [(re.compile(pattern), target) for pattern, target in rules.items()]
    renamed: StateDict = {}
    unexpected = []
    for key, value in state.items():
        hit = next(((m, t) for p, t in compiled if (m := p.fullmatch(key))), None)
        if hit is None:
            unexpected.append(key)
            continue
        match, target = hit
        if target is None:
            continue
        new = match.expand(target)
        if new in renamed:
            raise CheckpointError(f"{name}: two keys mean '{new}', one is '{key}'.")
        renamed[new] = value
    if unexpected:
        raise CheckpointError(f"{name}: {len(unexpected)} unexpected keys: {listed(unexpected)}.")
    return renamed


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Return a module whose weights take no memory yet, in evaluation mode."""
    with torch.device("meta"):
        module = build()
    return module.eval().requires_grad_(False)


def load_strictly(
    module: nn.Module,
    state: StateDict,
    name: str,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | Callable[[str], torch.dtype] = torch.float32,
) -> None:
    """Give a module built on the meta device its weights, each held once.

    Args:
        module: as from `build_on_meta`.
        state: tensors by the module's names.
        name: the file's, for messages.
        device: where the weights go; "meta" only checks names and shapes.
        dtype: their number type there, one for all or by key.

    Raises:
        CheckpointError: missing or unexpected keys, or another shape.
    """
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in state]
    unexpected = [key for key in state if key not in wanted]
    problems = [
        f"{len(keys)} {kind} keys: {listed(keys)}"
        for kind, keys in (("missing", missing), ("unexpected", unexpected))
        if keys
    ]
    if problems:
        raise CheckpointError(f"{name}: {'; '.join(problems)}.")
    for key, value in state.items():
        if not value.is_floating_point():
            raise CheckpointError(
                f"{name}: '{key}' holds {value.dtype}, expected floating point. Get a file that is "
                "not quantised."
            )
        if value.shape != wanted[key].shape:
            raise CheckpointError(
                f"{name}: '{key}' expected {list(wanted[key].shape)}, found {list(value.shape)}."
            )
    types = dtype if callable(dtype) else lambda key: dtype
    placed = {key: _placed(value, device, types(key)) for key, value in state.items()}
    module.load_state_dict(placed, strict=True, assign=True)
    module.requires_grad_(False)
    parts = (*module.named_parameters(), *module.named_buffers())
    stranded = [key for key, value in parts if value.is_meta]
    if stranded and torch.device(device).type != "meta":
        raise CheckpointError(f"{name}: no weights for {listed(stranded)}.")


def listed(keys: Sequence[str]) -> str:
    """Return the first few keys, quoted, for a message."""
    shown = ", ".join(_quoted(key) for key in keys[:_SHOWN])
    return shown + (" …" if len(keys) > _SHOWN else "")


def _quoted(key: object) -> str:
    """Return a key for a message: on one line, and not too long."""
    text = repr(key)
    return text if len(text) <= _LONGEST_KEY else text[: _LONGEST_KEY // 2] + "…'"


def _placed(value: Tensor, device: str | torch.device, dtype: torch.dtype) -> Tensor:
    if value.is_meta or torch.device(device).type == "meta":
        return torch.empty(value.shape, dtype=dtype, device="meta")
    return value.to(device=device, dtype=dtype, copy=True).contiguous()


def _without_wrappers(key: str) -> str:
    return re.sub(r"(^|\.)module\.", r"\1", key)  # DistributedDataParallel's prefix


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
        if value.layout != torch.strided or value.is_meta or _claims_more_than_it_holds(value):
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


def _checked_names(names: list, name: str) -> list[str]:
    """Return the names of tensors, after checking that they can be some.

    Raises:
        CheckpointError: too many names, or one that is no text, too long or not printable.
    """
    if len(names) > _MOST_KEYS:
        raise CheckpointError(f"{name}: {len(names)} tensors; no network here has {_MOST_KEYS}.")
    for key in names:
        if not isinstance(key, str) or len(key) > _LONGEST_KEY or not key.isprintable():
            raise CheckpointError(f"{name}: {_quoted(key)} is no name of a tensor.")
    return names


def _claims_more_than_it_holds(value: Tensor) -> bool:
    # A stride of zero lets a few bytes pose as any number of gigabytes.
    return value.untyped_storage().nbytes() < value.numel() * value.element_size()


@contextmanager
def _open_safetensors(file: Path) -> Iterator:
    from safetensors import SafetensorError, safe_open

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
    try:
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(  # noqa: TID251 - the one place that may
                file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
            )
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(file.name, str(error))) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError) as e:
        raise CheckpointError(_damage(file.name, e)) from e


def _refusal(name: str, reason: str) -> str:
    kinds = re.findall(r"GLOBAL ([\w.]+)", reason)
    if kinds:
        return (
            f"{name}: refused, it holds Python objects ({kinds[0]}) that could run code. {_SAFER}"
        )
    return f"{name}: is not a weight file. Get it again, or choose another."


def _harmless() -> list:
    """Return the plain value types that training files hold beside weights."""
    core = getattr(np, "_core", None) or np.core
    scalar = core.multiarray.scalar
    types: Iterable = (type(np.dtype(kind)) for kind in "?bhilqBHILQefdgFDGUS")
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
