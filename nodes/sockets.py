"""The pack's socket types, and what arrives on them as the core's own data."""

from comfy_api.latest import io
from torch import Tensor

from ..bokehdepth_core import BokehStack, DepthMap
from ..bokehdepth_core.resample import fit_depth
from .handles import BokehGenerator, DepthEstimator
from .host.geometry import depth_from_da3, depth_from_moge, depth_from_picture

MetricDepth = io.Custom("METRIC_DEPTH")  # a DepthMap
Stack = io.Custom("BOKEH_STACK")  # a tuple of BokehStack, one for each picture of the batch
Generator = io.Custom("BOKEH_GENERATOR")  # a handles.BokehGenerator
Estimator = io.Custom("DEPTH_ESTIMATOR")  # a handles.DepthEstimator
MogeGeometry = io.Custom("MOGE_GEOMETRY")  # ComfyUI's dictionaries
Da3Geometry = io.Custom("DA3_GEOMETRY")

DEPTH_TYPES = [MetricDepth, io.Image, MogeGeometry, Da3Geometry]


def depth_input(name: str = "depth", optional: bool = False, tooltip: str = ""):
    """Return an input that takes every kind of depth."""
    return io.MultiType.Input(name, types=DEPTH_TYPES, optional=optional, tooltip=tooltip)


def as_depth(
    value: object,
    size: tuple[int, int] | None = None,
    *,
    name: str = "depth",
    soft_edges: bool = False,
    wraps: bool = False,
) -> DepthMap:
    """Return whatever a depth input received as a depth map.

    Args:
        value: a METRIC_DEPTH, IMAGE, MOGE_GEOMETRY or DA3_GEOMETRY.
        size: (height, width) that it is resampled to, px; None leaves it.
        name: of the input, for messages.
        soft_edges: as in `fit_depth`.
        wraps: likewise.

    Raises:
        TypeError: anything else.
        ValueError: unusable values.
    """
    if isinstance(value, DepthMap):
        depth = value
    elif isinstance(value, Tensor):
        depth = depth_from_picture(value, name)
    elif isinstance(value, dict) and "mode" in value:
        depth = depth_from_da3(value, name)
    elif isinstance(value, dict):
        depth = depth_from_moge(value, name)
    else:
        raise TypeError(
            f"{name}: connect METRIC_DEPTH, IMAGE, MOGE_GEOMETRY or DA3_GEOMETRY: found "
            f"{type(value).__name__}."
        )
    return depth if size is None else fit_depth(depth, size, soft_edges=soft_edges, wraps=wraps)


def as_stacks(value: object) -> tuple[BokehStack, ...]:
    """Return what a stack input received.

    Raises:
        TypeError: not a BOKEH_STACK.
    """
    if isinstance(value, tuple) and all(isinstance(one, BokehStack) for one in value):
        return value
    raise TypeError(
        f"stack: expected a BOKEH_STACK, found {type(value).__name__}. "
        "Connect Generate Bokeh Stack or Bokeh Stack from Images."
    )


def check_kind(value: object, kind: type, name: str) -> None:
    """Check that a model input received this pack's handle.

    Raises:
        TypeError: something else.
    """
    if not isinstance(value, kind):
        raise TypeError(
            f"{name}: expected the output of Load BokehDepth, found {type(value).__name__}. "
            "Connect that node."
        )


__all__ = [
    "BokehGenerator",
    "Da3Geometry",
    "DepthEstimator",
    "Estimator",
    "Generator",
    "MetricDepth",
    "MogeGeometry",
    "Stack",
    "as_depth",
    "as_stacks",
    "check_kind",
    "depth_input",
]
