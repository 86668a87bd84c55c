"""Stage 1 on diffusers: bokeh stacks from FLUX.1-Kontext or FLUX.2 with the adapter folded in.

The queries' and keys' updates are held in the weights while a stack is sampled; the strength
vectors are added before the output projections, one for each sample, so that all strengths share a
batch (arXiv 2512.12425, stage 1). Text encoders, VAE and transformer are needed one after the
other, so that only one of them has to fit into the device's memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ..checks import check_image, check_number, check_strengths
from ..color import color_transfer_lab
from ..datatypes import BokehStack, DepthMap
from ..weights.published import BUILT_IN
from .adapter import BokehAdapter, folded, load_adapter
from .batches import in_batches
from .flux.layers import attention_layers, check_fit, one_at_a_time, strengths_added
from .flux.pipeline import DEFAULT_SOURCES, load_pipeline
from .flux.samplers import Denoised, FluxSampler, sampler_of
from .flux.schedule import Course, check_noise_levels
from .flux.single_files import Sources
from .flux.tokens import fit_to_tokens, resized
from .placement import TEXT_ENCODERS, TRANSFORMER, VAE, InTurn, Placement
from .prompts import PROMPT, bokeh_prompt

# Memory beside the VAE's weights, in numbers of its own type. Measured on the CPU: 1281 a pixel for
# the decoder of FLUX.1's full-size VAE (642 for its encoder); a sixth more for what a device's
# libraries take. FLUX.2's has the same layers.
NUMBERS_PER_PIXEL = 1500

OnPreview = Callable[[Tensor], None]
"""Called with what the frames of a batch look like so far: latents [n,C,h,w], as their family's."""


