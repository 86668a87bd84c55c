"""Pictures that nodes show of their results: with K below each frame, and depth with a legend."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...bokehdepth_core import DepthMap
from ...bokehdepth_core.demo.contact_sheet import CONFIDENCE_COLOURS, DEPTH_COLOURS, color_map
from ...bokehdepth_core.devices import interpolate

LONGER_SIDE = 768  # px, of what a node shows
_INK, _STRIP = (240, 240, 240), (24, 24, 28)
_LARGEST = 9  # the width over the height of letters at most, which a small picture needs
_SMALLEST = 10  # px
_GAP = 2  # letters between the texts at both ends

Caption = tuple[str, ...]  # a text at the left, or one at either end


def captioned(pictures: Tensor, captions: Sequence[Caption], bars: int = 0) -> Tensor:
    """Return pictures, reduced, with a line of text below each, [B,h,w,3], 0…1.

    The letters are as large as the longest line allows, for nodes show pictures small.

    Args:
        pictures: [B,H,W,3], sRGB.
        captions: one for each.
        bars: how many of the first get the colours of depth from near to far above the text.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    shown = _reduced(pictures.float().clamp(0, 1).cpu())
    width = shown.shape[2]
    size = _letter_size(width, captions)
    font = ImageFont.load_default(size)
    done = []
    for index, (picture, texts) in enumerate(zip(shown, captions, strict=True)):
        strip = Image.new("RGB", (width, 2 * size), _STRIP)
        if index < bars:
            colours = color_map(torch.linspace(1, 0, width)[None], DEPTH_COLOURS)
            levels = (colours.expand(size // 2, -1, -1) * 255).round().byte().numpy()
            strip.paste(Image.fromarray(levels), (0, 0))
        ink = ImageDraw.Draw(strip)
        ends = ((size // 2, "la"), (width - size // 2, "ra"))
        for (at, anchor), text in zip(ends[: len(texts)], texts, strict=True):
            ink.text((at, size // 2), text, _INK, font=font, anchor=anchor)
        below = torch.from_numpy(np.array(strip)).float() / 255
        done.append(torch.cat([picture, below]))
    return torch.stack(done)


def _letter_size(width: int, captions: Sequence[Caption]) -> int:
    """Return the height of letters, px, with which every line fits into a width in px."""
    from PIL import ImageFont

    font = ImageFont.load_default(100)
    longest = max(
        sum(font.getlength(text) for text in texts) / 100 + 1 + _GAP * (len(texts) - 1)
        for texts in captions
    )
    return max(_SMALLEST, min(width // _LARGEST, int(width / longest)))


def depth_views(depth: DepthMap) -> Tensor:
    """Return each map in colours with its range, then its confidence where it has one."""
    disparity = depth.disparity.float().cpu()
    low = disparity.flatten(1).min(1).values[:, None, None]
    high = disparity.flatten(1).max(1).values[:, None, None]
    share = (disparity - low) / (high - low).clamp(min=1e-12)
    views = [color_map(one, DEPTH_COLOURS) for one in share]
    captions = [_range(one, depth.metric) for one in depth.depth]
    if depth.confidence is not None:
        sure = depth.confidence.float().cpu()
        views += [color_map(one, CONFIDENCE_COLOURS) for one in sure]
        captions += [(f"confidence {float(one.mean()):.2f}", "dark: filled in") for one in sure]
    return captioned(torch.stack(views), captions, bars=len(share))


def _range(plane: Tensor, metric: bool) -> Caption:
    """Return what stands at the near end and at the far end of the colours."""
    finite = plane[torch.isfinite(plane)]
    if not finite.numel():
        return "", "infinitely far"
    near, far = float(finite.min()), float(finite.max())
    sky = ", sky" if finite.numel() < plane.numel() else ""
    if not metric:
        return "near", f"far: no metres{sky}"
    return f"near {near:.3g} m", f"far {far:.3g} m{sky}"


def _reduced(pictures: Tensor) -> Tensor:
    height, width = pictures.shape[1:3]
    scale = LONGER_SIDE / max(height, width)
    if scale >= 1:
        return pictures
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return interpolate(pictures.movedim(-1, 1), size, antialias=True).movedim(1, -1).clamp(0, 1)
