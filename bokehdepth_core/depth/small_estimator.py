"""The user-facing estimator around the small network that `bokehdepth train depth` makes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ..checks import check_image, check_number
from ..datatypes import BokehStack, DepthMap
from ..optics.aperture import Aperture
from .batch import cameras_for, check_found, normalized_over_batch, usable
from .networks.preprocess import LEVELS
from .networks.small import PATCH, SmallDepth, memory_floats
from .stacks import check_one_focus, stacks_for

PIXELS = 65_536  # of the network's input at resolution 0; each level adds as many
AUTOMATIC_LEVEL = 3
SIDES = {"nearest": -1.0, "farthest": 1.0}
_MARGIN = 1.05  # what grows with neither pictures nor frames


@dataclass(frozen=True)
class SmallEstimator:
    """Depth from a stack, or relative disparity from a photo alone.

    Attributes:
        network: runs wherever its weights are, in their number type.
    """

    network: SmallDepth
    reads_stack: bool = True

    @property
    def device(self) -> torch.device:
        """Where the network's weights are now."""
        return next(self.network.parameters()).device

    def memory_required(
        self,
        height: int,
        width: int,
        frames: int,
        resolution: int | None = None,
        chunk: int | None = None,
        device: torch.device | None = None,
    ) -> int:
        """Return an upper estimate of the bytes that activations take for one picture.

        Args:
            height: of the picture, px.
            width: of the picture, px.
            frames: the photo and its stack's frames together.
            resolution: as in `estimate`.
            chunk: no effect; all frames are encoded at once.
            device: no effect.
        """
        rows, columns = (side + -side % PATCH for side in _input_size(height, width, resolution))
        small = memory_floats(self.network.shape, frames) * rows * columns
        # All frames as they are, then less wide, then small; and the depth with its masks.
        pictures = 3 * frames * (height * width + height * columns + rows * columns)
        return math.ceil(4 * _MARGIN * max(small, pictures, 5 * height * width))

    def chunk_for(
        self, height: int, width: int, frames: int, resolution: int | None, free_bytes: int
    ) -> int:
        """Return how many frames are encoded at once: all."""
        return frames

    @torch.inference_mode()
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
        """Return depth for each picture, on the picture's device.

        With a stack and the distance of its focus plane the depth is in metres; else it is
        disparity normalised over the whole batch.

        Args:
            image: [B,H,W,3], sRGB, 0…1.
            stack: one stack for each picture, or one for all; None for the photo alone.
            intrinsics: [B,3,3] or [1,3,3], px; kept with the depth.
            resolution: 0 (fast) to 9 (fine); None or -1 for 512 × 512 px. Smaller pictures are
                taken as they are.
            focus: which end of the scene is sharp in the frames, "nearest" or "farthest".
            focus_depth: depth of the focus plane, m; None where unknown.
            aperture: no effect; the sweep uses it.
            prior: networks refuse it.
            chunk: no effect.
            on_progress: called after each picture.
            check_cancelled: raises to stop.

        Raises:
            ValueError: another number of stacks than pictures, mismatched sizes, or a prior.
        """
        if prior is not None:
            raise ValueError("prior: this network takes none. Leave it out.")
        if focus not in SIDES:
            raise ValueError(f"focus: expected {' or '.join(SIDES)}, found {focus!r}.")
        size = check_image(image)
        camera = cameras_for(intrinsics, size["B"])
        stacks = [None] if stack is None else list(stacks_for(stack, size))
        found = []
        for index in range(size["B"]):
            check_cancelled()
            one = stacks[index % len(stacks)]
            found.append(self._one(image[index], one, resolution, SIDES[focus], check_cancelled))
            on_progress(index + 1, size["B"])
        disparity = torch.stack(found).to(image.device)
        if stack is not None and focus_depth is not None:
            plane = 1 / check_number(focus_depth, "focus_depth", above=0.0)
            depth = torch.reciprocal((plane + disparity).clamp(min=0.0))
            return DepthMap(usable(depth), None, camera)
        relative = DepthMap.from_normalized_disparity(normalized_over_batch(disparity))
        return DepthMap(usable(relative.depth), None, camera, metric=False)

    def _one(
        self,
        photo: Tensor,
        stack: BokehStack | None,
        resolution: int | None,
        side: float,
        check_cancelled: CheckCancelled,
    ) -> Tensor:
        """Return d − d_f [H,W], 1/m, of a stack, or raw disparity of a photo alone."""
        pictures, strengths = [photo], [0.0]
        if stack is not None:
            check_one_focus(stack, "this network")
            pictures += list(stack.frames)
            strengths += stack.strengths
        weight = next(self.network.parameters())
        frames = torch.stack(pictures).movedim(-1, 1).to(weight.device, torch.float32)
        height, width = frames.shape[2:]
        size = _input_size(height, width, resolution)
        if size != (height, width):
            frames = functional.interpolate(
                frames, size, mode="bilinear", align_corners=False, antialias=True
            )
        bottom, right = -size[0] % PATCH, -size[1] % PATCH
        frames = functional.pad(frames, (0, right, 0, bottom), mode="replicate")
        scaled = torch.tensor([strengths], device=weight.device) * (size[1] / width)
        sides = torch.tensor([side], device=weight.device)
        found = self.network(frames[None].to(weight.dtype), scaled, sides, check_cancelled)
        found = found[:, None, : size[0], : size[1]]
        if size != (height, width):
            found = functional.interpolate(
                found, (height, width), mode="bilinear", align_corners=False
            )
        plane: Tensor = check_found(found.masked_fill(found.isinf(), math.nan))[0, 0]
        return plane / float(scaled.max()) if stack is not None else plane


def _input_size(height: int, width: int, resolution: int | None) -> tuple[int, int]:
    """Return the size at which a picture enters the network before padding, px."""
    level = AUTOMATIC_LEVEL if resolution in (None, -1) else resolution
    hint = "Use 0 (fast) to 9 (fine), or -1 for automatic."
    level = int(check_number(level, "resolution", 0, LEVELS - 1, hint=hint))
    scale = min(1.0, math.sqrt(PIXELS * (level + 1) / (height * width)))
    return max(1, round(height * scale)), max(1, round(width * scale))
