"""What the sockets between loader and stages carry: the choice made, opened when first needed."""

from dataclasses import dataclass

from .. import bokehdepth_core as core
from . import host


@dataclass(frozen=True, eq=False)
class GeneratorHandle:
    """A stage 1 that has been chosen but not loaded.

    Attributes:
        adapter: "built-in", or a file of the model folder.
        base_model: "built-in", or what the adapter goes on.
        precision: "auto", "bf16", "fp16" or "fp32".
        model: ComfyUI's MODEL, or None; with `clip` and `vae` the native FLUX.1-Kontext.
        clip: ComfyUI's CLIP, or None.
        vae: ComfyUI's VAE, or None.
    """

    adapter: str
    base_model: str
    precision: str
    model: object = None
    clip: object = None
    vae: object = None

    def built_in(self):
        """Return True where the frames are rendered from a depth map, without weights."""
        return self.adapter == core.BUILT_IN

    def open(self):
        """Return the core's generator for this choice."""
        return core.load_bokeh_generator(self.adapter, self.base_model, device=host.device())


@dataclass(frozen=True, eq=False)
class EstimatorHandle:
    """A stage 2 that has been chosen but not loaded.

    Attributes:
        checkpoint: "built-in", or a file of the model folder.
        precision: "auto", "bf16", "fp16" or "fp32".
    """

    checkpoint: str
    precision: str

    def built_in(self):
        """Return True where depth is read off the stack, without weights."""
        return self.checkpoint == core.BUILT_IN

    def open(self):
        """Return the core's estimator for this choice."""
        return core.load_depth_estimator(self.checkpoint, device=host.device())
