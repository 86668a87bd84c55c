"""What the loop has to know of a depth network: its samples, its loss, its files."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...callbacks import CheckCancelled
from ...depth.loading import KIND_KEY
from ...depth.networks.depth_anything import DepthAnything
from ...depth.networks.published_layout import DEPTH_ANYTHING, UNIDEPTH, published_names
from ...depth.networks.unidepth import UniDepth
from ..checkpoints import Run, new_run, write_tensors
from ..dice import Dice
from ..feeding import Source, batches
from ..loop import ADAM_EPS, Say
from ..samples import Sample
from .batches import Batch, collate
from .networks import (
    Network,
    Trained,
    attention_warning,
    attention_watch,
    build,
    loss_of,
    options_of,
    parameter_groups,
)
from .settings import Settings
from .validation import validate

WEIGHTS = "depth.safetensors"
_LOOK_EVERY = 200  # steps, at the attention that frames get


@dataclass(frozen=True, eq=False)
class DepthTraining:
    """A depth network and what it is trained on.

    Attributes:
        settings: what decides the result.
        source: of the samples.
        validation: fixed batches, the same in every process.
        workers: processes that make samples ahead.
    """

    settings: Settings
    source: Source[Sample]
    validation: tuple[Batch, ...] = ()
    workers: int = 0
    # Either head of a network waits while the other one is used.
    may_leave_unused: bool = True

    def start(self, device: torch.device) -> Run[Network]:
        """Return a run before its first step, on a device.

        Raises:
            FileNotFoundError: no such file to start from.
            CheckpointError: a file that is no depth network.
            ValueError: pictures whose side is no multiple of the network's patch.
        """
        network = build(self.settings).to(device)
        groups: list[dict[str, Any]] = parameter_groups(network, self.settings)
        return new_run(network, torch.optim.AdamW(groups, lr=self.settings.rate, eps=ADAM_EPS))

    def held(self, run: Run[Network]) -> AbstractContextManager[nn.Module]:
        """Return what a step calls."""
        return nullcontext(Trained(run.network))

    def batches(self, numbers: Iterator[range]) -> Iterator[Batch]:
        """Yield a batch for each range of sample numbers."""
        return batches(self.source, numbers, collate, self.workers)

    def loss(self, model: Any, batch: Batch, run: Run[Network], part: int, say: Say) -> Tensor:
        """Return the mean loss of a batch, with its stack or, as often as wanted, without."""
        settings = self.settings
        with_stack = not Dice(settings.seed, run.step, 3).chance(settings.photo_share)
        if with_stack and part == 0 and run.step % _LOOK_EVERY == 0:
            _warn_of_blindness(run.network, batch, say)
        return loss_of(model(batch, with_stack), batch, settings).mean()

    def validate(
        self, model: nn.Module, run: Run[Network], say: Say, check_cancelled: CheckCancelled
    ) -> dict[str, float]:
        """Return the scores of `validation.py`, and say them."""
        device = next(run.network.parameters()).device
        found = validate(Trained(run.network), self.validation, device, check_cancelled)
        say(
            f"step {run.step}: blur {found['rho']:.3f} px off; disparity off by "
            f"{found['stack']:.3f} of its range, {found['photo']:.3f} without the stack, "
            f"{found['shuffled']:.3f} with another photo's"
        )
        return found

    def write_weights(self, folder: Path, run: Run[Network]) -> None:
        """Write `depth.safetensors` in the layout that the pack loads.

        Raises:
            OSError: the folder cannot be written, as on a full disk; what was there before stays.
        """
        plain = {"format": "pt", KIND_KEY: type(run.network).__name__}
        weights = {name: value.detach().cpu() for name, value in run.averaged.items()}
        if isinstance(run.network, DepthAnything):
            weights = published_names(weights, DEPTH_ANYTHING)
        elif isinstance(run.network, UniDepth):
            weights = published_names(weights, UNIDEPTH)
        more = {"training.steps": str(run.step), "training.seed": str(self.settings.seed)}
        write_tensors(folder / WEIGHTS, weights, plain | options_of(run.network).metadata() | more)


@torch.no_grad()
def _warn_of_blindness(network: Network, batch: Batch, say: Say) -> None:
    """Say where frames get so little attention that a stack cannot teach anything."""
    with attention_watch(network) as shares:
        Trained(network)(batch, True)
    warning = attention_warning(shares)
    if warning:
        say(f"warning: {warning}")
