"""What the loop has to know of an adapter: its base, its pairs, its loss, its files."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...callbacks import CheckCancelled
from ...generator.adapter import (
    ALPHA_KEY,
    BASE_KEY,
    LORA_SCALE_KEY,
    QUERY_ONLY_KEY,
    BokehAdapter,
)
from ...generator.flux.architectures import (
    FLUX1,
    KONTEXT,
    Base,
    base_named,
    base_of_size,
    check_base,
    family_of,
)
from ..checkpoints import Run, new_run, write_tensors
from ..feeding import batches
from ..loop import ADAM_EPS, Say
from .flow import FlowBatch, collate, flow_loss
from .network import TrainedFlux, adapter_on, frozen, without_adapter
from .settings import GeneratorSettings
from .source import PairSource
from .validation import Samples, validation_loss
from .weights import AdapterShape, AdapterWeights, as_adapter, from_adapter

WEIGHTS = "adapter.safetensors"


@dataclass(frozen=True, eq=False)
class GeneratorTraining:
    """An adapter, its base model, and the pairs that it is trained on.

    Attributes:
        settings: what decides the result.
        transformer: diffusers' FLUX; its weights are never changed.
        base: what it is.
        source: of the examples.
        output: folder of the run, for sampled pictures.
        validation: fixed batches, the same in every process.
        start_from: adapter to go on from; None begins anew.
        samples: stacks that are sampled while it trains; None makes none.
        sample_every: steps between them, a multiple of those between validations.
        checkpointing: compute what is inside of blocks twice, for less memory.
        workers: processes that read examples ahead.
    """

    settings: GeneratorSettings
    transformer: Any
    base: Base
    source: PairSource
    output: Path
    validation: tuple[FlowBatch, ...] = ()
    start_from: BokehAdapter | None = None
    samples: Samples | None = None
    sample_every: int = 1000
    checkpointing: bool = False
    workers: int = 0
    may_leave_unused: bool = False

    def start(self, device: torch.device) -> Run[AdapterWeights]:
        """Return a run before its first step, adapter and base on a device.

        Raises:
            ValueError: an adapter to start from that is of another base.
        """
        self.transformer.to(device)
        weights = self._weights().to(device)
        decay = [one for one in weights.parameters() if one.ndim > 1]
        plain = [one for one in weights.parameters() if one.ndim <= 1]
        rate = self.settings.rate
        groups: list[dict[str, Any]] = [
            {"params": decay, "weight_decay": self.settings.weight_decay, "factor": 1.0},
            {"params": plain, "weight_decay": 0.0, "factor": 1.0},
        ]
        return new_run(weights, torch.optim.AdamW(groups, lr=rate, eps=ADAM_EPS))

    @contextmanager
    def held(self, run: Run[AdapterWeights]) -> Iterator[nn.Module]:
        """Yield the adapter on its base, which is as it was before when the block ends."""
        settings = self.settings
        network = TrainedFlux(run.network, self.transformer, settings.guidance)
        group = settings.group if settings.grounded else 1
        with ExitStack() as held:
            held.enter_context(frozen(self.transformer))
            held.enter_context(adapter_on(network, group=group, checkpointing=self.checkpointing))
            yield network

    def batches(self, numbers: Iterator[range]) -> Iterator[FlowBatch]:
        """Yield a batch for each range of sample numbers."""
        return batches(self.source, numbers, collate, self.workers)

    def loss(
        self, model: Any, batch: FlowBatch, run: Run[AdapterWeights], part: int, say: Say
    ) -> Tensor:
        """Return the mean squared error of the velocity."""
        return flow_loss(model(batch), batch).mean()

    def validate(
        self, model: nn.Module, run: Run[AdapterWeights], say: Say, check_cancelled: CheckCancelled
    ) -> dict[str, float]:
        """Return the loss on fixed noise and, now and then, what sampled stacks are worth."""
        assert isinstance(model, TrainedFlux)  # noqa: S101 what `held` yields
        device = next(run.network.parameters()).device
        bf16 = self.settings.precision == "bf16"
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = validation_loss(model, self.validation, device, check_cancelled)
        found = {"loss": loss, "r_squared": math.nan, "slope": math.nan}
        line = f"step {run.step}: loss {loss:.4f}"
        ends = run.step == self.settings.steps
        if self.samples is not None and (ends or run.step % self.sample_every == 0):
            state = run.network.state_dict()
            adapter = as_adapter(state, run.network.shape.alpha, self.base.name)
            with without_adapter(model):
                found |= self.samples.measured(adapter, self.output, run.step, check_cancelled)
            self.transformer.to(device)  # sampling may have put it elsewhere
            line += (
                f"; sampled stacks: R² {found['r_squared']:.3f}, blur {found['slope']:.2f} of the "
                "true one"
            )
        say(line)
        return found

    def write_weights(self, folder: Path, run: Run[AdapterWeights]) -> None:
        """Write `adapter.safetensors` in the published layout.

        Raises:
            OSError: the folder cannot be written, as on a full disk; what was there before stays.
        """
        shape, used = run.network.shape, [k for one in self.source.scenes for k in one.strengths]
        metadata = {
            "format": "pt",
            "network": "BokehAdapter",
            BASE_KEY: self.base.name,
            ALPHA_KEY: f"{shape.alpha:g}",
            "rank": f"{shape.rank}",
            LORA_SCALE_KEY: "1",
            QUERY_ONLY_KEY: "false",
            "strength_min": f"{min(used):g}",
            "strength_max": f"{max(used):g}",
            "training.steps": f"{run.step}",
            "training.seed": f"{self.settings.seed}",
        }
        write_tensors(folder / WEIGHTS, run.averaged, metadata)

    def _weights(self) -> AdapterWeights:
        if self.start_from is not None:
            adapter = self.start_from
            network = type(self.transformer).__name__
            blocks, asks = self.base.family.diffusers, "adapter: give one for"
            check_base(
                *(adapter.base, adapter.layer_count, adapter.hidden_size, self.transformer),
                *(blocks, asks, network),
            )
            return from_adapter(adapter)
        blocks = self.base.family.diffusers
        layers = sum(blocks.counts(self.transformer))
        width = int(getattr(self.transformer, blocks.width))
        shape = AdapterShape(layers, width, self.settings.rank, self.settings.alpha)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            return AdapterWeights(shape)


def base_of(transformer: Any, stated: str | None = None) -> Base:
    """Return which base model a transformer of diffusers is.

    Args:
        transformer: of a FLUX.
        stated: its name as the user gives it; None where the sizes tell.

    Raises:
        ValueError: no FLUX, another than stated, or one that the sizes do not tell.
    """
    family = family_of(transformer)
    if family is None:
        raise ValueError(
            f"base_model: give a FLUX: found {type(transformer).__name__}, which no adapter fits."
        )
    blocks = family.diffusers
    count, width = sum(blocks.counts(transformer)), int(getattr(transformer, blocks.width))
    if stated is not None:
        base = base_named(stated)
        name = type(transformer).__name__
        check_base(base, count, width, transformer, blocks, "base_model: give", name)
        return base
    known = base_of_size(count, width) or (KONTEXT if family is FLUX1 else None)
    if known is None:
        raise ValueError(f"base: say which {family.name} this is with --base; its size tells none.")
    return known
