"""The ComfyUI nodes: unpack the sockets, call the core, pack the results."""

from comfy_api.latest import ComfyExtension

from . import host
from .adapter import ApplyBokehDepthAdapter
from .depth import DefocusAwareDepth, SaveMetricDepth
from .example import BokehDepthExample
from .focus_pull import FocusPull
from .focus_stack import FocusStackFromImages
from .lens import RenderBokeh
from .lens_look import BokehLens
from .load_depth import LoadMetricDepth
from .loader import LoadBokehDepth
from .mask import DepthFromMask
from .stack import BokehStackFromImages, GenerateBokehStack
from .strength import LensBokehStrength

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
        host.register_model_folder()  # here, since old versions do not call on_load
        return list(NODES)
