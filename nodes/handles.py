"""What LoadBokehDepth hands on: the choices made there. A model is loaded when first used.

These two classes are the seam between the nodes and the models: a node asks its handle to generate
or to estimate and does not know what runs behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from ..bokehdepth_core import (
    BUILT_IN,
    BokehStack,
    DepthMap,
    load_bokeh_generator,
    load_depth_estimator,
)
from ..bokehdepth_core.depth.sweep.memory import sweep_memory
from ..bokehdepth_core.generator.adapter import load_adapter
from ..bokehdepth_core.generator.rendered import rendering_memory
from .flux.native import NativeGenerator
from .host import services


@dataclass(eq=False)
class BokehGenerator:
    """Stage 1 as chosen: makes a bokeh stack from one photo.

    Attributes:
        adapter: "built-in", or a name in the model folder.
        base_model: "built-in", or a name in the model folder.
        precision: one of services.PRECISIONS.
        model: ComfyUI's MODEL (FLUX.1-Kontext or FLUX.2), or None.
        clip: ComfyUI's CLIP, or None.
        vae: ComfyUI's VAE, or None.
    """

    adapter: str
    base_model: str
    precision: str
    model: object = None
    clip: object = None
    vae: object = None
    _loaded: object = field(default=None, init=False, repr=False)

    @property
    def is_built_in(self) -> bool:
        """True where frames are rendered from a depth map, without weights."""
        return self.adapter == BUILT_IN

    def generate(
        self,
        image: Tensor,
        strengths: Sequence[float],
        *,
        steps: int,
        guidance: float,
        seed: int,
        match_color: bool,
        sigmas: Sequence[float] | None = None,
        depth: DepthMap | None,
        on_progress,
        on_preview,
        check_cancelled,
    ) -> BokehStack:
        """Return the stack of one photo.

        Args:
            image: [H,W,3], sRGB, 0…1.
            strengths: bokeh strengths K, px·m.
            steps: sampling steps of the network; the built-in generator takes none.
            guidance: of the network.
            seed: of the network's noise.
            match_color: give the frames the photo's colours; rendered frames have them already.
            sigmas: noise levels in place of `steps` and the network's own, or None.
            depth: [1,H,W] map of the photo, or None; only the built-in generator uses it.
            on_progress: called as work proceeds.
            on_preview: called with FLUX's latents as they grow, or None.
            check_cancelled: raises to stop.
        """
        options = {"depth": depth}
        if not self.is_built_in:
            options = {
                "steps": steps,
                "guidance": guidance,
                "seed": seed,
                "match_color": match_color,
                "on_preview": on_preview,
            }
            if sigmas is not None:
                options["sigmas"] = sigmas
        if self.is_built_in:
            services.make_room(rendering_memory(depth, strengths, moved=services.moves()))
        return self._generator().generate(
            image,
            strengths,
            **options,
            on_progress=on_progress,
            check_cancelled=check_cancelled,
        )

    def _generator(self):
        if self._loaded is None:
            with services.plain_errors():
                self._loaded = self._load()
        return self._loaded

    def _load(self):
        if self.is_built_in:
            return load_bokeh_generator(BUILT_IN, device=services.device())
        if self.model is None:
            return self._diffusers_generator()
        adapter = load_adapter(services.fetch_model(self.adapter))
        return NativeGenerator(self.model, self.clip, self.vae, adapter)

    def _diffusers_generator(self):
        from ..bokehdepth_core.generator.flux_generator import load_flux_generator

        if self.base_model == BUILT_IN:
            raise ValueError(
                "base_model: connect model, clip and vae to Load BokehDepth, or choose a FLUX.1-"
                "Kontext file there: the bokeh adapter works on it, and none was given."
            )
        made = load_flux_generator(
            services.fetch_model(self.adapter),
            services.model_path(self.base_model),
            device="cpu",
            dtype=services.dtype(self.precision),
            sources=services.flux_sources(),
        )
        return replace(made, placement=services.ManagedParts(made.pipeline))


@dataclass(eq=False)
class DepthEstimator:
    """Stage 2 as chosen: depth from a photo, with or without its stack.

    Attributes:
        checkpoint: "built-in", or a name in the model folder.
        precision: one of services.PRECISIONS.
        attention_scale: of Depth Anything with DSFA; "auto" leaves it to the file.
    """

    checkpoint: str
    precision: str
    attention_scale: str = "auto"
    _loaded: object = field(default=None, init=False, repr=False)

    @property
    def is_built_in(self) -> bool:
        """True for the sweep, which needs a stack and no weights."""
        return self.checkpoint == BUILT_IN

    def estimate(
        self,
        image: Tensor,
        stack: Sequence[BokehStack] | None,
        intrinsics: Tensor | None,
        resolution: int | None,
        *,
        focus: str,
        focus_depth: float | None,
        prior: DepthMap | None = None,
        on_progress,
        check_cancelled,
    ) -> DepthMap:
        """Return the depth of a batch of photos.

        Args:
            image: [B,H,W,3], sRGB, 0…1.
            stack: one stack for each photo, one for all, or None.
            intrinsics: [B,3,3], px, or None where unknown.
            resolution: 0…9, or None for the network's own choice; the sweep takes none.
            focus: end of the scene that is sharp in the frames; the sweep needs it.
            focus_depth: depth of that end, m, or None where unknown; the sweep takes it.
            prior: tells the sweep front from behind; a network takes none.
            on_progress: called as work proceeds.
            check_cancelled: raises to stop.
        """
        options = {
            "focus": focus,
            "focus_depth": focus_depth,
            "on_progress": on_progress,
            "check_cancelled": check_cancelled,
        }
        if self.is_built_in:
            frames = max((len(one.frames) for one in stack or ()), default=0)
            size = image.shape[1:3]
            services.make_room(sweep_memory(*size, frames, moved=services.moves()))
            estimator = load_depth_estimator(self.checkpoint, device=services.device())
            options["prior"] = prior
            return estimator.estimate(image, stack, intrinsics, resolution, **options)
        if prior is not None:
            raise ValueError(
                "prior: disconnect it, or choose the built-in depth_checkpoint in Load BokehDepth: "
                f"{self.checkpoint} tells front from behind by itself."
            )
        estimator, patcher = self._network()
        height, width = image.shape[1:3]
        frames = 1 + max((len(one.frames) for one in stack or ()), default=0)
        needed = estimator.memory_required(
            height, width, frames, resolution, device=services.device()
        )
        free = services.load([patcher], needed)
        chunk = estimator.chunk_for(height, width, frames, resolution, free)
        return estimator.estimate(image, stack, intrinsics, resolution, chunk=chunk, **options)

    def _network(self):
        """Return the estimator and its patcher; the weights wait on the CPU until a run."""
        if self._loaded is None:
            scale = self.attention_scale
            with services.plain_errors():
                estimator = load_depth_estimator(
                    services.fetch_model(self.checkpoint),
                    dtype=services.dtype(self.precision),
                    attention_scale=None if scale == "auto" else scale,
                )
            self._loaded = estimator, services.managed(estimator.network)
        return self._loaded
