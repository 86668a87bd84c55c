"""Nodes that the server tests add to ComfyUI: living networks, tensors and tracks from files.

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
    """Shows the kinds of network that anything still holds, and what ComfyUI has loaded."""

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
        loaded = sorted(type(one.model.model).__name__ for one in mm.current_loaded_models)
        return {"ui": {"text": [*alive, f"loaded {', '.join(loaded) or 'nothing'}"]}}


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


class TrackFromFile:
    """Gives masks of the input folder, [frames,objects,H,W] (.npy), as SAM 3's tracker does.

    The tracker's network is not needed: `SAM3_TrackToMask` takes its masks, eight pixels a byte,
    and the size of the clip.
    """

    RETURN_TYPES = ("SAM3_TRACK_DATA",)
    FUNCTION = "read"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        sizes = {name: ("INT", {"default": 0}) for name in ("height", "width")}
        return {"required": {"file": ("STRING", {"default": ""}), **sizes}}

    def read(self, file, height, width):
        from comfy.ldm.sam3.tracker import pack_masks  # ComfyUI 0.26 and later

        masks = torch.from_numpy(np.load(Path(folder_paths.get_input_directory()) / file))
        lost = None if masks.shape[1] == 0 else pack_masks(masks)
        track = {"packed_masks": lost, "orig_size": (height, width), "n_frames": len(masks)}
        return (track | {"scores": []},)


NODES = (LivingNetworks, TensorFromFile, TensorToFile, TrackFromFile)
NODE_CLASS_MAPPINGS = {one.__name__: one for one in NODES}
