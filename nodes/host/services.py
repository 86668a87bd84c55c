"""ComfyUI's services: devices, progress, cancelling, the model folder, and its older versions."""

import copy
import inspect
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

import comfy.cli_args
import comfy.latent_formats
import comfy.model_management as mm
import comfy.model_patcher
import comfy.utils
import folder_paths
import latent_preview
import torch
from comfy_api.latest import io
from torch import Tensor

from ...bokehdepth_core.generator.flux.single_files import Sources
from ...bokehdepth_core.generator.placement import TEXT_ENCODERS, TRANSFORMER, VAE
from ...bokehdepth_core.weights.download import download_hub_file
from ...bokehdepth_core.weights.errors import CheckpointError
from ...bokehdepth_core.weights.published import PUBLISHED
from .early import without_tags

FOLDER = "bokehdepth"
# Above the loggers of the core and of the nodes, whatever name ComfyUI loads the pack by.
PACK_LOG = logging.getLogger(__name__.removesuffix(".nodes.host.services"))
# ComfyUI's own folders with whole models, or FLUX's transformer, and with its other parts.
BASE_MODEL_FOLDERS = ("diffusion_models", "checkpoints")
PART_FOLDERS = ("text_encoders", "vae")
WEIGHT_SUFFIXES = {".safetensors", ".bin", ".pth"}
CATEGORY = "BokehDepth"
_FETCHED: dict[str, tuple] = {}  # state of files when they had just been downloaded
_NEWER_OPTIONS = {
    "advanced",
    "search_aliases",
    "essentials_category",
    "has_intermediate_output",
}
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
PRECISIONS = ["auto", *_DTYPES]


def fit(make, *args, **options):
    """Call `make` without the options that this ComfyUI does not know yet.

    The inputs of a schema are shown with spaces in place of the underscores of their ids.
    """
    known = inspect.signature(make).parameters
    made = make(
        *args, **{k: v for k, v in options.items() if k in known or k not in _NEWER_OPTIONS}
    )
    for one in made.inputs if isinstance(made, io.Schema) else ():
        one.display_name = one.display_name or one.id.replace("_", " ")
    return made


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


def base_models() -> list[str]:
    """Return ComfyUI's own model files that can be a base model, by folder and name."""
    return [
        f"{kind}/{name}"
        for kind in BASE_MODEL_FOLDERS
        for name in folder_paths.get_filename_list(kind)
        if Path(name).suffix == ".safetensors"
    ]


def model_path(name: str) -> str:
    """Return where a file of `model_files` or `base_models` lies.

    Raises:
        FileNotFoundError: it was moved or deleted since the combo was made.
    """
    found = _find(name)
    if found is None:
        raise FileNotFoundError(
            f"{name}: no such file in models/{FOLDER} any more. Reload the page and choose again."
        )
    return found


def _find(name: str) -> str | None:
    kind, _, rest = name.partition("/")
    own = folder_paths.get_full_path(FOLDER, name)
    if own is None and kind in BASE_MODEL_FOLDERS:
        return folder_paths.get_full_path(kind, rest)
    return own


def flux_sources() -> Sources:
    """Return where ComfyUI keeps the other parts of FLUX, and its tokenizers."""
    comfy_home = Path(comfy.utils.__file__).parent
    return Sources(
        [folder for kind in PART_FOLDERS for folder in folder_paths.get_folder_paths(kind)],
        (comfy_home / "sd1_tokenizer", comfy_home / "text_encoders" / "t5_tokenizer"),
    )


FLOATS_OF_RESULTS = 9  # for each pixel: picture, coverage, radius twice, view of the focus


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
    _FETCHED[name] = _facts(fetched)
    return str(fetched)


def managed(network, disable_dynamic: bool = False):
    """Return a network, its weights on the CPU, under ComfyUI's model management.

    Args:
        network: the module.
        disable_dynamic: take the kind of management that moves whole weights.
    """
    plain = comfy.model_patcher.ModelPatcher
    kind = plain if disable_dynamic else getattr(comfy.model_patcher, "CoreModelPatcher", plain)
    patcher = kind(network, load_device=device(), offload_device=mm.unet_offload_device())
    patcher.cached_patcher_init = (_another, (network,))  # how ComfyUI makes one for another GPU
    return patcher


def _another(network, disable_dynamic: bool = False):
    return managed(copy.deepcopy(network), disable_dynamic)


def load(patchers: list, activation_bytes: int) -> int:
    """Put managed networks onto their device, with room to work; return the bytes then free.

    Where memory is short ComfyUI loads a share of a network and streams the rest, but only layers
    of its own classes can be streamed: others would stay on the CPU. These networks then come whole
    (UniDepthV2 ViT-L with DSFA, the largest published: 464 million weights, 1.9 GB in fp32).
    """
    mm.load_models_gpu(patchers, memory_required=activation_bytes)
    for patcher in patchers:
        target = patcher.load_device
        dynamic = getattr(patcher, "is_dynamic", bool)()
        weights = patcher.model.parameters()
        if not dynamic and any(weight.device.type != target.type for weight in weights):
            patcher.load(target, full_load=True)
    return mm.get_free_memory(patchers[0].load_device)


