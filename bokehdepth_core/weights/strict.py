"""From a state dict to a network: renamed by a table, loaded strictly, each weight held once."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from .errors import CheckpointError, listed
from .reading import StateDict

AnyModule = TypeVar("AnyModule", bound=nn.Module)
Rules = Mapping[str, str | None]


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


def inverse(rules: Rules) -> Rules:
    r"""Return the table that leads back; keys that the given one drops have no way back.

    Args:
        rules: patterns of literal text and plain groups, each group named once in its new name.

    Example:
        >>> inverse({r"blocks\.(\d+)\.ls([12])\.gamma": r"layer.\1.scale\2"})
        {'layer\\.(\\d+)\\.scale([12])': 'blocks.\\1.ls\\2.gamma'}
    """
    back: dict[str, str] = {}
    for pattern, target in rules.items():
        if target is None:
            continue
        parts = re.split(r"(\((?:[^()\\]|\\.)*\))", pattern)
        groups, literals = parts[1::2], parts[::2]
        order = [int(number) for number in re.findall(r"\\(\d)", target)]
        texts = re.split(r"\\\d", target)
        old = re.escape(texts[0])
        for number, text in zip(order, texts[1:], strict=True):
            old += groups[number - 1] + re.escape(text)
        new = _unescaped(literals[0])
        for number, text in enumerate(literals[1:], 1):
            new += rf"\{order.index(number) + 1}" + _unescaped(text)
        back[old] = new
    return back


def _unescaped(literal: str) -> str:
    return re.sub(r"\\(.)", r"\1", literal)


def build_on_meta(build: Callable[[], AnyModule]) -> AnyModule:
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


def _placed(value: Tensor, device: str | torch.device, dtype: torch.dtype) -> Tensor:
    if value.is_meta or torch.device(device).type == "meta":
        return torch.empty(value.shape, dtype=dtype, device="meta")
    return value.to(device=device, dtype=dtype, copy=True).contiguous()
