"""8-bit weights with a scale beside each: brought back to the numbers they stand for.

A file of scaled fp8 weights holds, for a tensor `x.weight` in float8, the factor that it was
divided by before rounding, as `x.scale_weight` (ComfyUI) or `x.weight_scale` (compressed-tensors).
Depth checkpoints, adapters and FLUX's own files are all read by this.
"""

import re

import torch

from .errors import CheckpointError
from .reading import StateDict

_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
_SCALE = re.compile(r"(.*\.)(?:scale_weight|weight_scale|weight_scale_inv)$")
# Of activations, which are computed in full here; and ComfyUI's mark of such a file.
_UNUSED = re.compile(r"(?:.*\.)?(?:scale_input|input_scale|scaled_fp8|comfy_quant)$")


def packed_weights(state: StateDict) -> list[str]:
    """Return the names of tensors in integers, which no scale beside them makes weights here.

    Tables of positions and single counters are integers in plain files, too.

    Example:
        >>> packed_weights({"a.weight": torch.zeros(2, dtype=torch.uint8), "b": torch.ones(2)})
        ['a.weight']
    """
    return [
        key
        for key, value in state.items()
        if not value.is_floating_point()
        and value.numel() > 1
        and not _UNUSED.match(key)
        and not key.endswith("position_ids")
    ]


def unscaled(state: StateDict, name: str, dtype: torch.dtype = torch.float32) -> StateDict:
    """Return the tensors with scaled 8-bit weights multiplied out; others as they are.

    Args:
        state: tensors by name.
        name: the file's, for messages.
        dtype: of the products, each rounded once from float32.

    Raises:
        CheckpointError: a scale without its weight, of another shape, or beside another number
            type; a scale for each block of a weight.

    Example:
        >>> weight = torch.tensor([[2.0, 4.0]]).to(torch.float8_e4m3fn)
        >>> unscaled({"a.weight": weight, "a.scale_weight": torch.tensor(0.5)}, "file")
        {'a.weight': tensor([[1., 2.]])}

    Reference:
        ComfyUI, `comfy/ops.py`: w = scale_weight · w_fp8.
    """
    found = {key: value for key, value in state.items() if not _UNUSED.match(key)}
    for key in list(found):
        match = _SCALE.match(key)
        if match is None:
            continue
        scale, weight = found.pop(key), f"{match[1]}weight"
        if weight not in found or found[weight].dtype not in _FLOAT8:
            raise CheckpointError(f"{name}: '{key}' has no 8-bit '{weight}' beside it.")
        found[weight] = _product(found[weight], scale, key, name).to(dtype)
    return found


def _product(weight: torch.Tensor, scale: torch.Tensor, key: str, name: str) -> torch.Tensor:
    rows = weight.shape[0] if weight.ndim else 1
    if scale.numel() not in (1, rows) or not scale.is_floating_point():
        raise CheckpointError(
            f"{name}: '{key}' expected one number or {rows}, found {list(scale.shape)} of "
            f"{scale.dtype}."
        )
    factor = scale.float().reshape(-1, *[1] * (weight.ndim - 1)) if scale.numel() > 1 else scale
    return weight.float() * factor.float()
