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
        copies: files beside such a model that hold the same weights once more, as a glob pattern.
    """

    name: str
    repository: str
    role: str
    terms: str
    is_folder: bool = False
    gated: bool = False
    copies: str | None = None


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
        copies="flux1-*.safetensors",
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
    for file in (Path(__file__).absolute(), Path(__file__).resolve()):  # a pack may be a link
        packs = file.parents[3]
        if packs.name == "custom_nodes":
            return packs.parent / "models" / "bokehdepth"
    return Path.home() / ".cache" / "bokehdepth"


def local_path(file: PublishedFile, folder: Path) -> Path | None:
    """Return where a published file lies in `folder`, or None where it does not."""
    path = folder / file.name
    found = path.is_dir() if file.is_folder else path.is_file()
    return path if found else None


def find_weights(name: str | Path, role: str, folder: Path | None = None) -> str | Path:
    """Return the path of weights that a user named: a path, or a bare name in the weights folder.

    Args:
        name: file or model folder anywhere on this disk; or the name of one in the weights folder.
        role: what is wanted: ADAPTER, BASE_MODEL or DEPTH.
        folder: the weights folder; None for `weights_folder`.

    Returns:
        The path; or `name` as it is where it may mean something else, such as a hub's "owner/name".

    Raises:
        FileNotFoundError: the name of published weights that are not here; the message tells how
            to get them.
        ValueError: the name of published weights for another role.
    """
    given = Path(name)
    if given.exists() or given.name != str(name):
        return name
    folder = folder or weights_folder()
    published = next((file for file in PUBLISHED if file.name == str(name)), None)
    if published is not None and published.role != role:
        fitting = ", ".join(file.name for file in PUBLISHED if file.role == role)
        raise ValueError(f"{name}: for {published.role}; {role} is wanted here. Try: {fitting}.")
    if (folder / given).exists():
        return folder / given
    if published is not None:
        raise FileNotFoundError(f"{name}: not in {folder} yet. {how_to_get(published, folder)}")
    return name


def how_to_get(file: PublishedFile, folder: Path) -> str:
    """Return the sentence that tells how published weights come into `folder`."""
    if not file.is_folder:
        return f"Get it with: bokehdepth weights download {file.name}"
    page = f"https://huggingface.co/{file.repository}"
    consent = f"Accept its licence at {page}, log in with `hf auth login`, then: "
    spare = f'--exclude "{file.copies}" ' if file.copies else ""
    return (
        f"{consent if file.gated else 'Get it with: '}hf download {file.repository} {spare}"
        f'--local-dir "{folder / file.name}". Or use the file that ComfyUI has of it.'
    )


def other_files(folder: Path) -> list[Path]:
    """Return the weight files in `folder` that are not published ones, sorted by name."""
    known = {file.name for file in PUBLISHED}
    if not folder.is_dir():
        return []
    suffixes = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
    return sorted(
        path for path in folder.iterdir() if path.suffix in suffixes and path.name not in known
    )
