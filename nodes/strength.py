"""The bokeh strength of a real lens and aperture."""

from comfy_api.latest import io

from .. import bokehdepth_core as core
from . import host, pictures


class LensBokehStrength(io.ComfyNode):
    """LensBokehStrength: what a real lens and aperture are as bokeh strength K."""

    @classmethod
    def define_schema(cls):
        return host.fit(
            io.Schema,
            node_id="LensBokehStrength",
            display_name="Bokeh Strength from Lens",
            category=host.CATEGORY,
            description="The bokeh strength of a real lens: K = f² s / (2 N (s - f)) in px·m.",
            search_aliases=["f-number", "aperture", "f-stop", "depth of field"],
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
            ],
            outputs=[
                io.Float.Output(
                    display_name="strength", tooltip="Bokeh strength K, px·m, for Render Bokeh."
                )
            ],
        )

    @classmethod
    def execute(cls, image, focal_length_mm, focal_length_35mm, f_number, focus_distance):
        height, width = pictures.as_rgb(image).shape[1:3]
        return io.NodeOutput(
            core.bokeh_strength_from_lens(
                f_number, focal_length_mm, focal_length_35mm, focus_distance, width, height
            )
        )
