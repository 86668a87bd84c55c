"""Depth without weights: the sweep over a real or rendered stack, one picture after another."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ...checks import check_image, check_shape
from ...datatypes import BokehStack, DepthMap
from ...optics.aperture import Aperture
from ..stacks import on_device, stacks_for
from .estimate import sweep_depth

__all__ = ["SweepEstimator", "on_device", "stacks_for"]


@dataclass(frozen=True)
class SweepEstimator:
    """The built-in estimator: reads depth off the blur of a stack's frames.

    Attributes:
        device: where the sweep runs.
    """

    device: torch.device

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
        """Return depth for each picture from its stack, on the picture's device.

        Args:
            image: [B,H,W,3], sRGB, 0…1; must be the size of the stacks' references.
            stack: one stack for each picture, or one for all.
            intrinsics: [B,3,3] or [1,3,3], px; kept with the depth.
            resolution: no effect, the sweep works on every pixel; networks use it.
            focus: which end of the scene is sharp in the frames, "nearest" or "farthest".
            focus_depth: depth of the focus plane, m; None where unknown, then no metres result.
            aperture: shape of the lens's aperture that made the frames; None finds it.
            prior: one map for each picture, or one for all, of the stacks' size, relative too;
                tells front from behind in the place of `focus`.
            chunk: no effect; networks use it.
            on_progress: called as work proceeds.
            check_cancelled: raises to stop.

        Raises:
            ValueError: no stack, another number of stacks than pictures, or mismatched sizes.
        """
        size = check_image(image)
        if stack is None:
            raise ValueError(
                "stack: the built-in estimator reads depth off a bokeh stack and none was given. "
                "Connect a stack, or choose a depth checkpoint."
            )
        stacks = stacks_for(stack, size)
        results = [
            sweep_depth(
                on_device(one, self.device),
                focus,
                focus_depth=focus_depth,
                aperture=aperture,
                prior=_prior_of(prior, index, len(stacks)),
                on_progress=_part_of(on_progress, index, len(stacks)),
                check_cancelled=check_cancelled,
            )
            for index, one in enumerate(stacks)
        ]
        if intrinsics is not None:
            check_shape(intrinsics, "intrinsics", "B 3 3")
            intrinsics = intrinsics.to(image.device).expand(size["B"], -1, -1)
        depth = torch.cat([one.depth for one in results]).to(image.device)
        confidence = torch.cat([_confidence(one) for one in results]).to(image.device)
        return DepthMap(
            depth.expand(size["B"], -1, -1),
            confidence.expand(size["B"], -1, -1),
            intrinsics,
            metric=results[0].metric,
        )


def _part_of(on_progress: OnProgress, index: int, count: int) -> OnProgress:
    """Return progress of one of `count` equal pieces of work as progress of all."""
    return lambda done, total: on_progress(index * total + done, total * count)


def _prior_of(prior: DepthMap | None, index: int, count: int) -> DepthMap | None:
    """Return the map of one stack."""
    if prior is None:
        return None
    maps = len(prior.depth)
    if maps not in (1, count):
        raise ValueError(
            f"prior: {maps} depth maps for {count} stacks. Give one for each stack, or one for all."
        )
    place = index if maps > 1 else 0
    return DepthMap(prior.depth[place : place + 1], metric=prior.metric)


def _confidence(depth: DepthMap) -> Tensor:
    return torch.ones_like(depth.depth) if depth.confidence is None else depth.confidence
