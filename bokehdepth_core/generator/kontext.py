"""Stage 1 on diffusers: bokeh stacks from FLUX.1-Kontext with the adapter folded in.

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
from .flux.latents import decoded, encoded, end_of_path, packed_noise
from .flux.layers import attention_layers, check_fit, one_at_a_time, strengths_added
from .flux.pipeline import DEFAULT_SOURCES, load_pipeline
from .flux.single_files import Sources
from .flux.tokens import fit_to_tokens, resized
from .placement import TEXT_ENCODERS, TRANSFORMER, VAE, InTurn, Placement
from .prompts import GUIDANCE, PROMPT, PROMPT_TOKENS, STEPS, bokeh_prompt

# Memory beside the weights, in numbers of the network's own type. Measured on the CPU: 17.4 times
# the width for each token of each sample, and 1281 a pixel for the decoder of the full-size VAE
# (642 for its encoder); a sixth more for what a device's libraries take.
NUMBERS_PER_TOKEN = 20
NUMBERS_PER_PIXEL = 1500

OnPreview = Callable[[Tensor], None]
"""Called with what the frames of a batch look like so far: latents [n,C,h/8,w/8], as FLUX's."""


@dataclass(eq=False)
class KontextGenerator:
    """Makes bokeh stacks with FLUX.1-Kontext and a bokeh adapter.

    Several threads may call it, also through several generators of one transformer: the adapter's
    updates are held in the weights meanwhile, so one call waits for the other.

    Attributes:
        pipeline: diffusers' `FluxKontextPipeline`; its weights are as they were after every call.
        adapter: the bokeh adapter.
        placement: brings the pipeline's parts to the device that computes.
    """

    pipeline: Any
    adapter: BokehAdapter
    placement: Placement
    # Prompts that were encoded before, so that other photos need no text encoders.
    _encoded: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return self.placement.device

    def generate(
        self,
        image: Tensor,
        strengths: Sequence[float],
        *,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        seed: int = 0,
        prompt: str = PROMPT,
        match_color: bool = True,
        lora_scale: float = 1.0,
        bokeh_scale: float = 1.0,
        frames_at_once: int | None = None,
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
            steps: sampling steps.
            guidance: FLUX's embedded guidance.
            seed: of the noise, the same for every strength; drawn in float32 on the CPU.
            prompt: template with `{value:.2f}` for the strength.
            match_color: give the frames the photo's mean and spread in LAB.
            lora_scale: scales the update of queries and keys, 1 as trained.
            bokeh_scale: scales the strength signal, 1 as trained.
            frames_at_once: strengths in one batch; None takes as many as memory holds.
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
        _check_settings(steps, guidance, frames_at_once)
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
            on_progress=on_progress,
            on_preview=on_preview,
            check_cancelled=check_cancelled,
        )
        frames = resized(frames, size["H"], size["W"]).to(image.device, image.dtype)
        if match_color:
            frames = color_transfer_lab(frames, image)
        settings = {
            "generator": "FLUX.1-Kontext",
            "prompts": prompts,
            "steps": steps,
            "guidance": guidance,
            "seed": seed,
            "match_color": match_color,
            "lora_scale": lora_scale,
            "bokeh_scale": bokeh_scale,
        }
        return BokehStack(image, frames, values, settings)

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
        on_progress: OnProgress = ignore_progress,
        on_preview: OnPreview | None = None,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> Tensor:
        """Return one frame for each prompt and strength vector, [N,h,w,3], float32, 0…1.

        Args:
            image: [h,w,3], sRGB, 0…1; both sides multiples of 16 px.
            prompts: N texts.
            vectors: [N,layers,H], as from `BokehAdapter.strength_vectors`.
            steps: as in `generate`, like all that follow.
            guidance: …
            seed: …
            lora_scale: …
            frames_at_once: …
            on_progress: …
            on_preview: …
            check_cancelled: …
        """
        with one_at_a_time(self.pipeline.transformer, check_cancelled):
            return self._sample_alone(
                image,
                prompts,
                vectors,
                steps,
                guidance,
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
        steps: int,
        guidance: float,
        seed: int,
        lora_scale: float,
        frames_at_once: int | None,
        on_progress: OnProgress,
        on_preview: OnPreview | None,
        check_cancelled: CheckCancelled,
    ) -> Tensor:
        """Return what `sample` does, while nobody else uses the networks."""
        check_cancelled()
        embeds, pooled = self._encode(prompts)
        check_cancelled()
        reference = self._encode_photo(image)
        noise = packed_noise(self.pipeline, image.shape[0], image.shape[1], seed)
        count = len(prompts)
        at_once = min(count, frames_at_once or count)
        at_once = self._frames_that_fit(at_once, 2 * noise.shape[1] + embeds.shape[1])
        transformer = self.pipeline.transformer
        layers = attention_layers(transformer)

        def run(first: int, last: int) -> Tensor:
            def after_step(step: int, denoised: Callable[[], Tensor]) -> None:
                on_progress(first * steps + (step + 1) * (last - first), count * steps)
                if on_preview is not None:
                    on_preview(denoised())
                check_cancelled()

            with strengths_added(layers, vectors[first:last]):
                return self._denoise(
                    reference,
                    noise.expand(last - first, -1, -1),
                    embeds[first:last],
                    pooled[first:last],
                    steps,
                    guidance,
                    after_step,
                )

        on_progress(0, count * steps)
        pairs = self.adapter.query_key_pairs(lora_scale)
        with folded(layers.projections, pairs):
            latents = in_batches(run, count, at_once)
        return self._decode(latents, check_cancelled)

    def _encode(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return prompt and pooled embeddings, [N,L,J] and [N,P], each text encoded once."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._encoded]
        if new:
            self.placement.bring(TEXT_ENCODERS, 0)
        for prompt in new:
            embeds, pooled, _ = self.pipeline.encode_prompt(
                prompt, None, device=self.placement.device, max_sequence_length=PROMPT_TOKENS
            )
            self._encoded[prompt] = (embeds.cpu(), pooled.cpu())
        pairs = [self._encoded[prompt] for prompt in prompts]
        return torch.cat([one for one, _ in pairs]), torch.cat([one for _, one in pairs])

    def _encode_photo(self, image: Tensor) -> Tensor:
        """Return the latent of a photo [h,w,3], [1,C,h/8,w/8], as FLUX sees it."""
        vae = self._vae_for(image.shape[0] * image.shape[1])
        return encoded(vae, image, self.placement.device)

    def _decode(self, latents: Tensor, check_cancelled: CheckCancelled) -> Tensor:
        """Return the frames [N,h,w,3], float32, 0…1, of latents [N,C,h/8,w/8], in turn."""
        scale = self.pipeline.vae_scale_factor
        vae = self._vae_for(latents.shape[-2] * latents.shape[-1] * scale * scale)
        frames = []
        for index in range(len(latents)):
            check_cancelled()
            frames.append(decoded(vae, latents[index : index + 1], self.placement.device))
        return torch.cat(frames)

    def _vae_for(self, pixels: int) -> Any:
        vae = self.pipeline.vae
        self.placement.bring(VAE, NUMBERS_PER_PIXEL * pixels * vae.dtype.itemsize)
        return vae

    def _frames_that_fit(self, wanted: int, tokens: int) -> int:
        """Bring the transformer and return how many frames it has memory for at once, 1…wanted."""
        network = self.pipeline.transformer
        each = NUMBERS_PER_TOKEN * tokens * network.inner_dim * network.dtype.itemsize
        free = self.placement.bring(TRANSFORMER, wanted * each)
        return wanted if free is None else max(1, min(wanted, free // each))

    def _denoise(
        self,
        reference: Tensor,
        noise: Tensor,
        embeds: Tensor,
        pooled: Tensor,
        steps: int,
        guidance: float,
        after_step: Callable[[int, Callable[[], Tensor]], None],
    ) -> Tensor:
        """Return latents [n,C,h/8,w/8] from noise [n,T,4C] beside the photo's latent."""
        device, sampler = self.placement.device, self._sampler()
        scale = sampler.vae_scale_factor
        height, width = (side * scale for side in reference.shape[-2:])
        before = [noise.to(device)]

        def unpacked(latents: Tensor) -> Tensor:
            planes: Tensor = sampler._unpack_latents(latents, height, width, scale)
            return planes

        def on_step_end(_: Any, step: int, __: Any, kept: dict[str, Any]) -> dict[str, Any]:
            last, latents = before.pop(), kept["latents"]
            before.append(latents)
            sigmas = sampler.scheduler.sigmas
            after_step(step, lambda: unpacked(end_of_path(last, latents, sigmas[step : step + 2])))
            return kept

        out = sampler(
            image=reference.to(device),  # latents are taken as they are
            prompt_embeds=embeds.to(device),
            pooled_prompt_embeds=pooled.to(device),
            latents=before[0],
            height=height,
            width=width,
            max_area=height * width,
            num_inference_steps=steps,
            guidance_scale=guidance,
            callback_on_step_end=on_step_end,
            output_type="latent",
        )
        return unpacked(out.images).cpu()

    def _sampler(self) -> Any:
        """Return the pipeline with nothing but the transformer, the only part on the device."""
        absent = ("vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
        sampler = type(self.pipeline)(
            scheduler=self.pipeline.scheduler,
            transformer=self.pipeline.transformer,
            **dict.fromkeys(absent),
        )
        sampler.vae_scale_factor = self.pipeline.vae_scale_factor
        sampler.latent_channels = self.pipeline.latent_channels
        sampler.set_progress_bar_config(disable=True)
        return sampler


def load_kontext(
    adapter: str | Path,
    base_model: str | Path | None,
    *,
    device: str | torch.device,
    dtype: torch.dtype,
    sources: Sources = DEFAULT_SOURCES,
    alpha: float | None = None,
    lora_scale: float | None = None,
    query_only: bool | None = None,
) -> KontextGenerator:
    """Return a generator from an adapter file and FLUX.1-Kontext; see `load_pipeline`.

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
            "base_model: the bokeh adapter works on FLUX.1-Kontext and none was given. Give a "
            'diffusers folder, ComfyUI\'s file, or "black-forest-labs/FLUX.1-Kontext-dev".'
        )
    # First: a wrong file is found before the large model is read.
    loaded = load_adapter(adapter, alpha, lora_scale=lora_scale, query_only=query_only)
    pipeline = load_pipeline(base_model, dtype, sources)
    check_fit(loaded, pipeline.transformer)
    return KontextGenerator(pipeline, loaded, InTurn(pipeline, torch.device(device)))


def _check_settings(steps: int, guidance: float, frames_at_once: int | None) -> None:
    check_number(steps, "steps", 1)
    check_number(guidance, "guidance", 0)
    if frames_at_once is not None:
        check_number(frames_at_once, "frames_at_once", 1)
