"""Load Metric Depth: a depth file, or a photo that carries depth, from ComfyUI's input folder."""

import re
from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io, ui

from ...bokehdepth_core import DepthMap, read_depth_file
from .. import sockets
from ..host import services
from ..host.geometry import depth_picture
from ..host.pictures import as_rgb

SUFFIXES = (
    *(".exr", ".png", ".tif", ".tiff", ".pfm", ".npy", ".npz"),
    *(".heic", ".heif", ".avif", ".jpg", ".jpeg", ".webp"),
)
VALUES = {  # what the combo says, as the core says it
    "automatic": "automatic",
    "metres": "metres",
    "millimetres": "millimetres",
    "ray distance in metres": "distance",
    "disparity: near is white": "disparity",
    "depth: near is black": "depth",
}
HOLES = ["fill", "far"]


class LoadMetricDepth(io.ComfyNode):
    """LoadMetricDepth: what a depth file holds, and how its numbers were read."""

    @classmethod
    def define_schema(cls):
        return services.fit(
            io.Schema,
            node_id="LoadMetricDepth",
            display_name="Load Metric Depth",
            category=services.CATEGORY,
            description="Load depth from EXR, PNG, TIFF, PFM, NPY, NPZ, or from a portrait photo "
            "that carries depth (HEIC, JPEG). What the numbers are is found out and reported.",
            search_aliases=["import depth", "exr depth", "lidar", "portrait depth", "depth map"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=depth_files(),
                    upload=io.UploadType.image,
                    tooltip="A file of the input folder: EXR, PNG, TIFF, PFM, NPY, NPZ, or a photo "
                    "that carries depth (HEIC, portrait JPEG).",
                ),
                io.Combo.Input(
                    "values",
                    options=list(VALUES),
                    default="automatic",
                    tooltip="What the file's numbers are. Automatic: as the file says, else as the "
                    "numbers look; the report names what was taken.",
                ),
                io.Float.Input(
                    "scale",
                    default=0.0,
                    min=0.0,
                    max=1e9,
                    step=0.001,
                    round=False,
                    tooltip="Metres for one unit of the file's numbers; 0: as the file says. For "
                    "disparity: focal length in px times baseline in m, or the distance of white.",
                ),
                io.Combo.Input(
                    "holes",
                    options=HOLES,
                    default="fill",
                    tooltip="Pixels without a measurement: fill them from around, along the photo "
                    "where one is connected or in the file, or take them for sky.",
                ),
                io.String.Input(
                    "channel",
                    default="",
                    tooltip="Channel or layer of an EXR, array of an NPZ; empty looks for it.",
                ),
                io.Image.Input(
                    "photo",
                    optional=True,
                    tooltip="The photo that the depth is of, any size: holes are filled along its "
                    "colours. Not needed where the file holds its photo.",
                ),
            ],
            outputs=[
                sockets.MetricDepth.Output(
                    display_name="depth", tooltip="Depth for the other nodes, in metres if known."
                ),
                io.Image.Output(
                    display_name="image",
                    tooltip="The photo where the file holds one, else the depth as a picture.",
                ),
                io.String.Output(
                    display_name="report", tooltip="How the file was read, and what was guessed."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, file=None):
        if file is not None and not folder_paths.exists_annotated_filepath(file):
            return f"file: {file} is not in the input folder. Upload it, or press R and choose."
        return True

    @classmethod
    def fingerprint_inputs(cls, file, **_):
        path = Path(folder_paths.get_annotated_filepath(file))
        if not path.is_file():
            return file
        facts = path.stat()
        return file, facts.st_size, facts.st_mtime_ns

    @classmethod
    def execute(cls, file, values="automatic", scale=0.0, holes="fill", channel="", photo=None):
        if values not in VALUES:
            raise ValueError(f"values: unknown {values!r}. Use one of: {', '.join(VALUES)}.")
        path = Path(folder_paths.get_annotated_filepath(file))
        try:
            found = read_depth_file(
                path,
                scale or None,
                values=VALUES[values],
                holes=holes,
                channel=channel.strip(),
                fill_alone=True,
                photo=_one_photo(photo),
            )
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(_plain(str(error))) from error
        report = _plain("\n".join(found.report))
        services.show_text(report)
        picture = depth_picture(found.depth) if found.photo is None else found.photo[None]
        shown = ui.PreviewText(report).as_dict()
        return io.NodeOutput(_as_result(found.depth), services.result(picture), report, ui=shown)


def _one_photo(photo: torch.Tensor | None) -> torch.Tensor | None:
    """Return the photo of the depth, [H,W,3]; None where none is connected."""
    if photo is None:
        return None
    given = as_rgb(photo, "photo")
    if len(given) != 1:
        raise ValueError(
            f"photo: {len(given)} pictures for one depth file. Connect the one it is of."
        )
    return given[0]


def depth_files() -> list[str]:
    """Return the files of the input folder that may hold depth, by name."""
    folder = Path(folder_paths.get_input_directory())
    if not folder.is_dir():
        return []
    return sorted(
        one.name for one in folder.iterdir() if one.is_file() and one.suffix.lower() in SUFFIXES
    )


def _plain(text: str) -> str:
    """Return the reader's words with options as the node calls them."""
    return re.sub(r"`(\w+)`", r"\1", text)


def _as_result(depth: DepthMap) -> DepthMap:
    def part(planes: torch.Tensor | None):
        return None if planes is None else services.result(planes)

    return DepthMap(
        services.result(depth.depth), part(depth.confidence), part(depth.intrinsics), depth.metric
    )
