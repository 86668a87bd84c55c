"""Depth from Mask: a rough relative depth for photos that have none."""

from comfy_api.latest import io, ui

from ... import bokehdepth_core as core
from ...bokehdepth_core.depth.from_mask import mask_depth_memory
from .. import sockets
from ..host import pictures, services


class DepthFromMask(io.ComfyNode):
    """DepthFromMask: the masked subject before a far wall, on the ground."""

    @classmethod
    def define_schema(cls):
        return services.fit(
            io.Schema,
            node_id="DepthFromMask",
            display_name="Depth from Mask",
            category=services.CATEGORY,
            description="A rough guess of depth from a subject mask, good enough for the blur "
            "behind a portrait: the subject stands upright on the ground before a far wall. "
            "Relative, no metres; a depth node gives better.",
            search_aliases=["portrait depth", "segmentation to depth", "subject depth"],
            inputs=[
                io.Image.Input("image", tooltip="The photo; its edges refine the mask's."),
                io.Mask.Input(
                    "subject",
                    tooltip="White where the subject is, from any segmentation node or painted. "
                    "One for all pictures, or one for each.",
                ),
                io.Boolean.Input(
                    "ground",
                    default=True,
                    optional=True,
                    tooltip="A ground leads from the picture's lower edge past the subject's foot "
                    "to the wall. Off: the wall alone.",
                ),
                io.Float.Input(
                    "separation",
                    default=0.8,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How far behind the subject the wall stands: 0 beside it, 1 at "
                    "infinity.",
                ),
            ],
            outputs=[
                sockets.MetricDepth.Output(
                    display_name="depth", tooltip="Relative depth, for Render Bokeh."
                )
            ],
        )

    @classmethod
    def execute(cls, image, subject, ground=True, separation=0.8):
        image = pictures.as_rgb(image)
        mask = pictures.fit_mask(subject, tuple(image.shape[1:3]), "subject", "bilinear")
        count = pictures.common_batch(image=len(image), subject=len(mask))
        photos = image.expand(count, -1, -1, -1)
        size = tuple(image.shape[1:3])
        copied = 4 * 4 * count * size[0] * size[1] if services.moves() else 0
        services.make_room(mask_depth_memory(*size, count) + copied)
        found = core.depth_from_mask(
            photos.to(services.device()),
            mask.to(services.device()),
            ground=ground,
            separation=separation,
            check_cancelled=services.check_cancelled,
        )
        services.show_text(found.report)
        depth = core.DepthMap(services.result(found.depth.depth), metric=False)
        shown = ui.PreviewText(found.report).as_dict()
        return io.NodeOutput(depth, ui=shown)