@dataclass(eq=False)
class FluxGenerator:
    """Makes bokeh stacks with FLUX.1-Kontext or FLUX.2 and a bokeh adapter of that base.

    Several threads may call it, also through several generators of one transformer: the adapter's
    updates are held in the weights meanwhile, so one call waits for the other.

    Attributes:
        pipeline: diffusers' `FluxKontextPipeline`, `Flux2Pipeline` or `Flux2KleinPipeline`; its
            weights are as they were after every call.
        adapter: the bokeh adapter.
        placement: brings the pipeline's parts to the device that computes.
    """

    pipeline: Any
    adapter: BokehAdapter
    placement: Placement
    # Prompts that were encoded before, so that other photos need no text encoders.
    _encoded: dict[str, tuple[Tensor, ...]] = field(default_factory=dict, repr=False)

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return self.placement.device

    @property
    def sampler(self) -> FluxSampler:
        """What the pipeline's family does in its own way."""
        return sampler_of(self.pipeline)

    def generate(
        self,
        image: Tensor,
        strengths: Sequence[float],
        *,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
        prompt: str = PROMPT,
        match_color: bool = True,
        lora_scale: float = 1.0,
        bokeh_scale: float = 1.0,
        frames_at_once: int | None = None,
        sigmas: Sequence[float] | None = None,
        depth: DepthMap | None = None,
        on_progress: OnProgress = ignore_progress,
        on_preview: OnPreview | None = None,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> BokehStack:
        """Return the photo with one generated frame for each strength, at the photo's size.

        Args:
            image: [H,W,3], sRGB, 0…1, both sides >= 16 px; sampled at the next smaller multiples
                of 16 px.
            strengths: bokeh strengths K, px·m. The adapter takes the nearer end for those outside
                1…30; the prompt names them as they are.
            steps: sampling steps; None takes as many as are published for the base.
            guidance: embedded where the base takes it as a number, else classifier-free, of which
                1 and less mean none; weights that are step-distilled take no notice of it. None
                takes the published one.
            seed: of the noise, the same for every strength; drawn in float32 on the CPU.
            prompt: template with `{value:.2f}` for the strength.
            match_color: give the frames the photo's mean and spread in LAB.
            lora_scale: scales the update of queries and keys, 1 as trained.
            bokeh_scale: scales the strength signal, 1 as trained.
            frames_at_once: strengths in one batch; None takes as many as memory holds.
            sigmas: noise levels to sample at, in place of `steps` and the published levels.
            depth: not used; the network needs no depth.
            on_progress: called after each step of each batch.
            on_preview: called after each step of each batch.
            check_cancelled: raises to stop, between steps.

        Returns:
            The stack, its frames on the photo's device and of its number type.

        Raises:
            ValueError: a picture that is too small, or unusable numbers or prompt.
        """
        size = check_image(image, pattern="H W 3")
        values = check_strengths(strengths)
        published_steps, published_guidance = self._published()
        steps = published_steps if steps is None else steps
        guidance = published_guidance if guidance is None else guidance
        _check_settings(steps, guidance, frames_at_once)
        levels = None if sigmas is None else check_noise_levels(sigmas)
        steps = steps if levels is None else len(levels) - 1
        prompts = [bokeh_prompt(value, prompt) for value in values]
        frames = self.sample(
            fit_to_tokens(image),
            prompts,
            self.adapter.strength_vectors(values, bokeh_scale),
            steps=steps,
            guidance=guidance,
            seed=seed,
            lora_scale=lora_scale,
            frames_at_once=frames_at_once,
            levels=levels,
            on_progress=on_progress,
            on_preview=on_preview,
            check_cancelled=check_cancelled,
        )
        frames = resized(frames, size["H"], size["W"]).to(image.device, image.dtype)
        if match_color:
            frames = color_transfer_lab(frames, image)
        settings: dict[str, Any] = {
            "generator": self.adapter.base.name,
            "prompts": prompts,
            "steps": steps,
            "guidance": guidance,
            "seed": seed,
            "match_color": match_color,
            "lora_scale": lora_scale,
            "bokeh_scale": bokeh_scale,
        }
        if levels is not None:
            settings["sigmas"] = levels
        return BokehStack(image, frames, values, settings)

    def _published(self) -> tuple[int, float]:
        """Return the published steps and guidance of the base, or of its step-distilled weights."""
        base = self.adapter.base
        if base.distilled_steps and getattr(self.pipeline.config, "is_distilled", False):
            return base.distilled_steps, 1.0
        return base.steps, base.guidance

    @torch.no_grad()
    def sample(
        self,
        image: Tensor,
        prompts: Sequence[str],
        vectors: Tensor,
        *,
        steps: int,
        guidance: float,
        seed: int,
        lora_scale: float = 1.0,
        frames_at_once: int | None = None,
        levels: Sequence[float] | None = None,
        on_progress: OnProgress = ignore_progress,
        on_preview: OnPreview | None = None,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> Tensor:
        """Return one frame for each prompt and strength vector, [N,h,w,3], float32, 0…1.

        Args:
            image: [h,w,3], sRGB, 0…1; both sides multiples of 16 px.
            prompts: N texts.
            vectors: [N,layers,H], as from `BokehAdapter.strength_vectors`.
            steps: as in `generate`, like those that follow.
            guidance: …
            seed: …
            lora_scale: …
            frames_at_once: …
            levels: noise levels in place of the published ones, falling to 0.
            on_progress: as in `generate`, like those that follow.
            on_preview: …
            check_cancelled: …
        """
        course = Course(steps, guidance, levels)
        with one_at_a_time(self.pipeline.transformer, check_cancelled):
            return self._sample_alone(
                image,
                prompts,
                vectors,
                course,
                seed,
                lora_scale,
                frames_at_once,
                on_progress,
                on_preview,
                check_cancelled,
            )

    def _sample_alone(
        self,
        image: Tensor,
        prompts: Sequence[str],
        vectors: Tensor,
        course: Course,
        seed: int,
        lora_scale: float,
        frames_at_once: int | None,
        on_progress: OnProgress,
        on_preview: OnPreview | None,
        check_cancelled: CheckCancelled,
    ) -> Tensor:
        """Return what `sample` does, while nobody else uses the networks."""
        sampler, steps, count = self.sampler, course.steps, len(prompts)
        check_cancelled()
        texts, plain = self._encode(prompts, sampler, course.guidance)
        check_cancelled()
        self._bring_vae(image.shape[0] * image.shape[1])
        reference = sampler.encode(image, self.device)
        noise = sampler.noise(image.shape[0], image.shape[1], seed)
        at_once = min(count, frames_at_once or count)
        tokens = 2 * noise.shape[1] + texts[0].shape[1]
        at_once = self._frames_that_fit(at_once, tokens, sampler)
        layers = attention_layers(self.pipeline.transformer)

        def run(first: int, last: int) -> Tensor:
            def after_step(step: int, denoised: Denoised) -> None:
                on_progress(first * steps + (step + 1) * (last - first), count * steps)
                if on_preview is not None:
                    on_preview(denoised())
                check_cancelled()

            with strengths_added(layers, vectors[first:last]):
                return sampler.denoise(
                    reference,
                    noise.expand(last - first, -1, -1),
                    tuple(one[first:last] for one in texts),
                    plain,
                    course,
                    self.device,
                    after_step,
                )

        on_progress(0, count * steps)
        with folded(layers.projections, self.adapter.query_key_pairs(lora_scale)):
            latents = in_batches(run, count, at_once)
        return self._decode(latents, check_cancelled)

    def _encode(
        self, prompts: Sequence[str], sampler: FluxSampler, guidance: float
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...] | None]:
        """Return the texts of the prompts, each encoded once, and the one without words."""
        plain = sampler.needs_plain_text(guidance)
        wanted = dict.fromkeys([*prompts, *([""] if plain else [])])
        new = [prompt for prompt in wanted if prompt not in self._encoded]
        if new:
            self.placement.bring(TEXT_ENCODERS, 0)
        for prompt in new:
            self._encoded[prompt] = sampler.text(prompt, self.device)
        rows = zip(*(self._encoded[prompt] for prompt in prompts), strict=True)
        return tuple(map(torch.cat, rows)), self._encoded[""] if plain else None

    def _decode(self, latents: Tensor, check_cancelled: CheckCancelled) -> Tensor:
        """Return the frames [N,h,w,3], float32, 0…1, of latents [N,C,h,w], in turn."""
        side = self.adapter.base.family.latent_side
        self._bring_vae(latents.shape[-2] * latents.shape[-1] * side * side)
        frames = []
        for index in range(len(latents)):
            check_cancelled()
            frames.append(self.sampler.decode(latents[index : index + 1], self.device))
        return torch.cat(frames)

    def _bring_vae(self, pixels: int) -> None:
        self.placement.bring(VAE, NUMBERS_PER_PIXEL * pixels * self.pipeline.vae.dtype.itemsize)

    def _frames_that_fit(self, wanted: int, tokens: int, sampler: FluxSampler) -> int:
        """Bring the transformer and return how many frames it has memory for at once, 1…wanted."""
        network = self.pipeline.transformer
        each = sampler.numbers_per_token * tokens * network.inner_dim * network.dtype.itemsize
        free = self.placement.bring(TRANSFORMER, wanted * each)
        return wanted if free is None else max(1, min(wanted, free // each))


def load_flux_generator(
    adapter: str | Path,
    base_model: str | Path | None,
    *,
    device: str | torch.device,
    dtype: torch.dtype,
    sources: Sources = DEFAULT_SOURCES,
    alpha: float | None = None,
    lora_scale: float | None = None,
    query_only: bool | None = None,
) -> FluxGenerator:
    """Return a generator from an adapter file and its base model; see `load_pipeline`.

    Args:
        adapter: file, as in `load_adapter`.
        base_model: as in `load_pipeline`.
        device: where the networks run.
        dtype: precision of the networks; bfloat16 as published.
        sources: as in `load_pipeline`.
        alpha: as in `load_adapter`, like the two that follow.
        lora_scale: …
        query_only: …

    Raises:
        FileNotFoundError: no such file or folder, or a missing part.
        CheckpointError: an unusable adapter or model file.
        ValueError: a base model of another kind or size, or none.
    """
    if not base_model or str(base_model) == BUILT_IN:
        raise ValueError(
            "base_model: the bokeh adapter works on FLUX.1-Kontext or FLUX.2 and none was given. "
            "Give a diffusers folder, ComfyUI's file, or "
            '"black-forest-labs/FLUX.1-Kontext-dev".'
        )
    # First: a wrong file is found before the large model is read.
    loaded = load_adapter(adapter, alpha, lora_scale=lora_scale, query_only=query_only)
    pipeline = load_pipeline(base_model, dtype, sources)
    check_fit(loaded, pipeline.transformer)
    return FluxGenerator(pipeline, loaded, InTurn(pipeline, torch.device(device)))


def _check_settings(steps: int, guidance: float, frames_at_once: int | None) -> None:
    check_number(steps, "steps", 1)
    check_number(guidance, "guidance", 0)
    if frames_at_once is not None:
        check_number(frames_at_once, "frames_at_once", 1)