class ManagedParts:
    """A diffusers pipeline's networks under ComfyUI's model management; the core's `Placement`.

    Attributes:
        device: the device that ComfyUI computes on.
    """

    def __init__(self, pipeline) -> None:
        self.device = device()
        # Each in a holder: ComfyUI writes a device onto what it manages, these networks refuse it.
        self._patchers = {
            name: managed(torch.nn.ModuleDict({name: getattr(pipeline, name)}))
            for name in (*TEXT_ENCODERS, *TRANSFORMER, *VAE)
            if getattr(pipeline, name, None) is not None
        }

    def bring(self, names: Sequence[str], needed_bytes: int) -> int:
        """Put parts on the device, with memory to work in; return the bytes free there."""
        there = [self._patchers[name] for name in names if name in self._patchers]
        return load(there, needed_bytes)


def file_state(name: str) -> tuple:
    """Return what changes when a weight file does; the name alone for built-in entries.

    A download changes nothing: the file is what the graph that fetched it asked for.
    """
    path = _find(name)
    if path is None or _facts(path) == _FETCHED.get(name):
        return (name,)
    return name, *_facts(path)


def _facts(path: str | Path) -> tuple:
    facts = Path(path).stat()
    return facts.st_size, facts.st_mtime_ns


def device() -> torch.device:
    """Return the device that ComfyUI computes on."""
    return mm.get_torch_device()


def moves() -> bool:
    """Return whether pictures are copied to the device: they wait in main memory."""
    return device().type != "cpu"


def dtype(precision: str) -> torch.dtype:
    """Return the number type of a network: the chosen one, or the best the device is fast at."""
    if precision != "auto":
        return _DTYPES[precision]
    if mm.should_use_bf16(device()):
        return torch.bfloat16
    return torch.float16 if mm.should_use_fp16(device()) else torch.float32


def check_results_fit(name: str, where: str, count: int, size: tuple[int, int]) -> None:
    """Refuse results that this machine's memory cannot hold, before any of it is taken.

    Args:
        name: of the input that asks for so many pictures.
        where: fewer are to be taken.
        count: of the pictures.
        size: their height and width, px.

    Raises:
        ValueError: more bytes than are free.
    """
    needed = 4 * FLOATS_OF_RESULTS * count * size[0] * size[1]
    free = mm.get_free_memory(torch.device("cpu"))
    if needed > free:
        raise ValueError(
            f"{name}: take fewer frames {where}: {count} pictures of {size[1]}x{size[0]} px need "
            f"{needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free."
        )


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


def previewer(bar) -> Callable[[Tensor], None] | None:
    """Return what shows FLUX's latents [n,C,h,w] on the node as they grow; None where switched off.

    Args:
        bar: the bar of the node, which carries the pictures.
    """
    kinds = {16: "Flux", 128: "Flux2"}  # by channels; an older ComfyUI may lack the second
    known = {
        channels: latent_preview.get_previewer(device(), getattr(comfy.latent_formats, name)())
        for channels, name in kinds.items()
        if hasattr(comfy.latent_formats, name)
    }
    if not any(known.values()):
        return None

    def show(latents: Tensor) -> None:
        decoder = known.get(latents.shape[1])
        if decoder is not None:
            picture = decoder.decode_latent_to_preview_image("JPEG", latents[:1])
            bar.update_absolute(bar.current, bar.total, picture)

    return show


def start_bar():
    """Return a progress bar of 1000 steps for the running node."""
    return comfy.utils.ProgressBar(1000)


def show_text(text: str) -> None:
    """Show a line on the running node, where it stays until the next run.

    ComfyUI 0.3.64 puts it into the page as HTML, later versions as text: no tag is left in it.
    """
    from comfy_execution.utils import get_executing_context
    from server import PromptServer

    running, server = get_executing_context(), getattr(PromptServer, "instance", None)
    if running is not None and server is not None:  # neither is there outside of a server
        server.send_progress_text(without_tags(text), running.node_id)


def graph_texts(hidden) -> dict[str, str]:
    """Return the running graph as texts for a file, as Save Image writes them; {} where forbidden.

    Args:
        hidden: what a node's hidden inputs hold: `prompt`, and `extra_pnginfo` with the workflow.
    """
    if comfy.cli_args.args.disable_metadata:
        return {}
    prompt, more = (getattr(hidden, name, None) for name in ("prompt", "extra_pnginfo"))
    texts = {} if prompt is None else {"prompt": prompt}
    return {name: json.dumps(value) for name, value in (texts | (more or {})).items()}


@contextmanager
def plain_errors():
    """Let the core's own errors out as ValueError: ComfyUI shows others with a long path first."""
    try:
        yield
    except CheckpointError as error:
        raise ValueError(str(error)) from error


def seed_input(name: str, **options):
    """Return a seed input that keeps its number after a run, as far as this ComfyUI can say so."""
    kept = getattr(io, "ControlAfterGenerate", None)
    after = True if kept is None else kept.fixed
    return io.Int.Input(
        name, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=after, **options
    )
