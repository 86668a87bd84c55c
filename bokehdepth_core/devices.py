"""What differs from one kind of device to the next: number types, operators, exactness, memory.

Everything else in the package computes the same on a CPU and on CUDA, MPS and XPU devices. What may
not be assumed of all of them is decided here, once.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

# What backends say when they cannot give the memory that is asked for, in lower case. PyTorch has
# one class of error for it from 2.5 on, but several allocators and libraries do not raise it.
_NO_MEMORY = (
    "out of memory",  # CUDA, MPS and XPU
    "error_out_of_",  # below XPU: UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY, …_HOST_MEMORY, …_RESOURCES
    "can't allocate memory",  # DefaultCPUAllocator on Linux and macOS
    "not enough memory",  # DefaultCPUAllocator on Windows
    "status_alloc_failed",  # cuBLAS and cuDNN
    "invalid buffer size",  # Metal, for a buffer larger than it gives
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether a failure is a lack of memory, on any kind of device or in main memory.

    Args:
        error: any exception.

    Example:
        >>> is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9.0 GB)"))
        True
        >>> is_out_of_memory(RuntimeError("The size of tensor a (3) must match b (4)"))
        False
    """
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY)


def exact_dtype(device: torch.device) -> torch.dtype:
    """Return the most exact number type of a device: float64 where it has one, else float32.

    MPS has no float64. Of Intel's GPUs some have it. Kinds of device that are not known here are
    taken to have none.

    Args:
        device: the device that computes.

    Example:
        >>> exact_dtype(torch.device("cpu"))
        torch.float64
        >>> exact_dtype(torch.device("mps"))
        torch.float32
    """
    if device.type in ("cpu", "cuda", "meta"):
        return torch.float64
    if device.type == "xpu" and torch.xpu.get_device_properties(device).has_fp64:
        return torch.float64
    return torch.float32


def network_dtype(device: torch.device) -> torch.dtype:
    """Return the number type that a device runs networks in fastest without losing range.

    bfloat16 where it is native: NVIDIA's GPUs since Ampere, AMD's, Intel's. float16 on older GPUs
    of NVIDIA and on Apple's devices, where bfloat16 depends on the version of macOS. float32
    elsewhere.

    Args:
        device: the device that computes.

    Example:
        >>> network_dtype(torch.device("cpu"))
        torch.float32
    """
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)  # else it is emulated
        return torch.bfloat16 if native or torch.version.hip else torch.float16
    return {"mps": torch.float16, "xpu": torch.bfloat16}.get(device.type, torch.float32)


