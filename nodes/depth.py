"""Depth: estimated from a photo and its stack, and saved without losing metres."""

from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io, ui

from .. import bokehdepth_core as core
from ..bokehdepth_core import checks
from ..bokehdepth_core.camera import intrinsics_from_focal_length
from ..bokehdepth_core.depth_files import write_depth
from . import host, sockets

FORMATS = {"EXR": ".exr", "16-bit PNG": ".png", "NPZ": ".npz", "PLY point cloud": ".ply"}


class DefocusAwareDepth(io.ComfyNode):
    """A photo and its bokeh stack become depth."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="DefocusAwareDepth",
            display_name="Defocus-Aware Depth",
            category="BokehDepth",
            description="Estimates depth from a photo and its bokeh stack.",
            inputs=[
                io.Image.Input("image", tooltip="Sharp photo, or several."),
                sockets.DepthEstimator.Input("depth_model", tooltip="From Load BokehDepth."),
                sockets.BokehStack.Input(
                    "stack",
                    optional=True,
                    tooltip="The stack of this photo. The built-in estimator needs it; networks "
                    "work without, less well.",
                ),
                io.Float.Input(
                    "focal_length_px",
                    default=0.0,
                    min=0.0,
                    max=1000000.0,
                    step=1.0,
                    optional=True,
                    tooltip="Focal length in px of this picture's width; 0 where unknown.",
                ),
                io.Int.Input(
                    "resolution",
                    default=-1,
                    min=-1,
                    max=9,
                    optional=True,
                    tooltip="Working size of a network, 0 (fast) to 9 (fine); -1 is automatic. "
                    "The built-in estimator always works on every pixel.",
                ),
                io.Combo.Input(
                    "focus_plane",
                    options=["nearest", "farthest"],
                    default="nearest",
                    optional=True,
                    tooltip="Which end of the scene is sharp in the frames. Blur alone cannot "
                    "tell front from back. Built-in estimator only.",
                ),
                io.Float.Input(
                    "focus_distance",
                    default=0.0,
                    min=0.0,
                    max=100000.0,
                    step=0.01,
                    optional=True,
                    tooltip="Distance of what is sharp in the frames, in m; 0 where unknown: "
                    "depth is then relative, without metres. Built-in estimator only.",
                ),
            ],
            outputs=[
                sockets.MetricDepth.Output(display_name="depth", tooltip="Depth in m."),
                io.Image.Output(
                    display_name="depth_image",
                    tooltip="Depth as a picture, near is white, for depth ControlNets.",
                ),
                io.Mask.Output(display_name="confidence", tooltip="1 is sure, 0 is a guess."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        depth_model,
        stack=None,
        focal_length_px=0.0,
        resolution=-1,
        focus_plane="nearest",
        focus_distance=0.0,
    ):
        image = sockets.as_image(image)
        on_progress, check_cancelled = host.follow()
        options = {"on_progress": on_progress, "check_cancelled": check_cancelled}
        if depth_model.built_in():
            distance = checks.check_number(focus_distance, "focus_distance", 0.0)
            options |= {"focus": focus_plane, "focus_depth": distance or None}
        depth = depth_model.open().estimate(
            image.to(host.device()),
            stack,
            _intrinsics(focal_length_px, image),
            None if resolution < 0 else resolution,
            **options,
        )
        picture = host.to_host(sockets.depth_picture(depth))
        confidence = depth.confidence
        if confidence is None:
            confidence = torch.ones_like(depth.depth)
        return io.NodeOutput(
            _on_host(depth),
            picture,
            host.to_host(confidence),
            ui=ui.PreviewImage(picture, cls=cls),
        )


def _intrinsics(focal_length_px, image):
    focal = checks.check_number(focal_length_px, "focal_length_px", 0.0)
    if focal == 0:
        return None
    batch, height, width = image.shape[:3]
    return intrinsics_from_focal_length(focal, width, height, batch)


def _on_host(depth):
    parts = (depth.depth, depth.confidence, depth.intrinsics)
    return core.DepthMap(
        *(None if part is None else host.to_host(part) for part in parts), metric=depth.metric
    )


class SaveMetricDepth(io.ComfyNode):
    """Depth on disk, in a format that other programs read."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="SaveMetricDepth",
            display_name="Save Metric Depth",
            category="BokehDepth",
            description="Saves depth into the output folder, one file for each picture.",
            inputs=[
                sockets.depth_input("depth", tooltip="What to save."),
                io.String.Input(
                    "filename_prefix",
                    default="depth/BokehDepth",
                    tooltip="Start of the file name; folders and ComfyUI's % fields are allowed.",
                ),
                io.Combo.Input(
                    "format",
                    options=list(FORMATS),
                    tooltip="EXR: metres as floats. 16-bit PNG: small, its scale in the file. "
                    "NPZ: for NumPy, with confidence and camera. PLY: points for 3D programs.",
                ),
                io.Image.Input(
                    "image", optional=True, tooltip="Colours of the point cloud's points."
                ),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, depth, filename_prefix, format, image=None):
        depth = sockets.read_depth(depth)
        if image is not None:
            image = sockets.as_image(image)
            depth = sockets.as_depth(depth, image)
        batch, height, width = depth.depth.shape
        folder, name, counter, _, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory(), width, height
        )
        saved = []
        for index in range(batch):
            path = _free_name(Path(folder), name, counter + index, FORMATS[format])
            write_depth(path, _single(depth, index), None if image is None else image[index])
            saved.append(path.name)
        return io.NodeOutput(ui=ui.PreviewText("Saved " + ", ".join(saved)))


def _free_name(folder, name, counter, suffix):
    """Return a path that no file has yet; ComfyUI's own counter knows only its pictures."""
    while (path := folder / f"{name}_{counter:05}_{suffix}").exists():
        counter += 1
    return path


def _single(depth, index):
    parts = (depth.depth, depth.confidence, depth.intrinsics)
    return core.DepthMap(
        *(None if part is None else part[index : index + 1] for part in parts),
        metric=depth.metric,
    )
