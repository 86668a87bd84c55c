"""Stage 1 on ComfyUI's own FLUX.1-Kontext: one photo, a list of bokeh strengths, its sampler.

The photo goes in as a Kontext reference latent, every strength starts from the same noise with its
own prompt and its own strength vector, and all of them share one batch where memory allows.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import comfy.model_management as mm
import comfy.sample
import comfy.samplers
import comfy.utils
import node_helpers
import torch
from torch import Tensor

from ...bokehdepth_core import BokehStack
from ...bokehdepth_core.callbacks import (
    CheckCancelled,
    OnProgress,
    ignore_progress,
    never_cancelled,
)
from ...bokehdepth_core.checks import check_image, check_number, check_strengths
from ...bokehdepth_core.color import color_transfer_lab
from ...bokehdepth_core.devices import is_out_of_memory
from ...bokehdepth_core.generator.adapter import BokehAdapter
from ...bokehdepth_core.generator.flux.tokens import SIDE, fit_to_tokens, resized
from ...bokehdepth_core.generator.prompts import PROMPT_TOKENS, bokeh_prompt
from . import flux_hooks

BASE_SHIFT, MAX_SHIFT = 0.5, 1.15  # FLUX.1's schedule: shift at 256 and at 4096 image tokens
BASE_TOKENS, MAX_TOKENS = 256, 4096
_LOG = logging.getLogger(__name__)


def flux_sigmas(steps: int, tokens: int) -> Tensor:
    """Return FLUX.1's noise levels for a picture, falling from 1 to 0.

    ComfyUI's own schedule has the shift of a 4096-token picture at every size; the published one
    grows linearly with the number of image tokens.

    Args:
        steps: number of sampling steps, >= 1.
        tokens: image tokens, without the reference's: height/16 · width/16.

    Returns:
        [steps+1], float32.
    """
    slope = (MAX_SHIFT - BASE_SHIFT) / (MAX_TOKENS - BASE_TOKENS)
    shift = math.exp(BASE_SHIFT + slope * (tokens - BASE_TOKENS))
    uniform = torch.linspace(1.0, 1.0 / steps, steps, dtype=torch.float64)
    shifted = shift / (shift + 1 / uniform - 1)
    return torch.cat([shifted, shifted.new_zeros(1)]).float()


def encode_prompt(clip, prompt: str) -> list:
    """Return the conditioning of a prompt.

    It goes in letter by letter, as the adapter was trained: brackets are no emphasis.
    """
    plain = prompt.replace("(", "\\(").replace(")", "\\)")
    tokens = clip.tokenize(plain, tokenizer_options={"t5xxl_min_length": PROMPT_TOKENS})
    return clip.encode_from_tokens_scheduled(tokens)


def with_photo(text: list, guidance: float, reference: Tensor) -> list:
    """Return a prompt's conditioning with FLUX's guidance and the photo as reference latent."""
    return node_helpers.conditioning_set_values(
        text, {"guidance": guidance, "reference_latents": [reference]}
    )


@dataclass(frozen=True, eq=False)
class SampleRun:
    """What all strengths of one photo share while they are sampled.

    Attributes:
        model: ComfyUI's MODEL, without the adapter.
        updates: patcher of the adapter's `QueryKeyUpdates`.
        reference: [1,C,h,w], the photo's latent.
        steps: number of sampling steps.
        seed: of the noise, which is the same for every strength.
        on_progress: called after each step.
        on_preview: called after each step with the latents [n,C,h,w] it heads for, or None.
    """

    model: object
    updates: object
    reference: Tensor
    steps: int
    seed: int
    on_progress: OnProgress = ignore_progress
    on_preview: Callable[[Tensor], None] | None = None

    def sample(self, vectors: Tensor, conditionings: list) -> Tensor:
        """Return the latents of all strengths, in one batch where that is possible, else in turn.

        Args:
            vectors: [n,layers,H], one set for each strength.
            conditionings: n conditionings of `with_photo`.

        Returns:
            [n,C,h,w].
        """
        merged = merge_conditionings(conditionings)
        if merged is not None:
            latents = self._sample_where_possible(vectors, merged)
            if latents is not None:
                return latents
            mm.soft_empty_cache()
        return torch.cat(
            [
                self._sample(vectors[i : i + 1], conditioning, done=i, runs=len(vectors))
                for i, conditioning in enumerate(conditionings)
            ]
        )

    def _sample_where_possible(self, vectors: Tensor, conditioning: list) -> Tensor | None:
        """Return the latents of a batch; None where memory or another node does not allow it."""
        try:
            return self._sample(vectors, conditioning)
        except flux_hooks.SplitBatchError:
            if len(vectors) == 1:
                raise
            _LOG.warning(
                "strengths: another node splits their batch. Remove it to save time; they were "
                "made one by one."
            )
        except RuntimeError as error:
            if len(vectors) == 1 or not _is_out_of_memory(error):
                raise
            _LOG.warning(
                "strengths: %d did not fit into memory at once. Use a smaller picture to save "
                "time; they were made one by one.",
                len(vectors),
            )
        return None  # outside the handler, which would keep the failed call's tensors alive

    def _sample(self, vectors: Tensor, conditioning: list, done: int = 0, runs: int = 1) -> Tensor:
        model = flux_hooks.attach(self.model, self.updates, vectors)
        latent = torch.zeros_like(self.reference)
        noise = comfy.sample.prepare_noise(latent, self.seed)
        copies = (len(vectors), 1, 1, 1)
        tokens = latent.shape[-2] * latent.shape[-1] // 4
        return comfy.sample.sample_custom(
            model,
            noise.repeat(copies),
            1.0,
            comfy.samplers.sampler_object("euler"),
            flux_sigmas(self.steps, tokens),
            conditioning,
            conditioning,
            latent.repeat(copies),
            callback=self._callback(done, runs),
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=self.seed,
        )

    def _callback(self, done: int, runs: int):
        def after_step(step, denoised, x, total):
            mm.throw_exception_if_processing_interrupted()
            self.on_progress(done * self.steps + step + 1, runs * self.steps)
            if self.on_preview is not None:
                self.on_preview(denoised)

        return after_step


def merge_conditionings(conditionings: list) -> list | None:
    """Return one conditioning that holds all of them as a batch, or None where they do not fit."""
    if any(len(conditioning) != 1 for conditioning in conditionings):
        return None  # a text encoder with a schedule of its own
    tokens, settings = zip(*(conditioning[0] for conditioning in conditionings), strict=True)
    if len({item.shape for item in tokens}) != 1:
        return None
    merged = dict(settings[0])
    for name, value in settings[0].items():
        if isinstance(value, Tensor):
            merged[name] = torch.cat([item[name] for item in settings])
    return [[torch.cat(tokens), merged]]


def _is_out_of_memory(error: RuntimeError) -> bool:
    is_oom = getattr(mm, "is_oom", None)  # newer versions know more kinds
    return is_out_of_memory(error) or bool(is_oom and is_oom(error))


@dataclass(frozen=True, eq=False)
class NativeGenerator:
    """Stage 1 through ComfyUI: its MODEL, CLIP and VAE, with the bokeh adapter.

    Attributes:
        model: ComfyUI's MODEL, FLUX.1-Kontext; LoRAs on it stay in force.
        clip: ComfyUI's CLIP, FLUX's text encoders.
        vae: ComfyUI's VAE, FLUX's.
        adapter: the bokeh adapter.
    """

    model: object
    clip: object
    vae: object
    adapter: BokehAdapter
    _texts: dict[str, list] = field(default_factory=dict, repr=False)
    _updates: list = field(default_factory=list, repr=False)

    def generate(
        self,
        image: Tensor,
        strengths: Sequence[float],
        *,
        steps: int,
        guidance: float,
        seed: int,
        match_color: bool = True,
        on_progress: OnProgress = ignore_progress,
        on_preview: Callable[[Tensor], None] | None = None,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> BokehStack:
        """Return the photo with one generated frame for each strength.

        Args:
            image: [H,W,3], sRGB, 0…1.
            strengths: bokeh strengths K, px·m; the adapter knows 1 to 30.
            steps: number of sampling steps.
            guidance: FLUX's embedded guidance.
            seed: of the noise, the same for every strength.
            match_color: give the frames the photo's mean and spread in LAB.
            on_progress: called after each step.
            on_preview: called after each step with the latents [n,C,h/8,w/8] it heads for.
            check_cancelled: raises to stop while the frames are decoded; sampling asks ComfyUI.

        Raises:
            ValueError: a picture that is too small, unusable strengths, steps or guidance, or a
                MODEL, CLIP or VAE of another kind.
        """
        size = check_image(image, pattern="H W 3")
        values = check_strengths(strengths)
        check_number(steps, "steps", 1)
        check_number(guidance, "guidance", 0.0)
        photo = fit_to_tokens(image)[None]
        network = self.model.model.diffusion_model
        flux_hooks.check_model(self.model, self.adapter)
        reference = self.vae.encode(photo)
        _check_latent(reference, photo, network)
        prompts = [bokeh_prompt(strength) for strength in values]
        self._encode(prompts)
        texts = [with_photo(self._texts[prompt], guidance, reference) for prompt in prompts]
        _check_text(texts[0], network)
        if not self._updates:
            self._updates.append(flux_hooks.query_key_updates(self.model, self.adapter))
        run = SampleRun(
            self.model, self._updates[0], reference, steps, seed, on_progress, on_preview
        )
        latents = run.sample(self.adapter.strength_vectors(values), texts)
        frames = resized(self._decode(latents, check_cancelled), size["H"], size["W"]).to(image)
        if match_color:
            frames = color_transfer_lab(frames, image)
        settings = {
            "generator": "FLUX.1-Kontext in ComfyUI",
            "prompts": prompts,
            "steps": steps,
            "guidance": guidance,
            "seed": seed,
            "match_color": match_color,
        }
        return BokehStack(image, frames, values, settings)

    def _encode(self, prompts: Sequence[str]) -> None:
        """Hold the conditionings of these prompts, and of no others.

        For the next photos of a batch the text encoders then need not come back.
        """
        for prompt in [known for known in self._texts if known not in prompts]:
            del self._texts[prompt]
        for prompt in prompts:
            if prompt not in self._texts:
                self._texts[prompt] = encode_prompt(self.clip, prompt)

    def _decode(self, latents: Tensor, check_cancelled: CheckCancelled) -> Tensor:
        frames = []
        for latent in latents.split(1):
            check_cancelled()
            frames.append(self.vae.decode(latent))
        return torch.cat(frames)


def _check_latent(latent: Tensor, photo: Tensor, network) -> None:
    """Refuse the latent of a VAE that is not FLUX's."""
    wanted = network.params.out_channels
    found = f"{latent.shape[1]} channels, {photo.shape[1] // latent.shape[-2]} px each"
    if latent.shape[1] != wanted or photo.shape[1] // latent.shape[-2] != SIDE // 2:
        raise ValueError(
            f"vae: load FLUX's own VAE, ae.safetensors: expected {wanted} channels of {SIDE // 2} "
            f"px, found {found}."
        )


def _check_text(conditioning: list, network) -> None:
    """Refuse what text encoders other than FLUX's make of a prompt."""
    tokens, settings = conditioning[0]
    pooled = settings.get("pooled_output")
    found = (tokens.shape[-1], None if pooled is None else pooled.shape[-1])
    wanted = (network.params.context_in_dim, network.params.vec_in_dim)
    if found != wanted:
        raise ValueError(
            "clip: load T5-XXL and CLIP-L with DualCLIPLoader, type flux: expected texts of width "
            f"{wanted[0]} and {wanted[1]}, found {found[0]} and {found[1]}."
        )
