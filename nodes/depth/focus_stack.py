"""Focus stacks: photos of one view, each focused at another distance."""

from dataclasses import replace

import torch
from comfy_api.latest import io, ui

from ...bokehdepth_core import focus_stack_from_frames
from ...bokehdepth_core.depth.focus_stacks import parse_focus_distances
from ...bokehdepth_core.depth.focus_stacks.memory import focus_stack_memory
from .. import sockets
from ..host import pictures, services
from ..host.early import said


class FocusStackFromImages(io.ComfyNode):
    """FocusStackFromImages: photos of several focus distances, as a stack and all in focus."""

    @classmethod
    def define_schema(cls):
        return services.fit(
            io.Schema,
            node_id="FocusStackFromImages",
            display_name="Focus Stack from Images",
            category=services.CATEGORY,
            description="Join photos of one view and one aperture, each focused at another "
            "distance, into a stack for depth, and into one picture that is sharp everywhere.",
            search_aliases=["focus stacking", "all in focus", "depth from focus"],
            inputs=[
                io.Image.Input(
                    "frames",
                    tooltip="The photos as a batch, same size, in the order of their focus.",
                ),
                io.String.Input(
                    "focus_distances",
                    default="",
                    tooltip="What is sharp in each frame, m, separated by commas; inf is "
                    "infinity. Empty where unknown: depth is then relative, and the first frame "
                    "is taken as the near one.",
                ),
                io.Float.Input(
                    "strength",
                    default=0.0,
                    min=0.0,
                    max=1e6,
                    step=0.1,
                    round=False,
                    tooltip="Bokeh strength K of the aperture, px·m, as Bokeh Strength from Lens "
                    "tells it; 0 measures it from the frames. Not used where the distances are "
                    "unknown.",
                ),
                io.Boolean.Input(
                    "align",
                    default=True,
                    tooltip="Bring the frames onto each other: shift, rotation, and the scale "
                    "that changes as the focus moves.",
                ),
            ],
            outputs=[
                sockets.Stack.Output(display_name="stack", tooltip="For Defocus-Aware Depth."),
                io.Image.Output(
                    display_name="all_in_focus",
                    tooltip="The picture that is sharp everywhere: the image for Defocus-Aware "
                    "Depth and Render Bokeh.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, focus_distances=None):
        return said(parse_focus_distances, focus_distances)

    @classmethod
    def execute(cls, frames, focus_distances, strength, align):
        frames = pictures.as_rgb(frames, "frames")
        distances = parse_focus_distances(focus_distances)
        count, *size = frames.shape[:3]
        measured = not (distances and strength)
        services.make_room(
            focus_stack_memory(*size, count, align=align, measured=measured, moved=services.moves())
        )
        stack, report = focus_stack_from_frames(
            frames.to(services.device()),
            distances,
            strength,
            align=align,
            check_cancelled=services.check_cancelled,
        )
        reference, moved = services.result(stack.reference), services.result(stack.frames)
        stack = replace(stack, reference=reference, frames=moved)
        shown = ui.PreviewImage(torch.cat([reference[None], moved]).clamp(0, 1), cls=cls).as_dict()
        if report.summary:
            services.show_text(report.summary)
            shown |= ui.PreviewText(report.summary).as_dict()
        return io.NodeOutput((stack,), reference[None], ui=shown)
