"""Bokeh stacks without weights: frames rendered from a depth map by the lens renderer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ..checks import check_image, check_strengths
from ..datatypes import BokehStack, DepthMap
from ..devices import kth_smallest
from ..optics.aperture import DISC, Aperture
from ..optics.thin_lens import focus_depth_at
from ..render.memory import RenderWork, render_memory
from ..render.renderer import render_bokeh


@dataclass(frozen=True)
class RenderedStackGenerator:
    """The built-in generator: blurs the photo by a depth map that the caller has.

    Attributes:
        device: where the frames are rendered.
    """

    device: torch.device

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
        focus_depth: float | None = None,
        focus_point: tuple[float, float] | None = None,
        aperture: Aperture = DISC,
        quality: str = "default",
        on_progress: OnProgress = ignore_progress,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> BokehStack:
        """Return the photo with one rendered frame for each strength.

        Args:
            image: [H,W,3], sRGB, 0…1.
            strengths: bokeh strengths K, px·m.
            steps: not used; nothing is sampled.
            guidance: not used.
            seed: not used; there is no noise.
            match_color: not used; the frames have the photo's colours.
            depth: one depth map, [1,H,W].
            focus_depth: depth of the focus plane, m; None takes it at `focus_point`.
            focus_point: (x, y), shares of width and height; None focuses the nearest surface, so
                that the frames keep the subject sharp and the sign of the blur is known.
            aperture: shape of the lens's aperture.
            quality: of the renderer.
            on_progress: called after each frame.
            check_cancelled: raises to stop.

        Returns:
            The stack, its frames on the photo's device and of its number type.

        Raises:
            ValueError: no depth map, or one of another size or number than the photo.
        """
        size = check_image(image, pattern="H W 3")
        values = check_strengths(strengths)
        depths = _depth_for(depth, size).to(self.device, torch.float32)
        plane = _focus_plane(depths, focus_depth, focus_point)
        source = image.to(self.device, torch.float32)[None]
        frames = []
        for done, strength in enumerate(values):
            on_progress(done, len(values))
            frame = render_bokeh(
                source,
                depths,
                strength,
                plane,
                aperture=aperture,
                quality=quality,
                check_cancelled=check_cancelled,
            )
            frames.append(frame[0].to(image.device, image.dtype))
        on_progress(len(values), len(values))
        settings = {"generator": "built-in", "focus_depth": float(plane), "quality": quality}
        return BokehStack(image, torch.stack(frames), values, settings)


def rendering_memory(
    depth: DepthMap | None, strengths: Sequence[float], *, moved: bool = False
) -> int:
    """Return an estimate of the bytes that `RenderedStackGenerator` takes beyond the photo.

    Args:
        depth: as `generate` takes it; without any nothing is rendered.
        strengths: bokeh strengths K, px·m.
        moved: whether photo and depth are copied to another device first.

    Example:
        >>> depth = DepthMap(torch.tensor([1.0, 2.0]).repeat(256, 128)[None])
        >>> rendering_memory(depth, [4.0, 8.0]) // 2**20  # MiB
        17
    """
    if depth is None:
        return 0
    low, high = torch.reciprocal(depth.depth.float()).aminmax()
    height, width = depth.depth.shape[1:]
    radius = max(strengths) * float(high - low)
    # The frames that are done lie beside.
    done = 0 if moved else 4 * 3 * (len(strengths) - 1) * height * width
    return render_memory(height, width, radius, work=RenderWork(moved=moved)) + done


def _depth_for(depth: DepthMap | None, size: dict[str, int]) -> Tensor:
    if depth is None:
        raise ValueError(
            "depth: the built-in generator renders its frames from a depth map and none was "
            "given. Connect a depth map, or choose a bokeh adapter and a base model."
        )
    wanted = (1, size["H"], size["W"])
    if depth.depth.shape != wanted:
        raise ValueError(
            f"depth: expected {list(wanted)} like the image, found {list(depth.depth.shape)}. "
            "Make the depth map from the same image."
        )
    return depth.depth


def _focus_plane(
    depth: Tensor, focus_depth: float | None, focus_point: tuple[float, float] | None
) -> Tensor:
    if focus_depth is not None:
        return torch.tensor([float(focus_depth)])
    if focus_point is not None:
        return focus_depth_at(depth, *focus_point)
    # The 99.5th percentile of disparity: the nearest surface, without stray pixels.
    disparity = torch.reciprocal(depth).flatten()
    rank = max(1, round(0.995 * disparity.numel()))
    return torch.reciprocal(kth_smallest(disparity, rank))[None]
