"""Stage 1 on diffusers: bokeh stacks from FLUX.1-Kontext with the adapter folded in.

The queries' and keys' updates are held in the weights while a stack is sampled; the strength
vectors are added before the output projections, one for each sample, so that all strengths share a
batch (arXiv 2512.12425, stage 1).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import check_image, check_number, check_strengths
from ..color import color_transfer_lab
from ..datatypes import BokehStack, DepthMap
from ..hooks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from .adapter import BokehAdapter, diffusers_attention_names, folded, load_adapter
from .prompts import GUIDANCE, PROMPT, STEPS, bokeh_prompt
from .tokens import SIDE, fit_to_tokens, resized

PROMPT_TOKENS = 512
_TEXT = ("text_encoder", "text_encoder_2")
_NETWORKS = ("transformer", "vae")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class KontextGenerator:
    """Makes bokeh stacks with FLUX.1-Kontext and a bokeh adapter.

    Attributes:
        pipeline: diffusers' `FluxKontextPipeline`; its weights are as they were after every call.
        adapter: the bokeh adapter.
        device: where the networks run; text encoders leave it before sampling.
    """

    pipeline: Any
    adapter: BokehAdapter
    device: torch.device
    _encoded: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

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
            frames_at_once: strengths in one batch; None takes all and, where memory is short, one.
            depth: not used; the network needs no depth.
            on_progress: called after each step of each batch.
            check_cancelled: raises to stop, between steps.

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
            check_cancelled: …
        """
        check_cancelled()
        embeds, pooled = self._encode(prompts)
        self._place(_TEXT, "cpu")
        self._place(_NETWORKS, self.device)
        noise = self._noise(image, seed)
        count = len(prompts)
        layers = attention_layers(self.pipeline.transformer)

        def run(first: int, last: int) -> Tensor:
            def after_step(_: Any, step: int, __: Any, kept: dict) -> dict:
                on_progress(first * steps + (step + 1) * (last - first), count * steps)
                check_cancelled()
                return kept

            with strengths_added(layers, vectors[first:last]):
                return self._call(
                    image,
                    noise.expand(last - first, -1, -1),
                    embeds[first:last],
                    pooled[first:last],
                    steps,
                    guidance,
                    after_step,
                )

        on_progress(0, count * steps)
        pairs = self.adapter.query_key_pairs(lora_scale)
        projections = {i: (layer.to_q, layer.to_k) for i, layer in enumerate(layers.attention)}
        with folded(projections, pairs):
            return _in_batches(run, count, frames_at_once)

    def _call(
        self,
        image: Tensor,
        noise: Tensor,
        embeds: Tensor,
        pooled: Tensor,
        steps: int,
        guidance: float,
        after_step: Callable,
    ) -> Tensor:
        height, width = image.shape[:2]
        planes = image.movedim(-1, 0)[None].to(self.device, torch.float32)
        out = self.pipeline(
            image=planes,
            prompt_embeds=embeds.to(self.device),
            pooled_prompt_embeds=pooled.to(self.device),
            latents=noise.to(self.device),
            height=height,
            width=width,
            max_area=height * width,
            num_inference_steps=steps,
            guidance_scale=guidance,
            callback_on_step_end=after_step,
            output_type="pt",
            _auto_resize=False,
        )
        return out.images.movedim(1, -1).float().cpu()

    def _noise(self, image: Tensor, seed: int) -> Tensor:
        """Return the packed noise that every strength starts from, [1,T,C]."""
        network = self.pipeline.transformer
        channels = network.config.in_channels // 4
        height, width = (side // SIDE * 2 for side in image.shape[:2])
        generator = torch.Generator("cpu").manual_seed(seed)
        # In float32 whatever the networks run in: some versions draw other numbers in bfloat16.
        noise = torch.randn((1, channels, height, width), generator=generator)
        return self.pipeline._pack_latents(noise, 1, channels, height, width).to(network.dtype)

    def _encode(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return prompt and pooled embeddings, [N,L,J] and [N,P], each text encoded once."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._encoded]
        if new:
            self._place(_NETWORKS, "cpu")
            self._place(_TEXT, self.device)
        for prompt in new:
            with torch.no_grad():
                embeds, pooled, _ = self.pipeline.encode_prompt(
                    prompt, None, device=self.device, max_sequence_length=PROMPT_TOKENS
                )
            self._encoded[prompt] = (embeds.cpu(), pooled.cpu())
        pairs = [self._encoded[prompt] for prompt in prompts]
        return torch.cat([one for one, _ in pairs]), torch.cat([one for _, one in pairs])

    def _place(self, names: Sequence[str], device: str | torch.device) -> None:
        for name in names:
            module = getattr(self.pipeline, name, None)
            if module is not None:
                module.to(device)


def load_kontext(
    adapter: str | Path,
    base_model: str | Path | None,
    *,
    device: str | torch.device,
    dtype: torch.dtype,
) -> KontextGenerator:
    """Return a generator from an adapter file and FLUX.1-Kontext in diffusers' layout.

    Args:
        adapter: file, as in `load_adapter`.
        base_model: local folder, or any file in it, or repository on the Hugging Face hub.
        device: where the networks run.
        dtype: precision of the networks; bfloat16 as published.

    Raises:
        FileNotFoundError: no such file or folder.
        CheckpointError: an unusable adapter file.
        ValueError: a base model of another kind or size, or none.
    """
    if not base_model or str(base_model) == "built-in":
        raise ValueError(
            "base_model: the bokeh adapter works on FLUX.1-Kontext and none was given. Give a "
            'diffusers folder or the hub name "black-forest-labs/FLUX.1-Kontext-dev".'
        )
    loaded = load_adapter(adapter)  # first: a wrong file is found before the large model is read
    pipeline = _load_pipeline(base_model, dtype)
    check_fit(loaded, pipeline.transformer)
    return KontextGenerator(pipeline, loaded, torch.device(device))


def _load_pipeline(base_model: str | Path, dtype: torch.dtype) -> Any:
    path = Path(base_model)
    if path.is_file():  # one of the files of a pipeline's folder stands for the folder
        homes = [one for one in path.parents[:2] if (one / "model_index.json").is_file()]
        base_model = path = homes[0] if homes else path
    if path.is_file():
        raise ValueError(
            f"base_model: {path.name} is a single file, which lacks the tokenizers. Give a "
            "diffusers folder, or load it in ComfyUI and connect model, clip and vae."
        )
    if path.is_dir() and not (path / "model_index.json").is_file():
        raise ValueError(
            f"base_model: {path} holds no model_index.json. Give the folder of a whole diffusers "
            "pipeline."
        )
    if not path.is_dir() and str(base_model).count("/") != 1:
        raise FileNotFoundError(f"base_model: {base_model} does not exist. Give a folder.")
    from diffusers import FluxKontextPipeline

    pipeline = FluxKontextPipeline.from_pretrained(
        str(base_model), torch_dtype=dtype, use_safetensors=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def check_fit(adapter: BokehAdapter, transformer: Any) -> None:
    """Check that a FLUX transformer is the one that an adapter was made for.

    Raises:
        ValueError: another number of attention layers, or another width.
    """
    count = len(transformer.transformer_blocks) + len(transformer.single_transformer_blocks)
    if (adapter.layer_count, adapter.hidden_size) != (count, transformer.inner_dim):
        raise ValueError(
            f"base_model: the bokeh adapter is made for {adapter.layer_count} attention layers of "
            f"width {adapter.hidden_size}, found {count} of width {transformer.inner_dim}. "
            "Give FLUX.1-Kontext-dev."
        )


@dataclass(frozen=True, eq=False)
class AttentionLayers:
    """The parts of diffusers' FLUX that the adapter acts on, doubles first, then singles.

    Attributes:
        attention: the attention modules, which hold `to_q` and `to_k`.
        outputs: the output projections of each: image and text stream, or the one of a single.
    """

    attention: tuple[Any, ...]
    outputs: tuple[tuple[nn.Linear, ...], ...]


def attention_layers(transformer: Any) -> AttentionLayers:
    """Return the parts of diffusers' FLUX transformer that the adapter acts on."""
    doubles, singles = transformer.transformer_blocks, transformer.single_transformer_blocks
    names = diffusers_attention_names(len(doubles), len(singles))
    outputs: list[tuple[nn.Linear, ...]] = [
        (block.attn.to_out[0], block.attn.to_add_out) for block in doubles
    ]
    outputs += [(block.proj_out,) for block in singles]
    return AttentionLayers(tuple(map(transformer.get_submodule, names)), tuple(outputs))


@contextmanager
def strengths_added(layers: AttentionLayers, vectors: Tensor) -> Iterator[None]:
    """Add each sample's strength vectors before the output projections while the block runs.

    Args:
        layers: of the transformer.
        vectors: [B,layers,H], one row for each sample of the batch.
    """
    with ExitStack() as hooks:
        for index, outputs in enumerate(layers.outputs):
            for linear in outputs:
                vector = vectors[:, index, None].to(linear.weight)
                hooks.callback(linear.register_forward_pre_hook(_adding(vector)).remove)
        yield


def _adding(vector: Tensor) -> Callable:
    def add_vector(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        # The projection's input was made for it alone; a single block's ends with its MLP.
        args[0][..., : vector.shape[2]].add_(vector)

    return add_vector


def _in_batches(run: Callable[[int, int], Tensor], count: int, at_once: int | None) -> Tensor:
    if at_once is None:
        try:
            return run(0, count)
        except torch.OutOfMemoryError:
            if count == 1:
                raise
        _LOG.info("memory is short: the %d strengths are sampled one by one", count)
        torch.cuda.empty_cache()
    at_once = at_once or 1
    spans = [(first, min(first + at_once, count)) for first in range(0, count, at_once)]
    return torch.cat([run(first, last) for first, last in spans])


def _check_settings(steps: int, guidance: float, frames_at_once: int | None) -> None:
    check_number(steps, "steps", 1)
    check_number(guidance, "guidance", 0)
    if frames_at_once is not None:
        check_number(frames_at_once, "frames_at_once", 1)
