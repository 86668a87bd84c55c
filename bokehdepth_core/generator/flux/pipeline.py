"""FLUX.1-Kontext or FLUX.2 as diffusers' pipeline, from wherever the user has it."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import torch

from ...devices import vae_dtype
from .single_files import Sources, load_single_file

_INDEX = "model_index.json"
DEFAULT_SOURCES = Sources()
OLDEST_TORCH = (2, 5)
FLUX2_PIPELINES = ("Flux2Pipeline", "Flux2KleinPipeline")


def load_pipeline(
    base_model: str | Path, dtype: torch.dtype, sources: Sources = DEFAULT_SOURCES
) -> Any:
    """Return diffusers' pipeline of the family, its networks on the CPU.

    Args:
        base_model: folder in diffusers' layout, or any file in it; a .safetensors file of
            ComfyUI's, with FLUX.1's transformer alone or with the whole model; or a repository on
            the Hugging Face hub.
        dtype: of the networks; the VAE is never float16.
        sources: of the other parts of a single file.

    Raises:
        FileNotFoundError: no such file or folder, or a missing part.
        CheckpointError: an unusable single file.
        ValueError: a folder of another kind, or several files that fit alike.
        ImportError: diffusers is not installed, or PyTorch is too old for it.
    """
    check_packages()
    path = Path(base_model)
    if path.is_file():
        homes = [one for one in path.parents[:2] if (one / _INDEX).is_file()]
        if not homes:
            return _quiet(load_single_file(path, dtype, sources))
        base_model = path = homes[0]  # one of the files of a pipeline's folder stands for it
    if path.is_dir() and not (path / _INDEX).is_file():
        raise ValueError(
            f"base_model: {path} holds no {_INDEX}. Give the folder of a whole diffusers pipeline, "
            "or a model file."
        )
    if not path.is_dir() and str(base_model).count("/") != 1:
        raise FileNotFoundError(f"base_model: {base_model} does not exist. Give a folder or file.")
    return _quiet(_from_folder(str(base_model), dtype))


def check_packages() -> None:
    """Check that diffusers can run FLUX here; the rest of the package needs neither.

    Raises:
        ImportError: diffusers is not installed, or PyTorch is older than 2.5: its
            `scaled_dot_product_attention` lacks `enable_gqa`, which diffusers 0.35 passes.
    """
    if importlib.util.find_spec("diffusers") is None:
        raise ImportError(
            "base_model: runs on the package diffusers, which is not installed. Run python -m pip "
            'install "diffusers>=0.35", or connect model, clip and vae in ComfyUI.'
        )
    found = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))
    if found < OLDEST_TORCH:
        raise ImportError(
            "base_model: diffusers runs FLUX on torch {}.{} or newer, found {}. Update torch, or "
            "connect model, clip and vae in ComfyUI.".format(*OLDEST_TORCH, torch.__version__)
        )


def _from_folder(folder: str, dtype: torch.dtype) -> Any:
    import diffusers

    release = tuple(int(part) for part in diffusers.__version__.split(".")[:2])
    types = {"default": dtype, "vae": vae_dtype(dtype)}
    options = {"dtype" if release >= (0, 42) else "torch_dtype": types}
    loader: Any = diffusers.DiffusionPipeline  # diffusers has no types
    kind = str(loader.load_config(folder).get("_class_name"))
    if kind not in FLUX2_PIPELINES:
        pipelines: Any = diffusers.FluxKontextPipeline
    elif hasattr(diffusers, kind):
        pipelines = getattr(diffusers, kind)
    else:
        raise ImportError(
            f"base_model: {kind} needs a newer diffusers than {diffusers.__version__}. Run python "
            '-m pip install -U "diffusers>=0.37".'
        )
    return pipelines.from_pretrained(folder, use_safetensors=True, **options)


def _quiet(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
