"""The lens: blur a photo by its depth."""

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from .. import bokehdepth_core as core
from ..bokehdepth_core.color import convert_color
from ..bokehdepth_core.render.finish.focus_view import focus_view
from ..bokehdepth_core.render.renderer import render_memory
from . import host, pictures, sockets
from .compositing import fitted_masks, known_background
from .early import said
from .focus_preview import focus_ui
from .focus_pull import checked_track, focus_input, keyed_focus, keyed_strengths, signed_radii
from .lens_inputs import check_blades, compositing_inputs, opening_inputs
from .lens_look import checked_lens, lens_input, lens_strengths
from .portrait import depth_or_guess, focus_on_people
from .render_controls import (
    control_inputs,
    decided_by,
    focus_depths,
    is_automatic,
    turning_of,
)


class RenderBokeh(io.ComfyNode):
    """RenderBokeh: the photo as a lens takes it, focused where the user says."""

    @classmethod
    def define_schema(cls):
        return host.fit(
            io.Schema,
            node_id="RenderBokeh",
            display_name="Render Bokeh",
            category=host.CATEGORY,
            has_intermediate_output=True,  # ui, also when cached
            description="Blur a photo by its depth as a real lens does, focused at a point, a "
            "mask or a distance.",
            search_aliases=[
                *("bokeh", "dof", "depth of field", "lens blur", "shallow focus", "refocus"),
                *("portrait", "portrait mode", "background blur", "blur background", "defocus"),
                *("tilt shift", "anamorphic", "bokeh blur", "camera blur", "散景", "背景虚化"),
            ],
            inputs=[
                io.Image.Input("image", tooltip="The sharp photo, or a batch of them."),
                sockets.depth_input(
                    optional=True,
                    tooltip="Metric depth, a depth picture (near is white) or a geometry. Another "
                    "size is resampled. Unconnected: a rough guess from people found in the "
                    "photo.",
                ),
                io.Float.Input(
                    "strength",
                    default=30.0,
                    min=0.0,
                    max=10000.0,
                    step=0.5,
                    round=False,
                    tooltip="Bokeh strength K in px·m: blur radius = K·|1/depth - 1/focus|. With a "
                    "depth picture: radius in px between black and white.",
                ),
                io.Float.Input(
                    "focus_x",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    round=False,
                    tooltip="Point that is to be sharp: 0 is the left edge, 1 the right edge.",
                ),
                io.Float.Input(
                    "focus_y",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    round=False,
                    tooltip="Point that is to be sharp: 0 is the top edge, 1 the bottom edge.",
                ),
                io.Float.Input(
                    "focus_distance",
                    default=0.0,
                    min=0.0,
                    max=1e6,
                    step=0.01,
                    round=False,
                    tooltip="Distance that is to be sharp, m; 0 takes it at the point or mask. "
                    "Needs depth in metres.",
                ),
                io.Mask.Input(
                    "focus_mask",
                    optional=True,
                    tooltip="What is to be sharp; used in place of the point.",
                ),
                io.Int.Input(
                    "aperture_blades",
                    default=0,
                    min=0,
                    max=11,
                    optional=True,
                    tooltip="Corners of the lens opening, 3 to 11; 0 is round.",
                ),
                io.Float.Input(
                    "aperture_rotation",
                    default=0.0,
                    min=-360.0,
                    max=360.0,
                    step=1.0,
                    round=False,
                    optional=True,
                    tooltip="Turns the lens opening, degrees clockwise.",
                ),
                io.Float.Input(
                    "anamorphic",
                    default=1.0,
                    min=0.25,
                    max=4.0,
                    step=0.05,
                    round=False,
                    optional=True,
                    tooltip="Width of the blur disc over its height: 1 is round, 0.5 the upright "
                    "oval of a cine lens.",
                ),
                io.Float.Input(
                    "highlight_boost",
                    default=0.0,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    round=False,
                    optional=True,
                    tooltip="Gives lamps back the light that the camera cut, so that they become "
                    "bright discs: what is clipped, or stands out of all around it. 0 is off.",
                ),
                io.Combo.Input(
                    "quality",
                    options=["draft", "default", "final"],
                    default="default",
                    optional=True,
                    tooltip="How finely blur is cut: draft is several times quicker, for finding "
                    "the focus; final takes longer for a little more.",
                ),
                io.Boolean.Input(
                    "refine_depth",
                    default=True,
                    optional=True,
                    tooltip="Makes soft or coarse depth edges sharp along those of the photo.",
                ),
                *opening_inputs(),
                io.Image.Input(
                    "background",
                    optional=True,
                    tooltip="What stands behind the front, where you have it: a second layer, an "
                    "inpainted picture, a photo without the subject. Else it is guessed.",
                ),
                sockets.depth_input(
                    "background_depth",
                    optional=True,
                    tooltip="Depth of the background, of the same kind as depth; needed with it.",
                ),
                *compositing_inputs(),
                *control_inputs(),
                lens_input(),
                focus_input(),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The photo through the lens."),
                io.Mask.Output(
                    display_name="defocus",
                    tooltip="Blur radius, 1 is the largest in the batch.",
                ),
                io.Mask.Output(
                    display_name="coc",
                    tooltip="Signed blur radius in px, in front of the focus above 0; not clipped, "
                    "for compositors.",
                ),
                io.Image.Output(
                    display_name="focus_view",
                    tooltip="The photo with what is sharp outlined in green, what is in front of "
                    "it tinted orange, what is behind it blue.",
                ),
                io.Mask.Output(
                    display_name="alpha",
                    tooltip="Coverage of the blurred cut-out, 1 is opaque; all 1 without one.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, aperture_blades=None):
        return said(check_blades, aperture_blades)

    @classmethod
    def execute(
        cls,
        image,
        strength,
        focus_x,
        focus_y,
        focus_distance,
        depth=None,
        focus_mask=None,
        aperture_blades=0,
        aperture_rotation=0.0,
        anamorphic=1.0,
        highlight_boost=0.0,
        quality="default",
        refine_depth=True,
        blade_curvature=0.0,
        spherical_aberration=0.0,
        cat_eye=0.0,
        background=None,
        background_depth=None,
        color_space="sRGB",
        alpha=None,
        hold_out=None,
        strength_unit="px·m",
        focus_mode="point",
        focus_range=0.0,
        front_strength=1.0,
        back_strength=1.0,
        max_radius=0.0,
        highlight_threshold=0.75,
        tilt=0.0,
        swing=0.0,
        grain=0.0,
        lens=None,
        focus=None,
    ):
        image = pictures.as_rgb(image)
        size = tuple(image.shape[1:3])
        scene = depth_or_guess(depth, image, color_space, refine_depth)
        depth_map = scene.depth
        sizes = {"image": len(image), "depth": len(depth_map.depth)}
        if focus_mask is not None:
            focus_mask = pictures.fit_mask(focus_mask, size, "focus_mask")
            sizes["focus_mask"] = len(focus_mask)
        known = known_background(background, background_depth, image, depth_map)
        masks = fitted_masks(size, alpha=alpha, hold_out=hold_out)
        sizes |= {name: len(value) for name, value in (known | masks).items()}
        track = checked_track(focus, depth_map)
        if track is not None:
            sizes["focus"] = len(track)
        count = pictures.common_batch(**sizes)
        depths = depth_map.depth.expand(count, -1, -1)
        whole = image.expand(count, -1, -1, -1)
        seen = convert_color(whole, color_space, "sRGB")
        point = (focus_x, focus_y) if not is_automatic(focus_mode) else None
        by = decided_by(focus_mode, focus_distance, focus_mask)
        if track is not None and track.focus_depth is not None:
            by = "track"
            planes, points = keyed_focus(track, depths.device, (focus_x, focus_y))
        elif scene.people is not None and by == "automatic":
            planes, points = focus_on_people(scene.people, depths)
        else:
            planes, points = focus_depths(
                depth_map, depths, seen, point, focus_distance, focus_mask
            )
        own = core.Aperture(
            aperture_blades,
            aperture_rotation,
            anamorphic,
            blade_curvature,
            spherical_aberration,
            cat_eye,
        )
        lens = checked_lens(lens, own, depth_map)
        strengths = keyed_strengths(track, strength, strength_unit, size[1], count)
        strong_by = "track" if track is not None and track.strengths is not None else "strength"
        if strong_by == "strength" and lens.has_strength:
            strong_by, strengths = "lens", lens_strengths(lens, planes, size)
        controls = core.FocusControls(
            focus_range, front_strength, back_strength, max_radius, tilt, swing
        )
        turning = turning_of(controls, depth_map, points, count)
        signed = signed_radii(depths, strengths, planes, controls, turning)
        radius = signed.abs()
        reach = float(radius.max()) * lens.aperture.support_radius
        host.make_room(render_memory(*size, reach, bool(known)))
        rendered = _render_each(
            {"image": image, "depth": depths, "focus_depth": planes, **known, **masks, **turning},
            strengths,
            lens,
            highlight_boost=highlight_boost,
            highlight_threshold=highlight_threshold,
            controls=controls,
            grain=grain,
            quality=quality,
            refine_depth=refine_depth,
            color_space=color_space,
            premultiplied=color_space != "sRGB",
        )
        view = focus_view(seen, signed.to(seen.device))
        covered = rendered[..., 3] if alpha is not None else torch.ones_like(rendered[..., 0])
        strong = (strengths[0], strong_by)
        shown = focus_ui(
            seen, depth_map, rendered[..., :3], color_space, planes, points, by, strong
        )
        return io.NodeOutput(
            rendered[..., :3].contiguous(),
            host.result(_as_share(radius)),
            host.result(signed),
            host.result(view),
            covered.contiguous(),
            ui=(shown | _text(scene.report)) or None,
        )


def _render_each(batches: dict[str, Tensor], strengths: list[float], lens, **options) -> Tensor:
    """Return the rendered pictures; one at a time on the device, so memory does not grow.

    Args:
        batches: arguments of `render_bokeh` with one entry for each picture, or one for all.
        strengths: of each picture, px·m.
        lens: a core.Lens.
        options: the other arguments of `render_bokeh`.
    """
    bar, count, done = host.start_bar(), len(strengths), None
    batches = {name: batch.expand(count, *batch.shape[1:]) for name, batch in batches.items()}
    for index in range(count):
        host.check_cancelled()
        one = {name: batch[index : index + 1].to(host.device()) for name, batch in batches.items()}
        one |= {name: value.float() for name, value in one.items() if name.endswith("depth")}
        picture = core.render_lens_look(
            lens,
            **one,
            **options,
            strength=strengths[index],
            grain_seed=index,
            on_progress=host.progress(index, count, bar),
            check_cancelled=host.check_cancelled,
        )
        picture = host.result(picture)
        done = picture.new_empty(count, *picture.shape[1:]) if done is None else done
        done[index] = picture[0]
    return done


def _text(report: str) -> dict:
    return ui.PreviewText(report).as_dict() if report else {}


def _as_share(radius: Tensor) -> Tensor:
    """Return radii [B,H,W] as shares of the largest finite one; zero where all are sharp."""
    largest = float(radius.max())
    return radius / largest if largest > 0 else torch.zeros_like(radius)
