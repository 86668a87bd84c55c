"""The bokeh strength of a real lens and aperture."""

from comfy_api.latest import io, ui

from ... import bokehdepth_core as core
from ...bokehdepth_core.checks import check_number
from ...bokehdepth_core.optics.camera import focal_length_px_from_35mm
from ..host import pictures, services
from ..host.early import said


class LensBokehStrength(io.ComfyNode):
    """LensBokehStrength: what a real lens and aperture are as bokeh strength K."""

    @classmethod
    def define_schema(cls):
        return services.fit(
            io.Schema,
            node_id="LensBokehStrength",
            display_name="Bokeh Strength from Lens",
            category=services.CATEGORY,
            description="The bokeh strength of a real lens: K = f² s / (2 N (s - f)) in px·m.",
            search_aliases=["f-number", "aperture", "f-stop", "dof calculator"],
            inputs=[
                io.Image.Input("image", tooltip="The photo; its size turns the blur into px."),
                io.Float.Input(
                    "focal_length_mm",
                    default=50.0,
                    min=0.1,
                    max=5000.0,
                    step=0.1,
                    round=False,
                    tooltip="Real focal length of the lens, mm.",
                ),
                io.Float.Input(
                    "focal_length_35mm",
                    default=50.0,
                    min=0.1,
                    max=5000.0,
                    step=0.1,
                    round=False,
                    tooltip="35 mm-equivalent focal length, mm; the same as the real one on a "
                    "full-frame camera.",
                ),
                io.Float.Input(
                    "f_number",
                    default=1.8,
                    min=0.1,
                    max=256.0,
                    step=0.1,
                    round=False,
                    tooltip="Aperture number: 1.8 blurs more than 8.",
                ),
                io.Float.Input(
                    "focus_distance",
                    default=2.0,
                    min=0.001,
                    max=1e6,
                    step=0.01,
                    round=False,
                    tooltip="Distance of the focus plane, m; beyond the focal length.",
                ),
                io.Float.Input(
                    "focal_length_px",
                    default=0.0,
                    min=0.0,
                    max=1e6,
                    step=1.0,
                    round=False,
                    optional=True,
                    tooltip="Focal length of the photo in px, as MoGe Geometry to FOV gives it: "
                    "takes the place of both others, as a full-frame lens of this view. 0 is "
                    "unused.",
                ),
            ],
            outputs=[
                io.Float.Output(
                    display_name="strength", tooltip="Bokeh strength K, px·m, for Render Bokeh."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, focus_distance=None, focal_length_mm=None):
        return said(_check_focus, focus_distance, focal_length_mm)

    @classmethod
    def execute(
        cls,
        image,
        focal_length_mm,
        focal_length_35mm,
        f_number,
        focus_distance,
        focal_length_px=0.0,
    ):
        height, width = pictures.as_rgb(image).shape[1:3]
        focal_px = check_number(focal_length_px, "focal_length_px", 0.0, hint="Use 0 for unused.")
        if focal_px:
            focal_length_35mm = focal_px / focal_length_px_from_35mm(1.0, width, height)
            focal_length_mm = focal_length_35mm
        strength = core.bokeh_strength_from_lens(
            f_number, focal_length_mm, focal_length_35mm, focus_distance, width, height
        )
        report = meaning(strength, focus_distance, width)
        if focal_px:
            report += f" The view is that of {focal_length_35mm:.0f} mm on full frame."
        services.show_text(report)
        return io.NodeOutput(strength, ui=ui.PreviewText(report).as_dict())


def _check_focus(focus_distance: float, focal_length_mm: float) -> None:
    focal = check_number(focal_length_mm, "focal_length_mm", 0.1, 5000.0)
    if check_number(focus_distance, "focus_distance", 0.001, 1e6) * 1000 <= focal:
        raise ValueError(
            f"focus_distance: use more than {focal / 1000:g} m. Inside the focal length, "
            f"{focal:g} mm, no image forms."
        )


def meaning(strength: float, focus_distance: float, width: int) -> str:
    """Return what a strength K, px·m, does to a picture of a width in px focused at a distance, m.

    At infinity |1/Z - 1/s| is 1/s; at twice the distance it is half of that.
    """
    radius = strength / focus_distance
    return (
        f"K = {strength:.3g} px·m: blur of {radius:.3g} px at infinity, about "
        f"{100 * radius / width:.2g} % of the width; half of it at {2 * focus_distance:.3g} m."
    )
