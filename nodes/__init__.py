"""The ComfyUI nodes: unpack the sockets, call the core, pack the results."""

from comfy_api.latest import ComfyExtension

from .depth.defocus_aware import DefocusAwareDepth, SaveMetricDepth
from .depth.focus_stack import FocusStackFromImages
from .depth.load_depth import LoadMetricDepth
from .depth.mask import DepthFromMask
from .example import BokehDepthExample
from .generator.adapter import ApplyBokehDepthAdapter
from .generator.loader import LoadBokehDepth
from .generator.stack import BokehStackFromImages, GenerateBokehStack
from .host import services
from .lens import RenderBokeh
from .render.focus_pull import FocusPull
from .render.lens_look import BokehLens
from .render.strength import LensBokehStrength

NODES = [
    LoadBokehDepth,
    GenerateBokehStack,
    BokehStackFromImages,
    DefocusAwareDepth,
    RenderBokeh,
    LensBokehStrength,
    ApplyBokehDepthAdapter,
    SaveMetricDepth,
    DepthFromMask,
    LoadMetricDepth,
    FocusStackFromImages,
    FocusPull,
    BokehLens,
    BokehDepthExample,
]


class BokehDepthExtension(ComfyExtension):
    """The pack as ComfyUI sees it."""

    async def get_node_list(self):
        services.register_model_folder()  # here, since old versions do not call on_load
        return list(NODES)
