"""What every depth estimator can be asked, built-in or a network, with the same keywords."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ..datatypes import BokehStack, DepthMap
from ..optics.aperture import Aperture


class DepthEstimator(Protocol):
    """Depth from photos and their bokeh stacks.

    `SweepEstimator` and `NetworkEstimator` fulfil it.
    """

    def estimate(
        self,
        image: Tensor,
        stack: BokehStack | Sequence[BokehStack] | None = None,
        intrinsics: Tensor | None = None,
        resolution: int | None = None,
        *,
        focus: str = "nearest",
        focus_depth: float | None = None,
        aperture: Aperture | None = None,
        prior: DepthMap | None = None,
        chunk: int | None = None,
        on_progress: OnProgress = ignore_progress,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> DepthMap:
        """Return depth for each picture, every tensor of it on the picture's device.

        Args:
            image: [B,H,W,3], sRGB, 0…1.
            stack: one stack for each picture, or one for all; the sweep needs it.
            intrinsics: [B,3,3] or [1,3,3], px; None where unknown.
            resolution: 0 (fast) to 9 (fine) of a network; no effect on the sweep.
            focus: which end of the scene is sharp in the frames; no effect on networks.
            focus_depth: depth of the focus plane, m; no effect on networks.
            aperture: shape of the lens's aperture; no effect on networks.
            prior: depth that tells the sweep front from behind; networks refuse it.
            chunk: frames that a network encodes at once; no effect on the sweep.
            on_progress: called as work proceeds.
            check_cancelled: raises to stop.

        Raises:
            ValueError: an unusable picture, stack, camera or choice.
        """
        ...
