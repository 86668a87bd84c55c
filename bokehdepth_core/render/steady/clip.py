"""The depth of a clip's frames as the renderer wants it, one frame after the other."""

from typing import Any

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, never_cancelled
from ...checks import check_depth, check_image, check_number
from ..scene.depth_edges import refine_depth
from ..views import PixelMeaning
from .edges import HeldEdges
from .holding import HeldDepth
from .still import StillParts

SLOWEST = 0.1  # how fast the picture of what stands still follows, a frame, at full steadiness


class FrameDepth:
    """Holds and refines depth frame by frame.

    Its memory is that of a dozen planes, whatever the number of frames.
    """

    def __init__(
        self, steady: float = 0.0, *, hold: bool = True, refine: bool = True, wraps: bool = False
    ) -> None:
        """Begin a clip.

        Args:
            steady: 0…1; 0 takes every frame by itself.
            hold: whether depth is to be held; it may have been before.
            refine: whether soft edges are made hard.
            wraps: whether left and right border join.
        """
        self.steady = check_number(steady, "steady", 0.0, 1.0)
        self._parts = StillParts(1 - (1 - SLOWEST) * self.steady)
        self._depth = HeldDepth(self.steady) if hold else None
        self._edges = HeldEdges(self.steady, wraps) if refine else None
        self._wraps = wraps

    @torch.no_grad()
    def next(
        self, photo: Tensor, depth: Tensor, check_cancelled: CheckCancelled = never_cancelled
    ) -> Tensor:
        """Return the depth [H,W] of the next frame.

        Args:
            photo: [H,W,3], sRGB, 0…1.
            depth: [H,W], m or in any unit of 1/disparity, > 0; infinity is allowed.
            check_cancelled: raises to stop.
        """
        if self.steady == 0:
            if self._edges is None:
                return depth
            return refine_depth(photo[None], depth[None], check_cancelled, wraps=self._wraps)[0]
        still = self._parts.next(photo)
        if self._depth is not None:
            depth = self._depth.next(depth, still)
        if self._edges is None:
            return depth
        assert self._parts.seen is not None  # noqa: S101 (it has just seen a frame)
        guide = torch.where((still > 0.5)[..., None], self._parts.seen, photo[..., :3].float())
        return self._edges.next(guide, depth, still, check_cancelled)

    def prepared(self, lens: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of `render_bokeh` for the next frame, with steady depth in them.

        Args:
            lens: the arguments for one picture, [1,H,W,3], with its `depth`, [1,H,W].
        """
        if self.steady == 0:
            return lens
        alpha, cancelled = lens.get("alpha"), lens.get("check_cancelled", never_cancelled)
        meaning = PixelMeaning(
            lens.get("color_space", "sRGB"), lens.get("premultiplied", False) and alpha is not None
        )
        guide = meaning.as_seen(lens["image"][0], None if alpha is None else alpha[0])
        depth = lens["depth"].to(guide.device, torch.float32)
        found = self.next(guide, depth[0], cancelled)[None]
        return lens | {"depth": found, "refine_depth": False}


def steady_depth(
    image: Tensor,
    depth: Tensor,
    steady: float = 1.0,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Tensor:
    """Return the depth of a clip, [B,H,W], held where nothing moves in the photos.

    What moves, and every frame after a cut, keeps the depth of its own frame. `render_bokeh` does
    this too where its `steady` is set; use it for a focus that is taken from the depth.

    Args:
        image: [B,H,W,3] or [1,H,W,3], sRGB, 0…1, the frames in their order.
        depth: [B,H,W], m or in any unit of 1/disparity, > 0; infinity is allowed.
        steady: 0…1; 0 changes nothing.
        check_cancelled: raises to stop; called for every frame.

    Raises:
        TypeError: a picture or depth that is not floating point.
        ValueError: sizes that do not match, unusable depth, or a number out of range.

    Reference:
        No paper: hysteresis of each pixel's disparity; `holding.py` has the rule and its constants,
        `still.py` finds what stands still.

    Example:
        >>> noise = 1 + 0.01 * torch.randn(6, 16, 24)
        >>> held = steady_depth(torch.full((1, 16, 24, 3), 0.5), 2 * noise)
        >>> bool(held.std(dim=0).max() < 1e-3)
        True
    """
    size, found = check_image(image), check_depth(depth)
    if (found["H"], found["W"]) != (size["H"], size["W"]) or size["B"] not in (1, found["B"]):
        raise ValueError(
            f"image: expected {list(depth.shape)} pixels like depth, found {list(image.shape)}. "
            "Resample one to the other first."
        )
    frames, out = FrameDepth(steady, refine=False), torch.empty_like(depth)
    for index, one in enumerate(depth):
        check_cancelled()
        out[index] = frames.next(image[index % size["B"]], one)
    return out
