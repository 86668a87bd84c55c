"""Depth: read from a photo and its stack, and saved to disk."""

from pathlib import Path

import folder_paths
from comfy_api.latest import io, ui

from ...bokehdepth_core import DepthMap
from ...bokehdepth_core.checks import check_number
from ...bokehdepth_core.depth.sweep.messages import collected
from ...bokehdepth_core.files.atomic import whole_folder
from ...bokehdepth_core.files.depth_maps import write_depth
from ...bokehdepth_core.optics.camera import intrinsics_from_focal_length
from .. import sockets
from ..host import pictures, services
from ..host.captions import depth_views
from ..host.doubts import guessed_unit
from ..host.early import said
from ..host.geometry import depth_picture

_PICTURE_RANGE = {
    "picture_near": "Depth that is white in depth_image, m (1 is the nearest of relative depth). 0 "
    "takes the nearest of the batch. Give it where a clip is worked on in chunks.",
    "picture_far": "Depth that is black in depth_image, in the same unit. 0 takes the farthest of "
    "the batch.",
}
FOCUS_PLANES = ["nearest", "farthest"]
FORMATS = {
    "EXR": ".exr",
    "16-bit PNG": ".png",
    "NPZ": ".npz",
    "PLY point cloud": ".ply",
    "JPEG portrait": ".jpg",
}


