"""The published weight files: their names, terms and places on this disk."""

import os
from dataclasses import dataclass
from pathlib import Path

BUILT_IN = "built-in"  # in place of a file name: needs no weights
ADAPTER = "stage 1 adapter"
BASE_MODEL = "stage 1 base model"
DEPTH = "stage 2 depth"

FOLDER_VARIABLE = "BOKEHDEPTH_MODELS"


@dataclass(frozen=True)
class PublishedFile:
    """One file, or one folder of a diffusers or transformers model, as its authors publish it.

    Attributes:
        name: file or folder name, also on this disk.
        repository: Hugging Face repository that holds it.
        role: what it does here.
        terms: licence, as far as its page or that of the model it derives from states one.
        is_folder: True where the whole repository is one model.
        gated: True where its page asks for an account and consent first.
    """

    name: str
    repository: str
    role: str
    terms: str
    is_folder: bool = False
    gated: bool = False


_BOKEHDEPTH = "fogradio/BokehDepth"
_FLUX_TERMS = "FLUX.1 [dev] Non-Commercial"
PUBLISHED = (
    PublishedFile("bokeh_lora.bin", _BOKEHDEPTH, ADAPTER, f"derives from {_FLUX_TERMS}"),
    PublishedFile("DAV2_dsfa_release.pth", _BOKEHDEPTH, DEPTH, "see its page"),
    PublishedFile("UDv2_dsfa_release.pth", _BOKEHDEPTH, DEPTH, "derives from CC BY-NC 4.0"),
    PublishedFile(
        "FLUX.1-Kontext-dev",
        "black-forest-labs/FLUX.1-Kontext-dev",
        BASE_MODEL,
        _FLUX_TERMS,
        is_folder=True,
        gated=True,
    ),
    PublishedFile(
        "depth_anything_v2_vits.pth", "depth-anything/Depth-Anything-V2-Small", DEPTH, "Apache 2.0"
    ),
    PublishedFile(
        "depth_anything_v2_vitb.pth",
        "depth-anything/Depth-Anything-V2-Base",
        DEPTH,
        "CC BY-NC 4.0",
    ),
    PublishedFile(
        "depth_anything_v2_vitl.pth",
        "depth-anything/Depth-Anything-V2-Large",
        DEPTH,
        "CC BY-NC 4.0",
    ),
)


def weights_folder() -> Path:
    """Return the folder of weight files.

    The environment variable BOKEHDEPTH_MODELS names it; else, installed as a ComfyUI pack, it is
    ComfyUI's models/bokehdepth, and anywhere else a folder in the user's cache.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).expanduser()
    packs = Path(__file__).resolve().parents[2]
    if packs.name == "custom_nodes":
        return packs.parent / "models" / "bokehdepth"
    return Path.home() / ".cache" / "bokehdepth"


def local_path(file: PublishedFile, folder: Path) -> Path | None:
    """Return where a published file lies in `folder`, or None where it does not."""
    path = folder / file.name
    found = path.is_dir() if file.is_folder else path.is_file()
    return path if found else None


def other_files(folder: Path) -> list[Path]:
    """Return the weight files in `folder` that are not published ones, sorted by name."""
    known = {file.name for file in PUBLISHED}
    if not folder.is_dir():
        return []
    suffixes = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
    return sorted(
        path for path in folder.iterdir() if path.suffix in suffixes and path.name not in known
    )
