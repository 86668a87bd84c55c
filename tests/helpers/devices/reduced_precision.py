"""TF32 on a machine without it: what the switches allow to be rounded is rounded."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

_CONVOLUTIONS = ("aten.convolution.", "aten._slow_conv2d", "aten.mkldnn_convolution")
_PRODUCTS = ("aten.mm.", "aten.bmm.", "aten.addmm.", "aten.baddbmm.", "aten.matmul.")


def tf32(tensor):
    """Return float32 rounded to the nearest number with 10 bits after the first, as TF32 has."""
    bits = tensor.contiguous().view(torch.int32)
    odd = (bits >> 13) & 1
    return ((bits + 0xFFF + odd) & ~0x1FFF).view(torch.float32)


def _on(library, operation):
    if hasattr(torch.backends, "fp32_precision"):
        return torch._C._get_fp32_precision_getter(library, operation) == "tf32"
    if operation == "conv":
        return torch.backends.cudnn.allow_tf32
    return torch.get_float32_matmul_precision() != "highest"


class ReducedFloat32(TorchDispatchMode):
    """While it is on, convolutions and products round their factors where CUDA would."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        if (name.startswith(_CONVOLUTIONS) and _on("cuda", "conv")) or (
            name.startswith(_PRODUCTS) and _on("cuda", "matmul")
        ):
            args = tree_map(_rounded, args)
        return func(*args, **(kwargs or {}))


def _rounded(value):
    fits = isinstance(value, torch.Tensor) and value.dtype == torch.float32
    return tf32(value) if fits else value
