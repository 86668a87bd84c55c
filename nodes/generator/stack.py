"""Bokeh stacks: generated from one photo, or taken with a camera."""

import logging

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ...bokehdepth_core import BokehStack, DepthMap, parse_strengths
from ...bokehdepth_core.color import COLOR_SPACES, convert_color
from ...bokehdepth_core.depth.sweep.calibration import check_calibratable
from ...bokehdepth_core.depth.sweep.messages import collected
from ...bokehdepth_core.generator.flux.schedule import check_noise_levels
from .. import sockets
from ..host import pictures, services
from ..host.captions import captioned
from ..host.doubts import doubts
from ..host.early import said
from .stack_checks import aligned, as_result, calibrated, faults, one_depth

_STRENGTHS_TIP = (
    "Bokeh strengths K in px·m, separated by commas: a point at disparity d is blurred to a disc "
    "of radius K·|d - d_focus| px. "
)


class GenerateBokehStack(io.ComfyNode):
    """GenerateBokehStack: the photo at growing bokeh strengths."""

    @classmethod
    def define_schema(cls):
        return services.fit(
            io.Schema,
            node_id="GenerateBokehStack",
            display_name="Generate Bokeh Stack",
            category=services.CATEGORY,
            description="Make blurred versions of a photo, each as a wider lens would take it.",
            search_aliases=["bokeh stack", "aperture bracket", "defocus stack"],
            inputs=[
                io.Image.Input("image", tooltip="The sharp photo, or a batch of them."),
                sockets.Generator.Input("generator", tooltip="From Load BokehDepth."),
                io.String.Input(
                    "strengths",
                    default="10, 20, 30",
                    tooltip=_STRENGTHS_TIP + "One frame is made for each.",
                ),
                io.Int.Input(
                    "steps",
                    default=50,
                    min=1,
                    max=200,
                    tooltip="Sampling steps of FLUX: 50 as published, 20 with guidance 1 as the "
                    "quick preset; 4 for distilled FLUX.2 klein, 8 with most Turbo LoRAs. Not used "
                    "by the built-in generator.",
                ),
                io.Float.Input(
                    "guidance",
                    default=7.0,
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    tooltip="Guidance of FLUX; 1 for distilled FLUX.2 klein. Not used by the "
                    "built-in generator.",
                ),
                services.seed_input(
                    "seed",
                    default=0,
                    tooltip="Noise of FLUX, the same for every strength. Not used by the "
                    "built-in generator.",
                ),
                io.Boolean.Input(
                    "match_color",
                    default=True,
                    tooltip="Give the frames the colours of the photo. Frames of the built-in "
                    "generator have them already.",
                ),
                sockets.depth_input(
                    optional=True,
                    tooltip="Depth of the photo: metric depth, a depth picture (near is white) or "
                    "a geometry. The built-in generator needs it. FLUX does not, but with metres "
                    "its calibration tells what a unit of strength is in px·m.",
                ),
                io.Boolean.Input(
                    "check_calibration",
                    default=False,
                    optional=True,
                    tooltip="Measure how well the blur of the frames obeys their strengths (R², 1 "
                    "is perfect) and show it below the node. Takes two strengths or more, and as "
                    "long as a depth estimate.",
                ),
                io.Combo.Input(
                    "color_space",
                    options=list(COLOR_SPACES),
                    default="sRGB",
                    optional=True,
                    tooltip="What the image holds, and the frames come out as: sRGB as usual, or "
                    "linear light as an EXR gives it. The built-in generator clips nothing.",
                ),
                io.Sigmas.Input(
                    "sigmas",
                    optional=True,
                    tooltip="Noise levels from a scheduler node, in place of steps and FLUX's own: "
                    "what a Turbo LoRA was made for, say. Not used by the built-in generator.",
                ),
                io.Boolean.Input(
                    "align",
                    default=False,
                    optional=True,
                    tooltip="Bring the frames onto the photo and say by how much they were off. "
                    "Defocus-Aware Depth does it by itself; switch it on for the frames.",
                ),
                io.Boolean.Input(
                    "correct_strengths",
                    default=False,
                    optional=True,
                    tooltip="Give the stack the strengths that its frames show, measured as "
                    "check_calibration does, instead of those asked for: where K 30 came out as "
                    "24, 24. With depth in metres they are px·m.",
                ),
            ],
            outputs=[
                sockets.Stack.Output(display_name="stack", tooltip="For Defocus-Aware Depth."),
                io.Image.Output(
                    display_name="frames",
                    tooltip="The blurred frames; with several photos, all frames of the first, "
                    "then of the second.",
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="What alignment did and what check_calibration found; else empty.",
                ),
                io.String.Output(
                    display_name="strengths",
                    tooltip="The strengths of the stack, a line for each photo: as asked for, or "
                    "as the frames show them.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, strengths=None, check_calibration=None, correct_strengths=None):
        measured = bool(check_calibration or correct_strengths)
        return said(_as_asked, strengths, measured)

    @classmethod
    def execute(
        cls,
        image,
        generator,
        strengths,
        steps,
        guidance,
        seed,
        match_color,
        depth=None,
        check_calibration=False,
        color_space="sRGB",
        sigmas=None,
        align=False,
        correct_strengths=False,
    ):
        sockets.check_kind(generator, sockets.BokehGenerator, "generator")
        measured = check_calibration or correct_strengths
        values = _as_asked(strengths, measured)
        image = convert_color(pictures.as_rgb(image), color_space, "sRGB")
        if not (generator.is_built_in or measured):
            depth = None  # FLUX needs none
        depth, doubt = _fitted(depth, image)
        options = {"steps": steps, "guidance": guidance, "seed": seed, "match_color": match_color}
        options["sigmas"] = None if sigmas is None else check_noise_levels(sigmas)
        with collected(services.PACK_LOG, logging.WARNING) as warnings:
            stacks = _generated(generator, image, depth, values, options)
        report = ""
        if align:
            stacks, report = aligned(stacks)
        if measured:
            found = [
                calibrated(stack, one_depth(depth, index), correct_strengths)
                for index, stack in enumerate(stacks)
            ]
            stacks = tuple(one.stack for one in found)
            report = "\n".join(filter(None, [report, *(one.report for one in found)]))
        stacks = tuple(as_result(stack) for stack in stacks)
        frames = torch.cat([stack.frames for stack in stacks])
        frames = convert_color(frames, "sRGB", color_space)
        shown = _preview(stacks, cls).as_dict()
        told = [doubt, *(record.getMessage() for record in warnings), report]
        text = "\n".join(filter(None, dict.fromkeys(told)))  # once for all photos of a batch
        if text:
            services.show_text(text)
            shown |= ui.PreviewText(text).as_dict()
        shown_strengths = "\n".join(_as_text(stack.strengths) for stack in stacks)
        return io.NodeOutput(stacks, frames, report, shown_strengths, ui=shown)


def _as_asked(strengths: str, measured: bool) -> tuple[float, ...]:
    """Return the bokeh strengths of a stack, px·m, enough of them where they are to be measured.

    Raises:
        ValueError: unreadable text, or one strength alone to be measured.
    """
    values = parse_strengths(strengths)
    if measured:
        check_calibratable(values)
    return values


def _as_text(strengths: tuple[float, ...]) -> str:
    return ", ".join(f"{strength:.4g}" for strength in strengths)


def _fitted(depth: object, image: Tensor) -> tuple[DepthMap | None, str]:
    """Return connected depth at the size of the photos, and what to look at in it."""
    if depth is None:
        return None, ""
    fitted = sockets.as_depth(depth, tuple(image.shape[1:3]), soft_edges=True)
    return fitted, doubts(depth, fitted, image)


def _generated(
    generator, image: Tensor, depth: DepthMap | None, strengths: tuple[float, ...], options: dict
) -> tuple[BokehStack, ...]:
    """Return the stack of each photo.

    Args:
        generator: a BokehGenerator.
        image: [B,H,W,3], sRGB, 0…1.
        depth: of the photos, or one for all; None where the generator needs none.
        strengths: bokeh strengths K, px·m.
        options: what else the generator takes.
    """
    count, bar = len(image), services.start_bar()
    if depth is not None:
        count = pictures.common_batch(image=count, depth=len(depth.depth))
    return tuple(
        generator.generate(
            pictures.item(image, index)[0],
            strengths,
            **options,
            depth=one_depth(depth, index),
            on_progress=services.progress(index, count, bar),
            on_preview=services.previewer(bar),
            check_cancelled=services.check_cancelled,
        )
        for index in range(count)
    )


class BokehStackFromImages(io.ComfyNode):
    """BokehStackFromImages: real photos of one view at several apertures, as a stack."""

    @classmethod
    def define_schema(cls):
        return services.fit(
            io.Schema,
            node_id="BokehStackFromImages",
            display_name="Bokeh Stack from Images",
            category=services.CATEGORY,
            description="Join photos of one view at several apertures (same focus, from a "
            "tripod) into a bokeh stack.",
            search_aliases=["aperture bracket", "bokeh stack", "depth from defocus"],
            inputs=[
                io.Image.Input(
                    "reference", tooltip="The sharp photo (small aperture), or a batch of them."
                ),
                io.Image.Input(
                    "frames",
                    tooltip="The blurred photos, as a batch, same size and view; with several "
                    "references, all frames of the first, then of the second.",
                ),
                io.String.Input(
                    "strengths",
                    default="10, 20, 30",
                    tooltip=_STRENGTHS_TIP + "One for each frame, in the same order. Bokeh "
                    "Strength from Lens tells the number for a real lens.",
                ),
                io.Boolean.Input(
                    "align",
                    default=True,
                    optional=True,
                    tooltip="Bring the frames onto the reference: shift, scale, rotation, wobble, "
                    "exposure, white balance, tone curve and vignetting. Frames in place already "
                    "stay as they are.",
                ),
            ],
            outputs=[
                sockets.Stack.Output(display_name="stack", tooltip="For Defocus-Aware Depth."),
                io.String.Output(
                    display_name="report",
                    tooltip="What was done to each frame, in px and %, and which frames cannot be "
                    "what their strengths say.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, strengths=None):
        return said(parse_strengths, strengths)

    @classmethod
    def execute(cls, reference, frames, strengths, align=True):
        values = parse_strengths(strengths)
        reference = pictures.as_rgb(reference, "reference")
        frames = pictures.as_rgb(frames, "frames")
        count, wanted = len(reference), len(reference) * len(values)
        if len(frames) != wanted:
            pictures_each = f" for each of {count} references" if count > 1 else ""
            raise ValueError(
                f"strengths: give one for each frame, in the same order: {len(values)} "
                f"given{pictures_each}, but {len(frames)} frames where {wanted} were expected."
            )
        groups = frames.split(len(values))
        stacks = tuple(
            BokehStack(one, group, values) for one, group in zip(reference, groups, strict=True)
        )
        report = ""
        if align:
            stacks, report = aligned(stacks)
        report = "\n".join(filter(None, [report, *faults(stacks)]))
        if report:
            services.show_text(report)
        shown = _preview(stacks, cls).as_dict()
        if report:
            shown |= ui.PreviewText(report).as_dict()
        return io.NodeOutput(stacks, report, ui=shown)


def _preview(stacks: tuple[BokehStack, ...], cls) -> ui.PreviewImage:
    """Return the pictures shown on the node: each photo, then its frames."""
    shown: list[Tensor] = []
    texts: list[tuple[str]] = []
    for stack in stacks:
        shown += [stack.reference[None], stack.frames]
        texts += [("sharp",), *((f"K = {strength:.4g} px·m",) for strength in stack.strengths)]
    return ui.PreviewImage(captioned(torch.cat(shown), texts), cls=cls)
