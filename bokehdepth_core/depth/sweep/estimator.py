"""Depth without weights: the sweep over a real or rendered stack, one picture after another."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ...checks import check_image, check_shape
from ...datatypes import BokehStack, DepthMap
from ...optics.aperture import DISC, Aperture
from .estimate import sweep_depth


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
        aperture: Aperture = DISC,
        on_progress: OnProgress = ignore_progress,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> DepthMap:
        """Return depth for each picture from its stack.

        Args:
            image: [B,H,W,3], sRGB, 0…1; must be the size of the stacks' references.
            stack: one stack for each picture, or one for all.
            intrinsics: [B,3,3] or [1,3,3], px; kept with the depth.
            resolution: no effect, the sweep works on every pixel; networks use it.
            focus: which end of the scene is sharp in the frames, "nearest" or "farthest".
            focus_depth: depth of the focus plane, m; None where unknown, then no metres result.
            aperture: shape of the lens opening that made the frames.
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
                on_progress=_part_of(on_progress, index, len(stacks)),
                check_cancelled=check_cancelled,
            )
            for index, one in enumerate(stacks)
        ]
        if intrinsics is not None:
            check_shape(intrinsics, "intrinsics", "B 3 3")
            intrinsics = intrinsics.expand(size["B"], -1, -1)
        return DepthMap(
            torch.cat([one.depth for one in results]).expand(size["B"], -1, -1),
            torch.cat([_confidence(one) for one in results]).expand(size["B"], -1, -1),
            intrinsics,
            metric=results[0].metric,
        )


def _part_of(on_progress: OnProgress, index: int, count: int) -> OnProgress:
    """Return progress of one of `count` equal pieces of work as progress of all."""
    return lambda done, total: on_progress(index * total + done, total * count)


def stacks_for(
    stack: BokehStack | Sequence[BokehStack], size: dict[str, int]
) -> Sequence[BokehStack]:
    """Return the stacks as a sequence after checking them against pictures of `size` (B, H, W).

    Raises:
        ValueError: another number of stacks than pictures, or mismatched sizes.
    """
    stacks = [stack] if isinstance(stack, BokehStack) else list(stack)
    if len(stacks) not in (1, size["B"]):
        raise ValueError(
            f"stack: {len(stacks)} stacks for {size['B']} pictures. Give one for each, or one."
        )
    for one in stacks:
        height, width = one.reference.shape[:2]
        if (height, width) != (size["H"], size["W"]):
            raise ValueError(
                f"stack: its pictures are {height}x{width}, the image is {size['H']}x{size['W']}. "
                "Make the stack from the same image."
            )
    return stacks


def on_device(stack: BokehStack, device: torch.device) -> BokehStack:
    """Return the stack with its pictures on a device."""
    return BokehStack(
        stack.reference.to(device), stack.frames.to(device), stack.strengths, stack.settings
    )


def _confidence(depth: DepthMap) -> Tensor:
    return torch.ones_like(depth.depth) if depth.confidence is None else depth.confidence
