"""What every bokeh-stack generator can do, with or without weights."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ..datatypes import BokehStack, DepthMap


@runtime_checkable
class BokehGenerator(Protocol):
    """Makes bokeh stacks, as `load_bokeh_generator` returns it."""

    @property
    def device(self) -> torch.device:
        """The device that computes."""

    def generate(
        self,
        image: Tensor,
        strengths: Sequence[float],
        *,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
        match_color: bool = True,
        depth: DepthMap | None = None,
        on_progress: OnProgress = ignore_progress,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> BokehStack:
        """Return the photo with one frame for each strength, all on the photo's device.

        A generator may take more keywords than these.

        Args:
            image: [H,W,3], sRGB, 0…1, on any device.
            strengths: bokeh strengths K, px·m, > 0.
            steps: sampling steps of a network; None takes the published ones.
            guidance: of a network; likewise.
            seed: of a network's noise.
            match_color: give a network's frames the photo's colours.
            depth: [1,H,W], the photo's depth, for generators that render the frames.
            on_progress: called as work proceeds.
            check_cancelled: raises to stop.

        Raises:
            ValueError: unusable pictures or numbers, or no depth where it is needed.
        """
        raise NotImplementedError
