"""How good an adapter is while it trains: its loss on fixed noise, and stacks that it makes.

The loss falls long before K means what it says, so now and then a stack is sampled and measured:
is the blur linear in K (R²), and how much of the true blur is it (slope)?
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, never_cancelled
from ...datatypes import BokehStack
from ...depth.sweep.calibration import ENOUGH_PIXELS, StackBlur, measured_blur
from ...files.pictures.images import write_image
from ...generator.adapter import BokehAdapter
from ...generator.flux_generator import FluxGenerator
from ...generator.placement import Placement
from .flow import FlowBatch, flow_loss
from .network import TrainedFlux

FOLDER = "samples"


@dataclass(eq=False)
class Samples:
    """Stacks that are made again and again with the weights of then.

    Attributes:
        pipeline: of the base model.
        placement: brings its parts to the device that computes.
        truths: photos with their true frames, each with at least two strengths.
        prompts: tokens and pooled prompts, by text.
        steps: of sampling.
        guidance: of sampling.
        seed: of the noise.
    """

    pipeline: Any
    placement: Placement
    truths: Sequence[BokehStack]
    prompts: dict[str, tuple[Tensor, ...]]
    steps: int = 20
    guidance: float = 1.0
    seed: int = 0
    _true_blur: list[StackBlur] = field(default_factory=list, repr=False)

    def measured(
        self,
        adapter: BokehAdapter,
        folder: Path,
        step: int,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> dict[str, float]:
        """Return the means of `r_squared` and `slope` over the stacks, and write them as pictures.

        Args:
            adapter: of now.
            folder: of the run; the pictures go into `samples` in it.
            step: of the training.
            check_cancelled: raises to stop.

        Raises:
            OSError: the pictures cannot be written.
        """
        generator = FluxGenerator(self.pipeline, adapter, self.placement, dict(self.prompts))
        if not self._true_blur:
            self._true_blur.extend(
                measured_blur(one, check_cancelled=check_cancelled) for one in self.truths
            )
        found = []
        (folder / FOLDER).mkdir(exist_ok=True)
        for index, (truth, true_blur) in enumerate(zip(self.truths, self._true_blur, strict=True)):
            stack = generator.generate(
                truth.reference,
                truth.strengths,
                steps=self.steps,
                guidance=self.guidance,
                seed=self.seed,
                check_cancelled=check_cancelled,
            )
            name = f"step_{step:06d}_{index + 1}.png"
            write_image(folder / FOLDER / name, _sheet(truth, stack))
            found.append(_figures(stack, true_blur, check_cancelled))
        return {name: _mean([one[name] for one in found]) for name in ("r_squared", "slope")}


@torch.no_grad()
def validation_loss(
    network: TrainedFlux,
    batches: Sequence[FlowBatch],
    device: torch.device,
    check_cancelled: CheckCancelled = never_cancelled,
) -> float:
    """Return the mean loss over fixed batches; NaN without any."""
    total, count = 0.0, 0
    for one in batches:
        check_cancelled()
        batch = one.to(device)
        total += float(flow_loss(network(batch), batch).sum())
        count += len(batch.times)
    return total / count if count else math.nan


def _figures(
    stack: BokehStack, truth: StackBlur, check_cancelled: CheckCancelled
) -> dict[str, float]:
    blur = measured_blur(stack, check_cancelled=check_cancelled)
    enough = int(blur.chosen.sum()) >= ENOUGH_PIXELS
    r_squared = blur.r_squared if enough else math.nan
    return {"r_squared": r_squared, "slope": blur.slope_against(truth)}


def _sheet(truth: BokehStack, stack: BokehStack) -> Tensor:
    """Return photo and true frames above the same as they were made, [2h,(1+N)w,3]."""
    rows = [torch.cat([one.reference, *one.frames], dim=1) for one in (truth, stack)]
    return torch.cat(rows, dim=0).float().clamp(0, 1)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
