"""The pack's own example pictures, so that the example workflows run on any machine at once."""

from comfy_api.latest import io, ui

from ..bokehdepth_core import DepthMap
from ..bokehdepth_core.demo.run import load_scene
from .host import services
from .host.geometry import depth_picture


class BokehDepthExample(io.ComfyNode):
    """BokehDepthExample: a bundled aperture bracket and its depth picture."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="BokehDepthExample",
            display_name="Example Photos (BokehDepth)",
            category=services.CATEGORY,
            description="A bundled scene to try the nodes with: a sharp photo, the same view "
            "through a lens of K = 10, 20 and 30 focused at 1.5 m, and its depth as a picture. "
            "Put Load Image in its place for your own photos.",
            inputs=[],
            outputs=[
                io.Image.Output(display_name="photo", tooltip="Everything is sharp."),
                io.Image.Output(
                    display_name="frames",
                    tooltip="Bokeh strengths 10, 20, 30; the nearest thing, at 1.5 m, is sharp.",
                ),
                io.Image.Output(
                    display_name="depth_image", tooltip="Its true depth: near is white."
                ),
            ],
        )

    @classmethod
    def execute(cls):
        scene = load_scene()
        photo = services.result(scene.stack.reference[None])
        shown = services.result(depth_picture(DepthMap(scene.depth)))
        return io.NodeOutput(
            photo, services.result(scene.stack.frames), shown, ui=ui.PreviewImage(photo, cls=cls)
        )
