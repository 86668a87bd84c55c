"""BokehDepth: bokeh stacks, metric depth from defocus, and lens-true bokeh. No ComfyUI needed."""

from .checks import parse_strengths
from .datatypes import BokehStack, DepthMap
from .depth import load_depth_estimator
from .depth.alignment import AlignmentReport, align_stack
from .depth.focus_stacks import FocusStackReport, focus_stack_from_frames
from .depth.from_mask import MaskDepth, depth_from_mask
from .depth.person.find import find_people
from .depth.person.guess import guess_portrait_depth
from .depth.sweep.calibration import StackCalibration, calibrate_stack
from .depth.sweep.estimate import disparity_offset, sweep_depth
from .evaluation import DepthMetrics, evaluate_depth
from .files.depth_maps import DepthFile, read_depth, read_depth_file, write_depth
from .files.pictures.images import read_image, write_image
from .generator import load_bokeh_generator
from .optics.aperture import Aperture
from .optics.focus.controls import FocusControls, strength_in_px
from .optics.focus.subject import Subject, find_subject
from .optics.focus.track import FocusTrack, focus_track
from .optics.lens import LENS_LOOKS, Lens, lens_look
from .optics.thin_lens import (
    bokeh_strength_from_lens,
    coc_radius,
    defocus,
    f_number_from_bokeh_strength,
    focus_depth_at,
)
from .render.focus_pull import render_focus_pull
from .render.lens_look import render_lens_look
from .render.renderer import render_bokeh
from .render.steady import steady_depth
from .weights.published import BUILT_IN

__all__ = [
    "BUILT_IN",
    "LENS_LOOKS",
    "AlignmentReport",
    "Aperture",
    "BokehStack",
    "DepthFile",
    "DepthMap",
    "DepthMetrics",
    "FocusControls",
    "FocusStackReport",
    "FocusTrack",
    "Lens",
    "MaskDepth",
    "StackCalibration",
    "Subject",
    "align_stack",
    "bokeh_strength_from_lens",
    "calibrate_stack",
    "coc_radius",
    "defocus",
    "depth_from_mask",
    "disparity_offset",
    "evaluate_depth",
    "f_number_from_bokeh_strength",
    "find_people",
    "find_subject",
    "focus_depth_at",
    "focus_stack_from_frames",
    "focus_track",
    "guess_portrait_depth",
    "lens_look",
    "load_bokeh_generator",
    "load_depth_estimator",
    "parse_strengths",
    "read_depth",
    "read_depth_file",
    "read_image",
    "render_bokeh",
    "render_focus_pull",
    "render_lens_look",
    "steady_depth",
    "strength_in_px",
    "sweep_depth",
    "write_depth",
    "write_image",
]
