"""ComfyUI's services: devices, progress, cancelling, the model folder, and its older versions."""

import inspect
from pathlib import Path

import comfy.model_management as mm
import comfy.model_patcher
import comfy.utils
import folder_paths
import torch
from torch import Tensor

from ..bokehdepth_core.download import download_hub_file
from ..bokehdepth_core.weights import PUBLISHED

FOLDER = "bokehdepth"
WEIGHT_SUFFIXES = {".safetensors", ".bin", ".pth"}
CATEGORY = "BokehDepth"
_NEWER_OPTIONS = {"advanced", "search_aliases", "essentials_category"}
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
PRECISIONS = ["auto", *_DTYPES]


def fit(make, *args, **options):
    """Call `make` without the options that this ComfyUI does not know yet."""
    known = inspect.signature(make).parameters
    return make(
        *args, **{k: v for k, v in options.items() if k in known or k not in _NEWER_OPTIONS}
    )


def register_model_folder() -> None:
    """Make models/bokehdepth a model folder, beside what extra_model_paths.yaml names."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))
    folder_paths.folder_names_and_paths[FOLDER][1].update(WEIGHT_SUFFIXES)


def model_files() -> list[str]:
    """Return the weight files in the model folders, by their names in a combo."""
    return folder_paths.get_filename_list(FOLDER)


def download_folder() -> Path:
    """Return the folder that downloads go into: the first one registered."""
    return Path(folder_paths.get_folder_paths(FOLDER)[0])


def model_path(name: str) -> str:
    """Return where a weight file lies.

    Raises:
        FileNotFoundError: it was moved or deleted since the combo was made.
    """
    return folder_paths.get_full_path_or_raise(FOLDER, name)


def downloadable(role: str) -> list[str]:
    """Return the published files of a role that are not in the model folders yet."""
    here = set(model_files())
    return [
        file.name
        for file in PUBLISHED
        if file.role == role and not file.is_folder and file.name not in here
    ]


def fetch_model(name: str) -> str:
    """Return where a weight file lies, after downloading it where it is a published one.

    Raises:
        FileNotFoundError: neither in the model folders nor a published file.
        ConnectionError: the hub cannot be reached, or broke off.
    """
    published = next((file for file in PUBLISHED if file.name == name), None)
    if published is None or folder_paths.get_full_path(FOLDER, name) is not None:
        return model_path(name)
    fetched = download_hub_file(
        published.repository,
        published.name,
        download_folder(),
        on_progress=progress(),
        check_cancelled=check_cancelled,
    )
    return str(fetched)


def managed(network):
    """Return a network, its weights on the CPU, under ComfyUI's model management."""
    kind = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    return kind(network, load_device=device(), offload_device=mm.unet_offload_device())


def load(patcher, activation_bytes: int) -> int:
    """Put a managed network onto its device, with room to work; return the bytes then free.

    Where memory is short ComfyUI loads a share of a network and streams the rest, but only layers
    of its own classes can be streamed: others would stay on the CPU. These networks then come whole
    (UniDepthV2 ViT-L with DSFA, the largest published: 464 million weights, 1.9 GB in fp32).
    """
    mm.load_models_gpu([patcher], memory_required=activation_bytes)
    target = patcher.load_device
    dynamic = getattr(patcher, "is_dynamic", bool)()
    if not dynamic and any(p.device != target for p in patcher.model.parameters()):
        patcher.load(target, full_load=True)
    return mm.get_free_memory(patcher.load_device)


def file_state(name: str) -> tuple:
    """Return what changes when a weight file does; the name alone for built-in entries."""
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None:
        return (name,)
    facts = Path(path).stat()
    return name, facts.st_size, facts.st_mtime_ns


def device() -> torch.device:
    """Return the device that ComfyUI computes on."""
    return mm.get_torch_device()


def dtype(precision: str) -> torch.dtype:
    """Return the number type of a network: the chosen one, or the best the device is fast at."""
    if precision != "auto":
        return _DTYPES[precision]
    if mm.should_use_bf16(device()):
        return torch.bfloat16
    return torch.float16 if mm.should_use_fp16(device()) else torch.float32


def make_room(needed_bytes: int) -> None:
    """Let ComfyUI unload models until this much memory is free on the computing device."""
    mm.free_memory(needed_bytes, device())


def result(tensor: Tensor) -> Tensor:
    """Return a tensor as ComfyUI wants results: float32, where intermediate results lie."""
    return tensor.to(mm.intermediate_device(), torch.float32)


def check_cancelled() -> None:
    """Raise ComfyUI's own exception where the user pressed cancel."""
    mm.throw_exception_if_processing_interrupted()


def progress(item: int = 0, items: int = 1, bar=None):
    """Return a callable `on_progress(done, total)` that moves the bar on the node.

    Args:
        item: number of the running item of a batch, from 0.
        items: how many items share the bar.
        bar: the bar of the earlier items; None starts one.
    """
    bar = bar or start_bar()

    def on_progress(done: int, total: int) -> None:
        share = (item + done / max(total, 1)) / items
        bar.update_absolute(round(share * bar.total), bar.total)

    return on_progress


def start_bar():
    """Return a progress bar of 1000 steps for the running node."""
    return comfy.utils.ProgressBar(1000)
