"""BokehDepth: bokeh stacks, metric depth from defocus, and lens-true bokeh. No ComfyUI needed."""

from .aperture import Aperture
from .calibration import StackCalibration, calibrate_stack
from .checks import parse_strengths
from .datatypes import BokehStack, DepthMap
from .depth import load_depth_estimator
from .generator import load_bokeh_generator
from .optics import (
    bokeh_strength_from_lens,
    coc_radius,
    defocus,
    f_number_from_bokeh_strength,
    focus_depth_at,
)
from .render import render_bokeh
from .sweep import disparity_offset, sweep_depth
from .weights import BUILT_IN

__all__ = [
    "BUILT_IN",
    "Aperture",
    "BokehStack",
    "DepthMap",
    "StackCalibration",
    "bokeh_strength_from_lens",
    "calibrate_stack",
    "coc_radius",
    "defocus",
    "disparity_offset",
    "f_number_from_bokeh_strength",
    "focus_depth_at",
    "load_bokeh_generator",
    "load_depth_estimator",
    "parse_strengths",
    "render_bokeh",
    "sweep_depth",
]
