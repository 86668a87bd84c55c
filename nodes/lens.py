"""The lens: bokeh rendered from depth, and the strength that a real lens has."""

from comfy_api.latest import io, ui

from .. import bokehdepth_core as core
from ..bokehdepth_core import checks
from . import host, sockets


class RenderBokeh(io.ComfyNode):
    """A photo and its depth become the picture that a fast lens takes."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="RenderBokeh",
            display_name="Render Bokeh",
            category="BokehDepth",
            description="Blurs a photo as a lens does, from its depth: sharp at the focus plane, "
            "with discs of light in front of it and behind.",
            inputs=[
                io.Image.Input("image", tooltip="Sharp photo or video frames."),
                sockets.depth_input(
                    "depth",
                    tooltip="Metric depth, ComfyUI's own geometry, or a depth picture (near is "
                    "white).",
                ),
                io.Float.Input(
                    "strength",
                    default=20.0,
                    min=0.0,
                    max=10000.0,
                    step=0.5,
                    tooltip="Bokeh strength K: blur radius in px for a disparity offset of 1/m. "
                    "With a depth picture: the radius between its white and its black.",
                ),
                io.Float.Input(
                    "focus_x",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Point that is to be sharp: 0 is the left edge, 1 the right.",
                ),
                io.Float.Input(
                    "focus_y",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Point that is to be sharp: 0 is the top edge, 1 the bottom.",
                ),
                io.Float.Input(
                    "focus_distance",
                    default=0.0,
                    min=0.0,
                    max=100000.0,
                    step=0.01,
                    tooltip="Distance of the focus plane in m. 0 takes it at the point. Needs "
                    "metric depth.",
                ),
                io.Mask.Input(
                    "focus_mask",
                    optional=True,
                    tooltip="What is painted here is to be sharp; used instead of the point.",
                ),
                io.Int.Input(
                    "aperture_blades",
                    default=0,
                    min=0,
                    max=11,
                    optional=True,
                    tooltip="0 for round bokeh, 3 to 11 for a polygon.",
                ),
                io.Float.Input(
                    "aperture_rotation",
                    default=0.0,
                    min=-360.0,
                    max=360.0,
                    step=1.0,
                    optional=True,
                    tooltip="Turns the polygon, in degrees.",
                ),
                io.Float.Input(
                    "anamorphic",
                    default=1.0,
                    min=0.25,
                    max=4.0,
                    step=0.01,
                    optional=True,
                    tooltip="Width of the bokeh over its height: below 1 gives the upright ovals "
                    "of cine lenses.",
                ),
                io.Float.Input(
                    "highlight_boost",
                    default=0.0,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    optional=True,
                    tooltip="Gives clipped highlights their light back, so that they become "
                    "bright discs. 0 changes nothing.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The photo through the lens."),
                io.Mask.Output(
                    display_name="defocus",
                    tooltip="Blur radius at every pixel; 1 is the largest of the batch.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        depth,
        strength,
        focus_x,
        focus_y,
        focus_distance,
        focus_mask=None,
        aperture_blades=0,
        aperture_rotation=0.0,
        anamorphic=1.0,
        highlight_boost=0.0,
    ):
        image, depth = sockets.match_batches(sockets.as_image(image), depth)
        plane = _focus_depth(depth, image, focus_x, focus_y, focus_distance, focus_mask)
        aperture = core.Aperture(aperture_blades, aperture_rotation, anamorphic)
        on_progress, check_cancelled = host.follow()
        out = core.render_bokeh(
            image.to(host.device()),
            depth.depth.to(host.device()),
            strength,
            plane,
            aperture=aperture,
            highlight_boost=highlight_boost,
            on_progress=on_progress,
            check_cancelled=check_cancelled,
        )
        radius = core.coc_radius(depth.depth, strength, plane)
        defocus = radius / radius.max().clamp(min=1e-9)
        out = host.to_host(out)
        return io.NodeOutput(out, host.to_host(defocus), ui=ui.PreviewImage(out, cls=cls))


def _focus_depth(depth, image, focus_x, focus_y, focus_distance, focus_mask):
    """Return the depth of the focus plane, [B] or a number, from what the user gave."""
    distance = checks.check_number(focus_distance, "focus_distance", 0.0)
    if distance > 0:
        if not depth.metric:
            raise ValueError(
                f"focus_distance: {distance:g} m was given, but this depth is a picture without "
                "metres. Set it to 0 and use the focus point, or connect METRIC_DEPTH."
            )
        return distance
    if focus_mask is not None:
        focus_mask = sockets.as_mask(focus_mask, image, "focus_mask").to(depth.depth.device)
    return core.focus_depth_at(depth.depth, focus_x, focus_y, focus_mask)


class LensBokehStrength(io.ComfyNode):
    """The bokeh strength of a real lens."""

    @classmethod
    def define_schema(cls):
        def number(name, default, low, high, step, tooltip):
            return io.Float.Input(
                name, default=default, min=low, max=high, step=step, tooltip=tooltip
            )

        return io.Schema(
            node_id="LensBokehStrength",
            display_name="Bokeh Strength from Lens",
            category="BokehDepth",
            description="Gives the strength that makes Render Bokeh blur as a real lens does.",
            inputs=[
                io.Image.Input("image", tooltip="The photo; only its size matters."),
                number(
                    "focal_length_mm", 50.0, 0.1, 5000.0, 0.1, "Focal length of the lens, in mm."
                ),
                number(
                    "focal_length_35mm",
                    50.0,
                    0.1,
                    5000.0,
                    0.1,
                    "Focal length that gives the same view on a full-frame camera, in mm. Equal "
                    "to focal_length_mm on full frame; EXIF calls it FocalLengthIn35mmFilm.",
                ),
                number("f_number", 1.8, 0.1, 128.0, 0.1, "Aperture: 1.4 blurs much, 16 little."),
                number(
                    "focus_distance", 2.0, 0.01, 100000.0, 0.01, "Distance of the subject, in m."
                ),
            ],
            outputs=[
                io.Float.Output(display_name="strength", tooltip="Bokeh strength K, in px·m.")
            ],
        )

    @classmethod
    def execute(cls, image, focal_length_mm, focal_length_35mm, f_number, focus_distance):
        height, width = image.shape[1:3]
        strength = core.bokeh_strength_from_lens(
            f_number, focal_length_mm, focal_length_35mm, focus_distance, width, height
        )
        return io.NodeOutput(strength, ui=ui.PreviewText(f"K = {strength:.2f} px·m"))
