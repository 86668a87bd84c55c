"""Pictures that nodes show of their results: with K below each frame, and depth with a legend."""

import torch
from torch import Tensor

from ...bokehdepth_core import DepthMap
from ...bokehdepth_core.demo.contact_sheet import CONFIDENCE_COLOURS, DEPTH_COLOURS, color_map
from ...bokehdepth_core.devices import interpolate

LONGER_SIDE = 768  # px, of what a node shows
_INK, _STRIP = (240, 240, 240), (24, 24, 28)


def captioned(pictures: Tensor, texts: list[str], bar: bool = False) -> Tensor:
    """Return pictures, reduced, with a line of text below each, [B,h,w,3], 0…1.

    Args:
        pictures: [B,H,W,3], sRGB.
        texts: one for each.
        bar: lay the colours of depth from near to far behind the text.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    shown = _reduced(pictures.float().clamp(0, 1).cpu())
    width = shown.shape[2]
    size = max(10, width // 26)
    done = []
    for picture, text in zip(shown, texts, strict=True):
        strip = Image.new("RGB", (width, 2 * size), _STRIP)
        if bar:
            colours = color_map(torch.linspace(1, 0, width)[None], DEPTH_COLOURS)
            levels = (colours.expand(size // 2, -1, -1) * 255).round().byte().numpy()
            strip.paste(Image.fromarray(levels), (0, 0))
        font = ImageFont.load_default(size)
        ImageDraw.Draw(strip).text((size // 2, size // 2), text, _INK, font=font)
        below = torch.from_numpy(np.array(strip)).float() / 255
        done.append(torch.cat([picture, below]))
    return torch.stack(done)


def depth_views(depth: DepthMap) -> Tensor:
    """Return each map in colours with its range, then its confidence where it has one."""
    disparity = depth.disparity.float().cpu()
    low = disparity.flatten(1).min(1).values[:, None, None]
    high = disparity.flatten(1).max(1).values[:, None, None]
    share = (disparity - low) / (high - low).clamp(min=1e-12)
    colours = torch.stack([color_map(one, DEPTH_COLOURS) for one in share])
    views = captioned(colours, [_range(one, depth.metric) for one in depth.depth], bar=True)
    if depth.confidence is None:
        return views
    sure = depth.confidence.float().cpu()
    shown = torch.stack([color_map(one, CONFIDENCE_COLOURS) for one in sure])
    texts = [f"confidence, mean {float(one.mean()):.2f}: dark is filled in" for one in sure]
    return torch.cat([views, captioned(shown, texts)])


def _range(plane: Tensor, metric: bool) -> str:
    finite = plane[torch.isfinite(plane)]
    if not finite.numel():
        return "nothing but infinitely far"
    near, far = float(finite.min()), float(finite.max())
    sky = " and sky" if finite.numel() < plane.numel() else ""
    if not metric:
        return f"near (left) to far, relative, no metres{sky}"
    return f"near {near:.3g} m (left) to far {far:.3g} m{sky}"


def _reduced(pictures: Tensor) -> Tensor:
    height, width = pictures.shape[1:3]
    scale = LONGER_SIDE / max(height, width)
    if scale >= 1:
        return pictures
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return interpolate(pictures.movedim(-1, 1), size, antialias=True).movedim(1, -1).clamp(0, 1)
