"""Stage 1 on ComfyUI's own FLUX.1-Kontext or FLUX.2: a photo, a list of strengths, its sampler.

The photo goes in as a reference latent, every strength starts from the same noise with its own
prompt and its own strength vector, and all of them share one batch where memory allows. Where the
base takes no guidance as a number, a second call without the prompt gives it (classifier-free).
"""

import logging
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
from ...bokehdepth_core.generator.flux.architectures import Base, Family
from ...bokehdepth_core.generator.flux.schedule import check_noise_levels, noise_levels
from ...bokehdepth_core.generator.flux.tokens import SIDE, fit_to_tokens, resized
from ...bokehdepth_core.generator.prompts import PROMPT_TOKENS, bokeh_prompt
from . import hooks as flux_hooks

_LOG = logging.getLogger(__name__)


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
        levels: [steps+1], noise levels, falling.
        seed: of the noise, which is the same for every strength.
        on_progress: called after each step.
        on_preview: called after each step with the latents [n,C,h,w] it heads for, or None.
        cfg: classifier-free guidance; 1 makes no second call.
        negative: conditioning of that call, as of `with_photo`; None where there is none.
    """

    model: object
    updates: object
    reference: Tensor
    levels: Tensor
    seed: int
    on_progress: OnProgress = ignore_progress
    on_preview: Callable[[Tensor], None] | None = None
    cfg: float = 1.0
    negative: list | None = None

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
        negative = conditioning
        if self.negative is not None:
            negative = merge_conditionings([self.negative] * len(vectors)) or self.negative
        return comfy.sample.sample_custom(
            model,
            noise.repeat(copies),
            self.cfg,
            comfy.samplers.sampler_object("euler"),
            self.levels,
            conditioning,
            negative,
            latent.repeat(copies),
            callback=self._callback(done, runs),
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=self.seed,
        )

    def _callback(self, done: int, runs: int):
        steps = len(self.levels) - 1

        def after_step(step, denoised, x, total):
            mm.throw_exception_if_processing_interrupted()
            self.on_progress(done * steps + step + 1, runs * steps)
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


@dataclass(eq=False)
class NativeGenerator:
    """Stage 1 through ComfyUI: its MODEL, CLIP and VAE, with the bokeh adapter.

    Attributes:
        model: ComfyUI's MODEL, of the adapter's base; LoRAs on it stay in force.
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
        sigmas: Sequence[float] | None = None,
        on_progress: OnProgress = ignore_progress,
        on_preview: Callable[[Tensor], None] | None = None,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> BokehStack:
        """Return the photo with one generated frame for each strength.

        Args:
            image: [H,W,3], sRGB, 0…1.
            strengths: bokeh strengths K, px·m; the adapter knows 1 to 30.
            steps: number of sampling steps.
            guidance: embedded where the base takes it as a number, else classifier-free, of which
                1 and less mean none.
            seed: of the noise, the same for every strength.
            match_color: give the frames the photo's mean and spread in LAB.
            sigmas: noise levels to sample at, in place of `steps` and the published levels.
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
        base, network = self.adapter.base, self.model.model.diffusion_model
        flux_hooks.check_model(self.model, self.adapter)
        reference = self.vae.encode(photo)
        _check_latent(reference, photo, network, base.family)
        tokens = photo.shape[1] * photo.shape[2] // SIDE**2
        levels = noise_levels(base.family, steps, tokens)
        if sigmas is not None:
            levels = torch.tensor(check_noise_levels(sigmas))
        cfg = 1.0 if base.guidance_embeds else max(1.0, guidance)
        prompts = [bokeh_prompt(strength) for strength in values]
        self._encode([*prompts, *[""] * (cfg > 1)])
        texts = [with_photo(self._texts[prompt], guidance, reference) for prompt in prompts]
        _check_text(texts[0], network, base)
        negative = with_photo(self._texts[""], guidance, reference) if cfg > 1 else None
        if not self._updates:
            self._updates.append(flux_hooks.query_key_updates(self.model, self.adapter))
        run = SampleRun(
            self.model,
            self._updates[0],
            reference,
            levels,
            seed,
            on_progress,
            on_preview,
            cfg,
            negative,
        )
        latents = run.sample(self.adapter.strength_vectors(values), texts)
        frames = resized(self._decode(latents, check_cancelled), size["H"], size["W"]).to(image)
        if match_color:
            frames = color_transfer_lab(frames, image)
        settings = {
            "generator": f"{base.name} in ComfyUI",
            "prompts": prompts,
            "steps": len(levels) - 1,
            "guidance": guidance,
            "seed": seed,
            "match_color": match_color,
        }
        if sigmas is not None:
            settings["sigmas"] = levels.tolist()
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


def _check_latent(latent: Tensor, photo: Tensor, network, family: Family) -> None:
    """Refuse the latent of a VAE that is not the family's."""
    wanted, side = network.params.out_channels, family.latent_side
    found = f"{latent.shape[1]} channels, {photo.shape[1] // latent.shape[-2]} px each"
    if latent.shape[1] != wanted or photo.shape[1] // latent.shape[-2] != side:
        raise ValueError(
            f"vae: load {family.name}'s own VAE, {family.vae}: expected {wanted} channels of "
            f"{side} px, found {found}."
        )


def _check_text(conditioning: list, network, base: Base) -> None:
    """Refuse what text encoders other than the base's make of a prompt."""
    tokens, settings = conditioning[0]
    pooled = settings.get("pooled_output")
    found, wanted = [tokens.shape[-1]], [network.params.context_in_dim]
    if base.family.pooled_text:
        found.append(None if pooled is None else pooled.shape[-1])
        wanted.append(network.params.vec_in_dim)
    if found != wanted:
        raise ValueError(
            f"clip: load {base.text_encoders} with {base.family.text_loader}: expected texts of "
            f"width {' and '.join(map(str, wanted))}, found {' and '.join(map(str, found))}."
        )
