"""BokehDepth: bokeh stacks, metric depth from defocus, and lens-true bokeh. No ComfyUI needed."""

from .aperture import Aperture
from .checks import parse_strengths
from .datatypes import BokehStack, DepthMap
from .optics import (
    bokeh_strength_from_lens,
    coc_radius,
    defocus,
    f_number_from_bokeh_strength,
    focus_depth_at,
)

__all__ = [
    "Aperture",
    "BokehStack",
    "DepthMap",
    "bokeh_strength_from_lens",
    "coc_radius",
    "defocus",
    "f_number_from_bokeh_strength",
    "focus_depth_at",
    "parse_strengths",
]
