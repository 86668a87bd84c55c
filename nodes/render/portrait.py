"""What Render Bokeh does where no depth is connected: people are found, and depth is guessed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ... import bokehdepth_core as core
from ...bokehdepth_core.color import convert_color
from ...bokehdepth_core.depth.from_mask import SUBJECT_DISPARITY, mask_depth_memory
from ...bokehdepth_core.render.panorama import panorama_doubts
from .. import sockets
from ..host import services
from ..host.doubts import doubts
from .render_controls import mask_middles


@dataclass(frozen=True, eq=False)
class FoundDepth:
    """Depth of the pictures, and where it comes from.

    Attributes:
        depth: at their size.
        people: [B,H,W], 0…1, that it was guessed from; None where depth was given.
        report: for the user: that it is a guess, or what looks odd about given depth.
    """

    depth: core.DepthMap
    people: Tensor | None = None
    report: str = ""


def depth_or_guess(
    depth, image: Tensor, color_space: str, soft_edges: bool, wraps: bool = False
) -> FoundDepth:
    """Return the depth that is connected, or a guess from the people in the pictures.

    Args:
        depth: whatever the socket received; None for nothing.
        image: [B,H,W,3].
        color_space: of the image.
        soft_edges: as in `fit_depth`.
        wraps: likewise; it is doubted where the pictures do not look like panoramas.

    Raises:
        ValueError: unusable depth; or none, and nobody in the pictures.
    """
    unjoined = panorama_doubts(convert_color(image, color_space, "sRGB")) if wraps else ""
    if depth is not None:
        size = tuple(image.shape[1:3])
        given = sockets.as_depth(depth, size, soft_edges=soft_edges, wraps=wraps)
        report = " ".join(filter(None, [doubts(depth, given, image), unjoined]))
        if report:
            services.show_text(report)
        return FoundDepth(given, report=report)
    seen = convert_color(image, color_space, "sRGB").clamp(0, 1)
    count, *size = seen.shape[:3]
    copied = 4 * seen.numel() if services.moves() else 0
    services.make_room(mask_depth_memory(*size, count, people=True) + copied)
    found = core.guess_portrait_depth(
        seen.to(services.device()), check_cancelled=services.check_cancelled
    )
    guessed = core.DepthMap(services.result(found.depth.depth), metric=False)
    report = " ".join(filter(None, [found.report, unjoined]))
    services.show_text(report)
    return FoundDepth(guessed, services.result(found.alpha), report)


def focus_on_people(people: Tensor, depths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the depth where people stand in guessed depth, [B], and their middles, [B,2]."""
    count = len(depths)
    planes = torch.full((count,), 1 / SUBJECT_DISPARITY, device=depths.device)
    return planes, mask_middles(people).expand(count, -1)
