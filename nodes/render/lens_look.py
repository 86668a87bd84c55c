"""Lens looks: presets of measurable parameters, and how Render Bokeh takes them."""

import math

from comfy_api.latest import io, ui
from torch import Tensor

from ... import bokehdepth_core as core
from ...bokehdepth_core.checks import check_number
from ..host import pictures, services
from ..host.early import said

LARGEST_F_NUMBER, LARGEST_MM = 256.0, 5000.0
BokehLensSocket = io.Custom("BOKEH_LENS")  # a core.Lens

# name, largest, step, tooltip; -1 leaves what the preset has
_CHANGES = (
    (
        "fringe",
        *(50.0, 0.1),
        "Longitudinal colour: how far red and blue focus behind green, hundredths of a dioptre "
        "(1/m). Magenta rims in front, green ones behind. -1 is the preset's.",
    ),
    (
        "obstruction",
        *(0.9, 0.05),
        "Radius of the mirror in the middle of the opening, as a share: lamps become rings. -1 is "
        "the preset's.",
    ),
    (
        "swirl",
        *(0.8, 0.05),
        "Vignetting by a long barrel: towards the corners discs become leaves that stand around "
        "the middle. -1 is the preset's.",
    ),
)


class BokehLens(io.ComfyNode):
    """BokehLens: the look of a kind of lens, all of it numbers that can be changed."""

    @classmethod
    def define_schema(cls):
        return services.fit(
            io.Schema,
            node_id="BokehLens",
            display_name="Lens Look",
            category=services.CATEGORY,
            description="The look of a kind of lens for Render Bokeh: opening, vignetting and "
            "colour, and its strength from f-number and focal length.",
            search_aliases=["bokeh shape", "swirly bokeh", "anamorphic", "lens preset"],
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=list(core.LENS_LOOKS),
                    default=next(iter(core.LENS_LOOKS)),
                    tooltip="Look to start from; summary says all of its numbers.",
                ),
                _number(
                    "f_number",
                    LARGEST_F_NUMBER,
                    0.1,
                    "Aperture number, with focal_length_mm: strength "
                    "then comes from the lens. 0 takes strength from Render Bokeh.",
                ),
                _number(
                    "focal_length_mm", LARGEST_MM, 0.1, "Real focal length, mm; 0 is not given."
                ),
                _number(
                    "focal_length_35mm",
                    LARGEST_MM,
                    0.1,
                    "35 mm-equivalent focal length, mm; 0 is "
                    "the same as the real one (full frame).",
                ),
                io.Image.Input(
                    "aperture_image",
                    optional=True,
                    tooltip="Own opening: white where light passes, in colour too. As lamps behind "
                    "the focus look; in front they are turned.",
                ),
                *(
                    _number(name, high, step, tip, -1.0, optional=True)
                    for name, high, step, tip in _CHANGES
                ),
            ],
            outputs=[
                BokehLensSocket.Output(display_name="lens", tooltip="For Render Bokeh."),
                io.String.Output(display_name="summary", tooltip="Every parameter of the lens."),
            ],
        )

    @classmethod
    def validate_inputs(cls, f_number=None, focal_length_mm=None):
        return said(_check_strength, f_number, focal_length_mm)

    @classmethod
    def execute(
        cls,
        preset,
        f_number,
        focal_length_mm,
        focal_length_35mm,
        aperture_image=None,
        fringe=-1.0,
        obstruction=-1.0,
        swirl=-1.0,
    ):
        if aperture_image is not None:
            aperture_image = pictures.as_rgb(aperture_image, "aperture_image")
        changes = {"fringe": fringe, "obstruction": obstruction, "swirl": swirl}
        lens = core.lens_look(
            preset,
            f_number=f_number,
            focal_length_mm=focal_length_mm,
            focal_length_35mm=focal_length_35mm,
            aperture_image=aperture_image,
            **{name: None if value == -1 else value for name, value in changes.items()},
        )
        return io.NodeOutput(lens, lens.summary, ui=ui.PreviewText(lens.summary).as_dict())


def _check_strength(f_number: float, focal_length_mm: float) -> None:
    """Check before the run that f-number and focal length are given together.

    Raises:
        ValueError: one of them alone, or out of range.
    """
    check_number(f_number, "f_number", 0.0, LARGEST_F_NUMBER, hint="Use 0 for none.")
    check_number(focal_length_mm, "focal_length_mm", 0.0, LARGEST_MM, hint="Use 0 for none.")
    core.Lens(f_number=f_number, focal_length_mm=focal_length_mm)


def _number(name: str, high: float, step: float, tooltip: str, default=0.0, optional=False):
    return io.Float.Input(
        name,
        default=default,
        min=default,
        max=high,
        step=step,
        round=False,
        optional=optional,
        tooltip=tooltip,
    )


def lens_input():
    """Return the input of Render Bokeh that takes a lens."""
    return BokehLensSocket.Input(
        "lens",
        optional=True,
        tooltip="Lens Look: opening, vignetting and colour of a lens. The inputs for the opening "
        "change it where they are not at their defaults.",
    )


def checked_lens(lens: object, own, depth_map) -> "core.Lens":
    """Return the lens to render with: what is connected, changed as an aperture says.

    Args:
        lens: what the input received; None where nothing is connected.
        own: the aperture of Render Bokeh's own inputs.
        depth_map: that is rendered.

    Raises:
        TypeError: another type.
        ValueError: a lens in millimetres with depth that has no metres.
    """
    if lens is None:
        return core.Lens(aperture=own)
    if not isinstance(lens, core.Lens):
        raise TypeError(
            f"lens: expected a BOKEH_LENS, found {type(lens).__name__}. Connect Lens Look."
        )
    if lens.has_strength and not depth_map.metric:
        raise ValueError(
            "lens: a strength from f-number and focal length needs depth in metres. Connect a "
            "METRIC_DEPTH, or use f_number 0 and focal_length_mm 0; this depth has no metres."
        )
    return lens.changed(own)


def lens_strengths(lens, planes: Tensor, size: tuple[int, int]) -> list[float]:
    """Return bokeh strength K of each picture, px·m, by a lens in millimetres.

    Args:
        lens: a core.Lens that has a strength.
        planes: [B], depth of the focus planes, m.
        size: (height, width) of the pictures, px.
    """
    distances = [value if value < 1e9 else math.inf for value in planes.tolist()]
    return [lens.strength(one, size[1], size[0]) for one in distances]
