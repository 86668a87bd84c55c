"""A node that the server tests add to ComfyUI: which of the networks are alive, and loaded.

ComfyUI loads this file as a custom node.
"""

import gc

import comfy.model_management as mm

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


NODE_CLASS_MAPPINGS = {"LivingNetworks": LivingNetworks}
