"""The nodes of BokehDepth: thin classes over `bokehdepth_core`. Only here is ComfyUI known."""

from comfy_api.latest import ComfyExtension

from . import host
from .depth import DefocusAwareDepth, SaveMetricDepth
from .lens import LensBokehStrength, RenderBokeh
from .loader import LoadBokehDepth
from .stack import BokehStackFromImages, GenerateBokehStack


class BokehDepthExtension(ComfyExtension):
    """Registers the model folder and the nodes, in the order of their work."""

    async def on_load(self):
        host.register_model_folder()

    async def get_node_list(self):
        return [
            LoadBokehDepth,
            GenerateBokehStack,
            BokehStackFromImages,
            DefocusAwareDepth,
            SaveMetricDepth,
            RenderBokeh,
            LensBokehStrength,
        ]
