"""The lens: blur a photo by its depth."""

from dataclasses import dataclass, replace

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from .. import bokehdepth_core as core
from ..bokehdepth_core.render.finish.focus_view import focus_view
from ..bokehdepth_core.render.lens_look import number_of_passes
from ..bokehdepth_core.render.memory import RenderWork, render_memory
from ..bokehdepth_core.render.steady import FrameDepth
from . import sockets
from .host import services
from .host.early import said
from .host.kept import preparation, yet_to_keep
from .render.focus_preview import focus_ui
from .render.focus_pull import focus_input
from .render.lens_inputs import check_together, compositing_inputs, opening_inputs, panorama_input
from .render.lens_look import lens_input
from .render.lens_steps import Blur, Focus, Inputs, Scene, choose_focus, measure_blur, set_scene
from .render.render_controls import control_inputs, steady_input


class RenderBokeh(io.ComfyNode):
    """RenderBokeh: the photo as a lens takes it, focused where the user says."""

    @classmethod
    def define_schema(cls):
        return services.fit(
            io.Schema,
            node_id="RenderBokeh",
            display_name="Render Bokeh",
            category=services.CATEGORY,
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
                services.fit(
                    io.Float.Input,
                    "aperture_rotation",
                    default=0.0,
                    min=-360.0,
                    max=360.0,
                    step=1.0,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Turns the lens opening, degrees clockwise.",
                ),
                services.fit(
                    io.Float.Input,
                    "anamorphic",
                    default=1.0,
                    min=0.25,
                    max=4.0,
                    step=0.05,
                    round=False,
                    optional=True,
                    advanced=True,
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
                services.fit(
                    io.Boolean.Input,
                    "refine_depth",
                    default=True,
                    optional=True,
                    advanced=True,
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
                panorama_input(),
                steady_input(),
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
    def validate_inputs(cls, aperture_blades=None, wrap=None, cat_eye=None, tilt=None, swing=None):
        return said(lambda: check_together(aperture_blades, wrap, cat_eye, tilt, swing))

    @classmethod
    def execute(cls, **inputs):
        asked = Inputs(**inputs)
        scene = set_scene(asked)
        focus = choose_focus(asked, scene)
        blur = measure_blur(asked, scene, focus)
        services.make_room(_memory(asked, scene, blur))
        rendered = _render_each(
            {"image": scene.image, "depth": scene.depth, "focus_depth": focus.planes}
            | scene.layers
            | blur.turning,
            blur.strengths,
            blur.lens,
            FrameDepth(asked.steady, hold=False, refine=asked.refine_depth, wraps=asked.wrap),
            controls=blur.controls,
            cache=preparation(scene.different, scene.size),
            **asked.finish(),
        )
        # From here on the depth of each frame is not needed; the outputs take its place in memory.
        return _outputs(replace(scene, depth=scene.depth[:0].clone()), focus, blur, rendered, asked)


def _memory(asked: Inputs, scene: Scene, blur: Blur) -> int:
    """Return an estimate of the bytes that rendering takes on the device."""
    work = RenderWork(
        aperture=blur.lens.aperture,
        draft=asked.quality == "draft",
        background="background" in scene.layers,
        alpha="alpha" in scene.layers,
        hold_out="hold_out" in scene.layers,
        lamps=asked.highlight_boost > 0 or bool(scene.image.max() > 1),
        grain=asked.grain > 0,
        linear=asked.color_space != "sRGB",
        passes=number_of_passes(blur.lens),
        moved=services.moves(),
    )
    rendered = render_memory(*scene.size, blur.reach, wraps=asked.wrap, work=work)
    return rendered + yet_to_keep(scene.different, scene.size)


def _outputs(scene: Scene, focus: Focus, blur: Blur, rendered: "Rendered", asked: Inputs):
    """Return what the node hands on, and what it shows.

    Args:
        scene: that was rendered; its depth may be left out.
        focus: where it is sharp.
        blur: how strongly it is blurred.
        rendered: the pictures and their coverage.
        asked: what the inputs received.
    """
    view = focus_view(scene.seen, blur.signed.to(scene.seen.device), wraps=asked.wrap)
    decided = (focus.planes, focus.points, focus.by, (blur.strengths, blur.by))
    shown = focus_ui(scene.seen, scene.depth_map, rendered.picture, asked.color_space, *decided)
    return io.NodeOutput(
        rendered.picture,
        services.result(_as_share(blur.signed)),
        services.result(blur.signed),
        services.result(view),
        rendered.alpha,
        ui=(shown | _text(scene.report)) or None,
    )


@dataclass(frozen=True, eq=False)
class Rendered:
    """Pictures through the lens.

    Attributes:
        picture: [B,H,W,3].
        alpha: [B,H,W], 0…1, what they cover.
    """

    picture: Tensor
    alpha: Tensor


def _render_each(
    batches: dict[str, Tensor], strengths: list[float], lens, frames, **options
) -> Rendered:
    """Return the rendered pictures; one at a time on the device, so memory does not grow.

    Args:
        batches: arguments of `render_bokeh` with one entry for each picture, or one for all.
        strengths: of each picture, px·m.
        lens: a core.Lens.
        frames: a FrameDepth, which gives each picture its depth.
        options: the other arguments of `render_bokeh`.
    """
    bar, count, done = services.start_bar(), len(strengths), None
    batches = {name: batch.expand(count, *batch.shape[1:]) for name, batch in batches.items()}
    for index in range(count):
        services.check_cancelled()
        one = {
            name: batch[index : index + 1].to(services.device()) for name, batch in batches.items()
        }
        one |= {name: value.float() for name, value in one.items() if name.endswith("depth")}
        one |= options | {"check_cancelled": services.check_cancelled}
        picture = core.render_lens_look(
            lens,
            **frames.prepared(one),
            strength=strengths[index],
            grain_seed=index,
            on_progress=services.progress(index, count, bar),
        )
        picture = services.result(picture)
        if done is None:
            whole = picture.new_empty(count, *picture.shape[1:3], 3)
            done = Rendered(whole, torch.ones_like(whole[..., 0]))
        done.picture[index] = picture[0, ..., :3]
        if picture.shape[-1] == 4:
            done.alpha[index] = picture[0, ..., 3]
    return done


def _text(report: str) -> dict:
    return ui.PreviewText(report).as_dict() if report else {}


def _as_share(radius: Tensor) -> Tensor:
    """Return signed radii [B,H,W] as shares of the largest; zero where all are sharp."""
    share = radius.abs()
    largest = float(share.max())
    return share.div_(largest) if largest > 0 else share
