"""Load BokehDepth: chooses what stage 1 and stage 2 run on, and loads nothing yet."""

from comfy_api.latest import io

from .. import bokehdepth_core as core
from . import host, sockets
from .handles import EstimatorHandle, GeneratorHandle

PRECISIONS = ["auto", "bf16", "fp16", "fp32"]


class LoadBokehDepth(io.ComfyNode):
    """The choice of adapter, base model and depth checkpoint."""

    @classmethod
    def define_schema(cls):
        files = [core.BUILT_IN, *host.model_files()]
        return io.Schema(
            node_id="LoadBokehDepth",
            display_name="Load BokehDepth",
            category="BokehDepth",
            description="Chooses how bokeh stacks are made and how depth is estimated. Nothing is "
            "loaded until a connected node needs it.",
            inputs=[
                io.Combo.Input(
                    "bokeh_adapter",
                    options=files,
                    tooltip="Stage 1. built-in renders the frames from a depth map and needs no "
                    "file. Others: adapter files in models/bokehdepth.",
                ),
                io.Combo.Input(
                    "base_model",
                    options=[core.BUILT_IN],
                    tooltip="The FLUX.1-Kontext that the adapter goes on. Not used by the "
                    "built-in adapter, nor where model, clip and vae are connected.",
                ),
                io.Combo.Input(
                    "depth_checkpoint",
                    options=files,
                    tooltip="Stage 2. built-in reads depth off a bokeh stack and needs no file. "
                    "Others: depth checkpoints in models/bokehdepth.",
                ),
                io.Combo.Input(
                    "precision",
                    options=PRECISIONS,
                    tooltip="Number format of the networks. auto takes the best that the device "
                    "is fast at; the built-in parts always use fp32.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="FLUX.1-Kontext from any of ComfyUI's loaders. With clip and vae "
                    "connected too, stage 1 runs on it.",
                ),
                io.Clip.Input("clip", optional=True, tooltip="Text encoders of FLUX.1-Kontext."),
                io.Vae.Input("vae", optional=True, tooltip="VAE of FLUX.1-Kontext."),
            ],
            outputs=[
                sockets.BokehGenerator.Output(
                    display_name="generator", tooltip="For Generate Bokeh Stack."
                ),
                sockets.DepthEstimator.Output(
                    display_name="depth_model", tooltip="For Defocus-Aware Depth."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        bokeh_adapter,
        base_model,
        depth_checkpoint,
        precision,
        model=None,
        clip=None,
        vae=None,
    ):
        connected = {"model": model, "clip": clip, "vae": vae}
        missing = [name for name, value in connected.items() if value is None]
        if 0 < len(missing) < 3:
            raise ValueError(
                f"{', '.join(missing)}: not connected. Connect model, clip and vae together, "
                "or none of them."
            )
        generator = GeneratorHandle(bokeh_adapter, base_model, precision, **connected)
        return io.NodeOutput(generator, EstimatorHandle(depth_checkpoint, precision))