def vae_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the number type of FLUX's VAE beside networks in `dtype`: never float16.

    Its activations leave the range of float16 (`force_upcast` in its published configuration) and
    become NaN, which is a black picture.

    Args:
        dtype: that the other networks run in.

    Example:
        >>> vae_dtype(torch.float16), vae_dtype(torch.bfloat16)
        (torch.float32, torch.bfloat16)
    """
    return torch.float32 if dtype == torch.float16 else dtype


def kth_smallest(values: Tensor, rank: int) -> Tensor:
    """Return the value of a rank, a tensor without axes on the same device.

    Apple's devices have no `kthvalue` in all versions of PyTorch in use; there the values are
    sorted.

    Args:
        values: [N].
        rank: 1 for the smallest … N for the largest.

    Example:
        >>> kth_smallest(torch.tensor([3.0, 1.0, 2.0]), 2)
        tensor(2.)
    """
    if values.device.type == "mps":
        return values.sort().values[rank - 1]
    return values.kthvalue(rank).values


def interpolate(
    planes: Tensor,
    size: tuple[int, int] | None = None,
    *,
    scale_factor: tuple[float, float] | None = None,
    mode: str = "bilinear",
    antialias: bool = False,
) -> Tensor:
    """Return planes of another size, corners not aligned, on the same device.

    Apple's devices cannot interpolate bicubically or antialiased in all versions of PyTorch in use;
    there the CPU does it.

    Args:
        planes: [B,C,h,w].
        size: (height, width), px; or give `scale_factor`.
        scale_factor: new over old height and width.
        mode: "bilinear" or "bicubic".
        antialias: average where it shrinks.

    Reference:
        Keys, Cubic convolution interpolation, IEEE ASSP 1981 (a = −0.75; antialiased −0.5), as
        `torch.nn.functional.interpolate`.

    Example:
        >>> interpolate(torch.ones(1, 3, 8, 8), (4, 6), mode="bicubic", antialias=True).shape
        torch.Size([1, 3, 4, 6])
    """
    lacking = planes.device.type == "mps" and (antialias or mode == "bicubic")
    resized: Tensor = functional.interpolate(
        planes.cpu() if lacking else planes,
        size,
        scale_factor=scale_factor,
        mode=mode,
        align_corners=False,
        antialias=antialias,
    )
    return resized.to(planes.device)


@contextmanager
def without_autocast(device: torch.device) -> Iterator[None]:
    """Let the block compute in the number types of its tensors, also within `torch.autocast`.

    Example:
        >>> with torch.autocast("cpu", torch.bfloat16), without_autocast(torch.device("cpu")):
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.float32
    """
    if device.type in ("cpu", "cuda") and torch.is_autocast_enabled(device.type):
        with torch.autocast(device.type, enabled=False):
            yield
    else:
        yield


@contextmanager
def exact_float32() -> Iterator[None]:
    """Multiply matrices and convolve in whole float32 while the block runs.

    TF32, PyTorch's default for convolutions on NVIDIA GPUs since Ampere, keeps 10 of the 23 bits
    that follow a float32 number's first. That is enough for networks, but not where the difference
    of two nearly equal results matters. bfloat16 on CPUs and Intel's GPUs is switched off likewise.

    PyTorch's switches are those of the whole process, so other threads compute exactly as well,
    meanwhile. Blocks may be nested, and may overlap in several threads: the first to begin
    remembers the switches, the last to end puts them back.

    Example:
        >>> a = torch.rand(4, 4)
        >>> with exact_float32():
        ...     product = a @ a
    """
    _SWITCHES.hold()
    try:
        yield
    finally:
        _SWITCHES.release()


class _Switches:
    """PyTorch's switches for reduced float32 arithmetic, held off while anybody wants it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._before: list[str | bool] = []

    def hold(self) -> None:
        """Switch reduced arithmetic off, if nobody has done so yet."""
        with self._lock:
            if self._holders == 0:
                self._before = _switch_off()
            self._holders += 1

    def release(self) -> None:
        """Put the switches back, if nobody else wants them off."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                _switch_back(self._before)


_SWITCHES = _Switches()


# From 2.9 on PyTorch has one switch for each library and operation, whose value "none" stands for
# the one above it: the library's, and above that the process's. Earlier switches still exist, but
# they warn, and raise where they disagree with the new ones; what is computed follows the new ones.
_LIBRARY_OPERATIONS = (
    ("cuda", "matmul"),
    ("cuda", "conv"),
    ("mkldnn", "matmul"),
    ("mkldnn", "conv"),
)


def _has_new_switches() -> bool:
    return hasattr(torch.backends, "fp32_precision")


def _place(library: str, operation: str) -> object:
    """Return what holds the switch `fp32_precision` of an operation."""
    if (library, operation) == ("cuda", "conv"):
        return torch.backends.cudnn.conv  # type: ignore[attr-defined]
    return getattr(getattr(torch.backends, library), operation)


def _switch_off() -> list[str | bool]:
    """Ask for whole float32; return what to give to `_switch_back`."""
    onednn = _reduced_onednn()
    if onednn:
        torch.backends.mkldnn.allow_tf32 = False  # type: ignore[assignment]
    if _has_new_switches():
        places = [_place(*one) for one in _LIBRARY_OPERATIONS]
        before = [place.fp32_precision for place in places]  # type: ignore[attr-defined]
        for place in places:
            place.fp32_precision = "ieee"  # type: ignore[attr-defined]
        return [onednn, *before]
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    return [onednn, matmul, convolution]


def _switch_back(before: list[str | bool]) -> None:
    onednn, *rest = before
    if onednn:
        torch.backends.mkldnn.allow_tf32 = True  # type: ignore[assignment]
    if not _has_new_switches():
        torch.set_float32_matmul_precision(str(rest[0]))
        torch.backends.cudnn.allow_tf32 = bool(rest[1])
        return
    for one, wanted in zip(_LIBRARY_OPERATIONS, rest, strict=True):
        place = _place(*one)
        place.fp32_precision = "none"  # type: ignore[attr-defined]
        if place.fp32_precision != wanted:  # type: ignore[attr-defined]
            place.fp32_precision = wanted  # type: ignore[attr-defined]


def _reduced_onednn() -> bool:
    """Tell whether Intel's GPUs use TF32; a switch of builds for them alone, since torch 2.6."""
    return bool(getattr(torch.backends.mkldnn, "allow_tf32", False))
