"""Nodes that the server tests add to ComfyUI: living networks, and tensors from and to files.

ComfyUI loads this file as a custom node.
"""

import gc
from pathlib import Path

import comfy.model_management as mm
import folder_paths
import numpy as np
import torch

NETWORKS = ("DepthAnything", "UniDepth", "FluxTransformer2DModel")


class LivingNetworks:
    """Shows the kinds of network that anything still holds, and how many are loaded."""

    OUTPUT_NODE = True
    RETURN_TYPES = ()
    FUNCTION = "show"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 (a name of ComfyUI)
        return {"required": {}, "optional": {"after": ("*",)}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):  # noqa: N802
        return True

    @classmethod
    def IS_CHANGED(cls, **_):  # noqa: N802
        return float("nan")

    def show(self, after=None):
        gc.collect()
        kinds = [type(thing).__name__ for thing in gc.get_objects()]
        alive = sorted(kind for kind in kinds if kind in NETWORKS)
        return {"ui": {"text": [*alive, f"loaded {len(mm.current_loaded_models)}"]}}


class TensorFromFile:
    """Gives an array of the input folder (.npy) as it is: as an IMAGE, and as a MASK."""

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "read"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"file": ("STRING", {"default": ""})}}

    def read(self, file):
        tensor = torch.from_numpy(np.load(Path(folder_paths.get_input_directory()) / file))
        return tensor, tensor


class TensorToFile:
    """Writes a tensor, or the depth of a map, into the output folder (.npy)."""

    OUTPUT_NODE = True
    RETURN_TYPES = ()
    FUNCTION = "write"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"value": ("*",), "file": ("STRING", {"default": ""})}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):  # noqa: N802
        return True

    def write(self, value, file):
        plain = getattr(value, "depth", value)
        np.save(Path(folder_paths.get_output_directory()) / file, plain.cpu().numpy())
        return {"ui": {}}


NODE_CLASS_MAPPINGS = {one.__name__: one for one in (LivingNetworks, TensorFromFile, TensorToFile)}
