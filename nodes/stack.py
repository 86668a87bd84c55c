"""Bokeh stacks: generated from one photo, or collected from pictures that exist."""

import torch
from comfy_api.latest import io, ui

from .. import bokehdepth_core as core
from . import host, sockets

STRENGTHS_TIP = (
    "Bokeh strengths K, one for each frame, separated by commas. K is the blur radius in px for "
    "a disparity offset of 1/m: 10 is gentle, 30 strong."
)


def check_strengths_text(strengths):
    """Return True, or what is wrong with a text of strengths, for `validate_inputs`."""
    try:
        core.parse_strengths(strengths)
    except ValueError as error:
        return str(error)
    return True


class GenerateBokehStack(io.ComfyNode):
    """One sharp photo becomes frames of growing bokeh."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GenerateBokehStack",
            display_name="Generate Bokeh Stack",
            category="BokehDepth",
            description="Turns a sharp photo into a stack of the same view at growing bokeh "
            "strength.",
            inputs=[
                io.Image.Input("image", tooltip="Sharp photo, or several."),
                sockets.BokehGenerator.Input("generator", tooltip="From Load BokehDepth."),
                io.String.Input("strengths", default="10, 20, 30", tooltip=STRENGTHS_TIP),
                io.Int.Input(
                    "steps",
                    default=50,
                    min=1,
                    max=1000,
                    tooltip="Sampling steps; 20 is a quick preset. Not used by built-in.",
                ),
                io.Float.Input(
                    "guidance",
                    default=7.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="FLUX guidance; 1 goes with the quick preset. Not used by built-in.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Noise that every frame starts from. Not used by built-in.",
                ),
                io.Boolean.Input(
                    "match_color",
                    default=True,
                    tooltip="Give every frame the colour statistics of the photo. Not used by "
                    "built-in, whose frames keep the photo's light.",
                ),
                sockets.depth_input(
                    "depth",
                    optional=True,
                    tooltip="Depth that the built-in generator renders the frames from. FLUX "
                    "needs none.",
                ),
            ],
            outputs=[
                sockets.BokehStack.Output(
                    display_name="stack", tooltip="One stack for each photo."
                ),
                io.Image.Output(
                    display_name="frames",
                    tooltip="The frames of all stacks, in order: strengths of the first photo, "
                    "then of the next.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, strengths):
        return check_strengths_text(strengths)

    @classmethod
    def execute(cls, image, generator, strengths, steps, guidance, seed, match_color, depth=None):
        image = sockets.as_image(image)
        values = core.parse_strengths(strengths)
        stacks = _rendered(image, generator, values, depth)
        frames = host.to_host(torch.cat([stack.frames for stack in stacks]))
        return io.NodeOutput(tuple(stacks), frames, ui=ui.PreviewImage(frames, cls=cls))


def _rendered(image, generator, strengths, depth):
    """Return a stack for each photo, rendered by the built-in generator."""
    on_progress, check_cancelled = host.follow()
    opened = generator.open()
    if depth is not None:
        image, depth = sockets.match_batches(image, depth)
    stacks = []
    for index, photo in enumerate(image):

        def photo_progress(done, total, first=index):
            on_progress(first * total + done, len(image) * total)

        one = None if depth is None else core.DepthMap(depth.depth[index : index + 1])
        stacks.append(
            opened.generate(
                photo,
                strengths,
                depth=one,
                on_progress=photo_progress,
                check_cancelled=check_cancelled,
            )
        )
    return stacks


class BokehStackFromImages(io.ComfyNode):
    """Pictures taken or made at known strengths become a stack."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="BokehStackFromImages",
            display_name="Bokeh Stack from Images",
            category="BokehDepth",
            description="Collects a sharp picture and blurred pictures of the same view, such as "
            "an aperture bracket from a tripod, into a stack.",
            inputs=[
                io.Image.Input("reference", tooltip="The sharp picture: smallest aperture."),
                io.Image.Input(
                    "frames",
                    tooltip="The same view at growing bokeh strength, as a batch in the order of "
                    "strengths. For several references: all frames of the first, then the next.",
                ),
                io.String.Input("strengths", default="10, 20, 30", tooltip=STRENGTHS_TIP),
            ],
            outputs=[
                sockets.BokehStack.Output(
                    display_name="stack", tooltip="One stack for each reference."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, strengths):
        return check_strengths_text(strengths)

    @classmethod
    def execute(cls, reference, frames, strengths):
        reference = sockets.as_image(reference, "reference")
        frames = sockets.as_image(frames, "frames")
        values = core.parse_strengths(strengths)
        wanted = len(reference) * len(values)
        if len(frames) != wanted:
            raise ValueError(
                f"frames: {len(frames)} pictures for {len(reference)} references with "
                f"{len(values)} strengths each. Give {wanted}."
            )
        stacks = [
            core.BokehStack(one, shots, values, {"generator": "images"})
            for one, shots in zip(reference, frames.split(len(values)), strict=True)
        ]
        return io.NodeOutput(tuple(stacks), ui=ui.PreviewImage(frames, cls=cls))