class DefocusAwareDepth(io.ComfyNode):
    """DefocusAwareDepth: depth of each photo from its bokeh stack."""

    @classmethod
    def define_schema(cls):
        return services.fit(
            io.Schema,
            node_id="DefocusAwareDepth",
            display_name="Defocus-Aware Depth",
            category=services.CATEGORY,
            description="Read depth from a photo and how its bokeh stack blurs. The built-in "
            "estimator needs a stack, and the distance of what is sharp to give metres.",
            search_aliases=["depth estimation", "metric depth", "depth from defocus"],
            inputs=[
                io.Image.Input("image", tooltip="The sharp photo, or a batch of them."),
                sockets.Estimator.Input("depth_model", tooltip="From Load BokehDepth."),
                sockets.Stack.Input(
                    "stack",
                    optional=True,
                    tooltip="Bokeh stack of the same photo. The built-in estimator needs it.",
                ),
                io.Float.Input(
                    "focal_length_px",
                    default=0.0,
                    min=0.0,
                    max=1e6,
                    step=1.0,
                    round=False,
                    optional=True,
                    tooltip="Focal length of the photo in px; 0 is unknown. A point cloud needs "
                    "it, unless UniDepth finds it by itself. From a 35 mm equivalent: f35 / 43.27 "
                    "x the picture's diagonal in px.",
                ),
                io.Int.Input(
                    "resolution",
                    default=-1,
                    min=-1,
                    max=9,
                    optional=True,
                    tooltip="Detail a network works at: 0 (fast) to 9 (fine), -1 is automatic. "
                    "The built-in estimator always uses every pixel.",
                ),
                io.Combo.Input(
                    "focus_plane",
                    options=FOCUS_PLANES,
                    default="nearest",
                    optional=True,
                    tooltip="Which end of the scene is sharp in the frames. Blur alone does not "
                    "tell in front from behind. For the built-in estimator.",
                ),
                io.Float.Input(
                    "focus_distance",
                    default=0.0,
                    min=0.0,
                    max=1e6,
                    step=0.01,
                    round=False,
                    optional=True,
                    tooltip="Distance of what is sharp in the frames, m; 0 is unknown, and the "
                    "depth is then relative, without metres. For the built-in estimator.",
                ),
                *(
                    io.Float.Input(
                        name,
                        default=0.0,
                        min=0.0,
                        max=1e6,
                        step=0.01,
                        round=False,
                        optional=True,
                        tooltip=tip,
                    )
                    for name, tip in _PICTURE_RANGE.items()
                ),
                sockets.depth_input(
                    "prior",
                    optional=True,
                    tooltip="Any depth of the photo, relative too, from another node: tells the "
                    "built-in estimator front from behind in the place of focus_plane. Not for "
                    "depth networks.",
                ),
            ],
            outputs=[
                sockets.MetricDepth.Output(
                    display_name="depth", tooltip="Depth in metres, for the other nodes."
                ),
                io.Image.Output(
                    display_name="depth_image",
                    tooltip="Depth as a picture: near is white. One range for the whole batch.",
                ),
                io.Mask.Output(
                    display_name="confidence", tooltip="1 where the depth was measured well."
                ),
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
        picture_near=0.0,
        picture_far=0.0,
        prior=None,
    ):
        sockets.check_kind(depth_model, sockets.DepthEstimator, "depth_model")
        image = pictures.as_rgb(image)
        stacks = None if stack is None else sockets.as_stacks(stack)
        if stacks is not None:
            count = pictures.common_batch(image=len(image), stack=len(stacks))
            image = image.expand(count, -1, -1, -1)
        focus_m = check_number(focus_distance, "focus_distance", 0.0)
        level = int(check_number(resolution, "resolution", -1, 9))
        unit = guessed_unit(prior, "prior")
        if prior is not None:
            prior = sockets.as_depth(prior, tuple(image.shape[1:3]), name="prior")
        with collected() as records:
            found = depth_model.estimate(
                image,
                stacks,
                _intrinsics(focal_length_px, image),
                None if level < 0 else level,
                focus=focus_plane,
                focus_depth=focus_m or None,
                prior=prior,
                on_progress=services.progress(),
                check_cancelled=services.check_cancelled,
            )
        depth = _as_result(found)
        near = check_number(picture_near, "picture_near", 0.0)
        far = check_number(picture_far, "picture_far", 0.0)
        shown = services.result(depth_picture(depth, near, far))
        confidence = depth.confidence
        if confidence is None:
            confidence = depth.depth.new_ones(depth.depth.shape)
        preview = ui.PreviewImage(depth_views(depth), cls=cls).as_dict()
        report = "\n".join(filter(None, [unit, *(record.getMessage() for record in records)]))
        if report:
            services.show_text(report)
            preview |= ui.PreviewText(report).as_dict()
        return io.NodeOutput(depth, shown, confidence, ui=preview)


def _intrinsics(focal_length_px: float, image):
    focal = check_number(focal_length_px, "focal_length_px", 0.0, hint="Use 0 for unknown.")
    if not focal:
        return None
    return intrinsics_from_focal_length(focal, image.shape[2], image.shape[1], len(image))


def _as_result(depth: DepthMap) -> DepthMap:
    confidence, intrinsics = depth.confidence, depth.intrinsics
    return DepthMap(
        services.result(depth.depth),
        None if confidence is None else services.result(confidence),
        None if intrinsics is None else services.result(intrinsics),
        depth.metric,
    )


class SaveMetricDepth(io.ComfyNode):
    """SaveMetricDepth: depth into ComfyUI's output folder, whole or not at all."""

    @classmethod
    def define_schema(cls):
        return services.fit(
            io.Schema,
            node_id="SaveMetricDepth",
            display_name="Save Metric Depth",
            category=services.CATEGORY,
            description="Save depth without losing metres: EXR, 16-bit PNG with its scale, NPZ, "
            "a PLY point cloud, or the photo as a JPEG that carries it. One file for each picture "
            "of the batch.",
            search_aliases=["export depth", "exr", "point cloud", "ply"],
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            inputs=[
                sockets.depth_input(
                    tooltip="Metric depth, a depth picture (near is white) or a geometry."
                ),
                io.String.Input(
                    "filename_prefix",
                    default="depth/BokehDepth",
                    tooltip="Start of the file name, with folders inside the output folder.",
                ),
                io.Combo.Input(
                    "format",
                    options=list(FORMATS),
                    default="EXR",
                    tooltip="EXR: 32-bit metres. 16-bit PNG: scaled, the scale is in the file. "
                    "NPZ: NumPy arrays. PLY: coloured points; needs metres and a focal length. "
                    "JPEG portrait: the image with the depth inside, as phones save it (GDepth).",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The photo: colours of the point cloud, or the picture of the JPEG.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def validate_inputs(cls, format=None, input_types=None):
        """Check the format; by naming `input_types` this node checks the types of links, too."""
        return said(lambda types: _check_save(format, types), input_types)

    @classmethod
    def execute(cls, depth, filename_prefix, format, image=None):
        unit = guessed_unit(depth)
        depth = sockets.as_depth(depth)
        _check_format(format)
        size = tuple(depth.depth.shape[1:])
        count = len(depth.depth)
        if image is not None:
            image = pictures.as_rgb(image)
            if FORMATS[format] != ".jpg":  # a photo keeps its size beside its depth
                image = pictures.fit_picture(image, size, "image")
            if pictures.common_batch(image=len(image), depth=count) != count:
                raise ValueError(
                    f"image: {len(image)} pictures for {count} depth map. "
                    "Give one depth map for each picture, or leave image unconnected."
                )
            image = image.expand(count, -1, -1, -1) if len(image) < count else image
        graph = services.graph_texts(getattr(cls, "hidden", None))
        names = _save_all(depth, image, filename_prefix, FORMATS[format], graph)
        texts = [*names, *filter(None, [unit])]
        services.show_text("\n".join(texts))
        shown = ui.PreviewImage(services.result(depth_picture(depth)), cls=cls).as_dict()
        return io.NodeOutput(ui={**shown, "text": texts})


def _check_format(format: str) -> None:
    if format not in FORMATS:
        raise ValueError(f"format: unknown kind {format!r}. Use one of {', '.join(FORMATS)}.")


def _check_save(format: str | None, types: dict[str, str]) -> None:
    """Check what is known before the run.

    Args:
        format: None where it is linked.
        types: of what is connected, by the names of the inputs.

    Raises:
        ValueError: a link of another type, an unknown format, or a JPEG without its photo.
    """
    depths = [one.io_type for one in sockets.DEPTH_TYPES]
    for name, wanted in (("depth", depths), ("image", ["IMAGE"]), ("filename_prefix", ["STRING"])):
        kinds = set(types.get(name, "*").split(","))
        if not kinds & {*wanted, "*"}:
            raise ValueError(f"{name}: connect {' or '.join(wanted)}. {types[name]} is connected.")
    if format is None:
        return
    _check_format(format)
    if FORMATS[format] == ".jpg" and "image" not in types:
        raise ValueError(
            f"image: connect the photo. A {format} is the photo with its depth inside; the other "
            "formats need none."
        )


def _save_all(depth: DepthMap, image, prefix: str, suffix: str, texts: dict[str, str]) -> list[str]:
    """Write one file for each map and return their names; none is left where one fails."""
    height, width = depth.depth.shape[1:]
    folder, name, first, subfolder, _ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory(), width, height
    )
    names = [f"{name}_{first + index:05}_{suffix}" for index in range(len(depth.depth))]
    report = services.progress()
    with whole_folder(folder, inside=True) as unfinished:
        for index, file in enumerate(names):
            services.check_cancelled()
            report(index, len(names))
            picture = None if image is None else image[index]
            write_depth(unfinished / file, _one(depth, index), picture, metadata=texts)
    report(1, 1)
    return [str(Path(subfolder) / file) for file in names]


def _one(depth: DepthMap, index: int) -> DepthMap:
    def part(planes):
        return None if planes is None else planes[index : index + 1]

    return DepthMap(
        depth.depth[index : index + 1],
        part(depth.confidence),
        part(depth.intrinsics),
        depth.metric,
    )
