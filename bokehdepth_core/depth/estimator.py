"""The user-facing estimator around a depth network."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ..checks import check_image
from ..datatypes import BokehStack, DepthMap
from ..optics.aperture import Aperture
from .batch import cameras_for, check_found, normalized_over_batch, usable
from .network_memory import memory_of
from .networks.depth_anything import DepthAnything
from .networks.preprocess import (
    PATCH,
    InputTransform,
    depth_anything_side,
    depth_anything_transform,
    unidepth_pixels,
    unidepth_transform,
)
from .networks.unidepth import UniDepth
from .stacks import check_one_focus, stacks_for

MIN_DEPTH_M = 1e-3  # a saturated output would be 0 m, which is no depth
MAX_TOKENS = 1 << 15


@dataclass(frozen=True)
class NetworkEstimator:
    """Depth from a photo, and from its stack where the network has DSFA.

    Attributes:
        network: runs wherever its weights are, in their number type.
        nominal_camera: scale cameras by one factor as the reference does, to compare with it; the
            true factors of the two axes differ by up to 13 px of rounding.
    """

    network: DepthAnything | UniDepth
    nominal_camera: bool = False

    @property
    def reads_stack(self) -> bool:
        """True where the network has DSFA; others look at the photo alone."""
        return len(self.network.fusion) > 0

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
        """Return an estimate of the bytes that tensors take for one picture, weights left out.

        Args:
            height: of the picture, px.
            width: of the picture, px.
            frames: the photo and its stack's frames together.
            resolution: as in `estimate`.
            chunk: frames encoded at once; None for all.
            device: where the network will run; None for where it is. Pictures wait on the CPU.
        """
        transform = self.transform(height, width, resolution)
        frames = frames if self.reads_stack else 1
        moved = (device or self.device).type != "cpu"
        return memory_of(self.network, transform, frames, min(chunk or frames, frames), moved)

    def chunk_for(
        self, height: int, width: int, frames: int, resolution: int | None, free_bytes: int
    ) -> int:
        """Return how many frames to encode at once within `free_bytes`, at least one."""
        for chunk in range(frames, 1, -1):
            if self.memory_required(height, width, frames, resolution, chunk) <= free_bytes:
                return chunk
        return 1

    def transform(self, height: int, width: int, resolution: int | None = None) -> InputTransform:
        """Return how a picture of this size enters the network.

        Raises:
            ValueError: an unknown level, or a strip so long that the network could not hold it.
        """
        if isinstance(self.network, UniDepth):
            transform = unidepth_transform(height, width, unidepth_pixels(resolution))
        else:
            transform = depth_anything_transform(
                height, width, depth_anything_side(resolution), MAX_TOKENS
            )
        rows, columns = transform.input_size
        tokens = rows * columns // PATCH**2
        if tokens > MAX_TOKENS:
            raise ValueError(
                f"image: {height}x{width} would enter the network at {rows}x{columns} px, {tokens} "
                f"patches; at most {MAX_TOKENS} are possible. Crop the long side."
            )
        return transform

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

        A relative network's disparity is normalised over the whole batch, so that a video given
        as one batch keeps one scale and does not flicker; give unrelated pictures one by one.

        Args:
            image: [B,H,W,3], sRGB, 0…1.
            stack: one stack for each picture, or one for all; None for the photo alone. Networks
                without DSFA take no notice of it.
            intrinsics: [B,3,3] or [1,3,3], px; None leaves the camera to UniDepth.
            resolution: 0 (fast) to 9 (fine); None or -1 for the size of training.
            focus: no effect, networks were trained with the subject sharp; the sweep uses it.
            focus_depth: no effect; the sweep uses it.
            aperture: no effect; the sweep uses it.
            prior: depth that tells the sweep front from behind; networks refuse it.
            chunk: frames encoded at once; None for all of a picture.
            on_progress: called after each picture.
            check_cancelled: raises to stop.

        Raises:
            ValueError: another number of stacks than pictures, or mismatched sizes.
        """
        if prior is not None:
            raise ValueError(
                "prior: a depth network tells front from behind by itself and takes none. Leave it "
                "out, or use the built-in estimator."
            )
        size = check_image(image)
        count = size["B"]
        stacks = [None] if stack is None else list(stacks_for(stack, size))
        cameras = cameras_for(intrinsics, count)
        transform = self.transform(size["H"], size["W"], resolution)
        depths: list[Tensor] = []
        confidences: list[Tensor] = []
        found_cameras: list[Tensor] = []
        for index in range(count):
            check_cancelled()
            one = stacks[index % len(stacks)] if self.reads_stack else None
            camera = None if cameras is None else cameras[index : index + 1]
            found, *others = self._one(transform, image[index], one, camera, chunk, check_cancelled)
            depths.append(found.to(image.device))
            for kept, part in zip((confidences, found_cameras), others, strict=True):
                if part is not None:
                    kept.append(part.to(image.device))
            on_progress(index + 1, count)
        depth = usable(torch.cat(depths))
        confidence = usable(torch.cat(confidences)) if confidences else None
        camera = usable(torch.cat(found_cameras)) if found_cameras else None
        if isinstance(self.network, DepthAnything) and not self.network.shape.metric:
            relative = DepthMap.from_normalized_disparity(normalized_over_batch(depth))
            return DepthMap(relative.depth, None, camera, metric=False)
        return DepthMap(depth, confidence, camera)

    def _one(
        self,
        transform: InputTransform,
        photo: Tensor,
        stack: BokehStack | None,
        camera: Tensor | None,
        chunk: int | None,
        check_cancelled: CheckCancelled,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return depth [1,H,W] (or raw disparity), confidence and intrinsics of one picture."""
        device = self.device
        if stack is not None:
            check_one_focus(stack, "a depth network")
        pictures = [photo] if stack is None else [photo, *stack.frames]
        strengths = torch.zeros(1, len(pictures), device=device)
        if stack is not None:
            strengths[0, 1:] = torch.tensor(stack.strengths)
        frames = torch.cat(
            [transform.to_input(picture[None].to(device, torch.float32)) for picture in pictures]
        )
        frames = frames.to(next(self.network.backbone.parameters()).dtype)[None]
        if isinstance(self.network, DepthAnything):
            found = transform.restore(self.network(frames, strengths, chunk, check_cancelled))
            found = found.clip(min=MIN_DEPTH_M if self.network.shape.metric else 0)
            return check_found(found), None, camera
        inside = None
        if camera is not None:
            inside = transform.camera_to_input(camera.to(device), nominal=self.nominal_camera)
        found = self.network(frames, strengths, inside, chunk, check_cancelled)
        if camera is None:
            camera = transform.camera_to_picture(found.intrinsics, nominal=self.nominal_camera)
        confidence = transform.restore(found.confidence)
        depth = transform.restore(found.points[:, 2]).clip(min=MIN_DEPTH_M)
        return check_found(depth), confidence / (1 + confidence), camera
