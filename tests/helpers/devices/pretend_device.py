"""A pretended GPU: its tensors compute on the CPU, but say that they live on cuda, mps or xpu.

What a real device refuses is refused: operands on two devices, float64 where there is none, and the
operators that PyTorch 2.4, the oldest allowed, lacks on MPS (`data/missing_on_mps.txt`, from the
operator table of its release for macOS). Operators and waits of the host for the device are
counted, the waits with the line that causes them.
"""

import collections
import sys
from pathlib import Path

import torch
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map

DATA = Path(__file__).parents[2] / "data"
_CORE = "bokehdepth_core"
# Operators that take operands of the CPU beside those of a device.
_CROSSING = ("copy_", "_to_copy", "index.Tensor", "index_put", "_index_put_impl_", "lift_fresh")
# Those that do not even take a single number that lies on the CPU.
_STRICT = ("cat", "stack", "mm", "gather", "scatter", "conv", "bucketize", "searchsorted")
_WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim")
_WITHOUT_FLOAT64 = ("mps", "xpu")


def missing_on_mps():
    """Return the operators that PyTorch 2.4 has on a CPU but not on MPS."""
    lines = (DATA / "missing_on_mps.txt").read_text(encoding="utf-8").split("\n")
    return {f"aten.{one}" for one in lines if one and not one.startswith("#")}


class PretendTensor(torch.Tensor):
    """A tensor of the CPU that says it lies on another device."""

    @staticmethod
    def __new__(cls, inner, machine):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device="meta",  # to PyTorch, which wants a driver for every other device
            requires_grad=False,
        )
        made.inner, made.machine = inner, machine
        return made

    @property
    def device(self):
        return self.machine.device

    @property
    def data(self):
        return PretendTensor(self.inner, self.machine)

    @data.setter
    def data(self, value):
        self.inner = value.inner

    def __repr__(self):
        return f"PretendTensor({self.inner!r}, {self.machine.device})"

    def new_tensor(self, data, *, dtype=None):
        return PretendTensor(torch.tensor(data, dtype=dtype or self.dtype), self.machine)

    def tolist(self):
        self.machine.waits[f"tolist at {_caller()}"] += 1
        return self.inner.tolist()

    def numpy(self, *_, **__):
        raise TypeError(f"can't convert {self.machine.device} device type tensor to numpy.")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        given = [one for one in tree_flatten((args, kwargs or {}))[0] if isinstance(one, cls)]
        return given[0].machine.run(func, args, kwargs or {})


class PretendDevice(TorchDispatchMode):
    """A device that is there as long as the block runs.

    Args:
        kind: "cuda", "mps" or "xpu".

    Attributes:
        operators: how often each operator ran on the device.
        waits: how often, and at which line of the core, the host waited for the device.
    """

    def __init__(self, kind="cuda"):
        super().__init__()
        self.device = torch.device(kind, 0)
        self.has_float64 = kind not in _WITHOUT_FLOAT64
        self.missing = missing_on_mps() if kind == "mps" else set()
        self.operators, self.waits = collections.Counter(), collections.Counter()
        # Keeps PyTorch from looking for the device's driver.
        self._quiet = FakeTensorMode(allow_non_fake_inputs=True)

    def __enter__(self):
        self._quiet.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._quiet.__exit__(*error)

    def put(self, value):
        """Return a tensor, or a module after moving its weights, on the device."""
        if isinstance(value, torch.nn.Module):
            for module in value.modules():
                for name, weight in module._parameters.items():
                    if weight is not None:
                        inner = PretendTensor(weight.data, self)
                        module._parameters[name] = torch.nn.Parameter(inner, requires_grad=False)
                for name, buffer in module._buffers.items():
                    if buffer is not None:
                        module._buffers[name] = PretendTensor(buffer, self)
            return value
        return PretendTensor(value, self)

    def count(self):
        """Return the numbers of operators and of waits so far."""
        return sum(self.operators.values()), sum(self.waits.values())

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.run(func, args, kwargs or {})

    def run(self, func, args, kwargs):
        """Run an operator as the device, or the CPU, would."""
        name, flat = str(func), tree_flatten((args, kwargs))[0]
        ours = [one for one in flat if isinstance(one, PretendTensor)]
        wanted = kwargs.get("device")
        here = bool(ours) if wanted is None else self._is_ours(wanted)
        if ours or here:
            self._check(name, flat, ours)
            self._record(name, flat, ours, here)
        inner_args, inner_kwargs = tree_map(self._inner, (args, kwargs))
        with _disable_current_modes():
            out = func(*inner_args, **inner_kwargs)
        if not here:
            return out
        known = {id(one.inner): one for one in ours}
        return tree_map(lambda one: self._outer(one, known, name), out)

    def _check(self, name, flat, ours):
        if name.removesuffix(".default") in self.missing:
            raise NotImplementedError(f"{name} is missing on {self.device}; at {_caller()}")
        foreign = [
            one
            for one in flat
            if isinstance(one, torch.Tensor)
            and not isinstance(one, PretendTensor)
            and one.device.type == "cpu"
        ]
        if not ours or not foreign or any(part in name for part in _CROSSING):
            return
        if any(one.ndim for one in foreign) or any(part in name for part in _STRICT):
            shapes = [tuple(one.shape) for one in foreign]
            raise RuntimeError(
                f"{name}: tensors on {self.device} and on the CPU {shapes}; at {_caller()}"
            )

    def _record(self, name, flat, ours, here):
        self.operators[name] += 1
        operator = name.removeprefix("aten.").split(".")[0]
        by_mask = operator in ("index", "index_put_", "_index_put_impl_") and any(
            isinstance(one, torch.Tensor) and one.dtype == torch.bool and one is not flat[-1]
            for one in flat[1:]
        )
        to_host = bool(ours) and operator == "_to_copy" and not here
        if operator in _WAITS or by_mask or to_host:
            self.waits[f"{operator} at {_caller()}"] += 1

    def _inner(self, value):
        if isinstance(value, PretendTensor):
            return value.inner
        if isinstance(value, torch.device) and self._is_ours(value):
            return torch.device("cpu")
        return value

    def _is_ours(self, device):
        return torch.device(device).type in (self.device.type, "meta")

    def _outer(self, value, known, name):
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) in known:
            return known[id(value)]
        if value.dtype in (torch.float64, torch.complex128) and not self.has_float64:
            raise TypeError(f"{name} gives {value.dtype}, which {self.device} lacks; {_caller()}")
        return PretendTensor(value, self)


def _caller():
    """Return the innermost line of the core that is being run."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if _CORE in file:
            return f"{file.rsplit(_CORE + '/', 1)[-1]}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"
