"""What the nodes use of ComfyUI: device, memory, progress, cancelling, and the model folder."""

from pathlib import Path

import comfy.model_management as mm
import comfy.utils
import folder_paths

MODEL_FOLDER = "bokehdepth"
MODEL_SUFFIXES = {".safetensors", ".bin", ".pth"}


def register_model_folder():
    """Make models/bokehdepth known to ComfyUI; extra_model_paths.yaml may add more places."""
    folder = Path(folder_paths.models_dir) / MODEL_FOLDER
    folder_paths.add_model_folder_path(MODEL_FOLDER, str(folder))
    folder_paths.folder_names_and_paths[MODEL_FOLDER][1].update(MODEL_SUFFIXES)


def model_files():
    """Return the names of the weight files that users put into the model folder, sorted."""
    return sorted(folder_paths.get_filename_list(MODEL_FOLDER))


def model_path(name):
    """Return the path of a file listed by `model_files`; ComfyUI refuses names outside."""
    return Path(folder_paths.get_full_path_or_raise(MODEL_FOLDER, name))


def download_folder():
    """Return the folder that downloads go into: the first one registered."""
    return Path(folder_paths.get_folder_paths(MODEL_FOLDER)[0])


def device():
    """Return the device that ComfyUI computes on."""
    return mm.get_torch_device()


def make_room(size):
    """Ask ComfyUI to unload models until `size` bytes are free on the device."""
    mm.free_memory(size, device())


def follow():
    """Return `on_progress` and `check_cancelled` that reach ComfyUI's bar and its stop button."""
    bar = comfy.utils.ProgressBar(1)

    def on_progress(done, total):
        bar.update_absolute(done, total)

    return on_progress, mm.throw_exception_if_processing_interrupted


def to_host(tensor):
    """Return a tensor as ComfyUI passes it on: float32, on its intermediate device."""
    return tensor.to(mm.intermediate_device()).float()
