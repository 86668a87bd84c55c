"""What the focus pickers show: a small picture, its depth and, of Render Bokeh, the result.

They are saved once a run by ComfyUI's own preview helper into its temp folder, and the browser
fetches them by ComfyUI's own `/view`. Depth travels as a PNG: 16 bits of disparity in red and
green, which browsers hand out unchanged (they cut 16-bit PNGs to 8 bits).
"""

import logging

import torch
from torch import Tensor

from ... import bokehdepth_core as core
from ...bokehdepth_core.color import convert_color
from ...bokehdepth_core.devices import interpolate, kth_smallest

LONGEST_SIDE = 768  # px; about twice what a node shows, for screens of high density
UI_NAME = "bokehdepth_focus"
_STEPS = 65535  # of disparity in 16 bits
_NEAREST = 4.0  # times the disparity that 99.5 % of the pixels stay below: nearer is as near
_LOG = logging.getLogger(__name__)


def small_size(height: int, width: int) -> tuple[int, int]:
    """Return (height, width) px of the small picture; never more than the picture has.

    Example:
        >>> small_size(3000, 4000), small_size(40, 60)
        ((576, 768), (40, 60))
    """
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def smaller_depth(depth: Tensor) -> Tensor:
    """Return depth [B,H,W] at the small size, every pixel one of the original's.

    A mean over a depth edge would lie on no surface.
    """
    rows, columns = (
        ((torch.arange(few, device=depth.device) + 0.5) * many / few).long()
        for few, many in zip(small_size(*depth.shape[1:]), depth.shape[1:], strict=True)
    )
    return depth[:, rows][:, :, columns]


def smaller_picture(image: Tensor) -> Tensor:
    """Return pictures [B,H,W,3] at the small size, sRGB within 0…1."""
    size = small_size(*image.shape[1:3])
    planes = image.float().clamp(0, 1).movedim(-1, 1)
    if planes.shape[2:] != size:
        planes = interpolate(planes, size, antialias=True)
    return planes.movedim(1, -1).clamp(0, 1)


def pack_disparity(depth: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """Return depth as 8-bit colours, and the disparities that 0 and 65535 stand for.

    Disparity is low + (high − low)·(256·red + green)/65535. Single pixels far nearer than all
    others would take the steps away from the rest; they count as the nearest disparity kept.

    Args:
        depth: [H,W], m or in any unit of 1/disparity, > 0; infinity is allowed.

    Returns:
        [H,W,3], whole numbers 0…255 in float32, and (low, high) in 1/m.
    """
    disparity = depth.float().reciprocal()
    flat = disparity.flatten()
    usual = float(kth_smallest(flat, flat.numel() - flat.numel() // 200))
    low = float(flat.min())
    high = min(float(flat.max()), _NEAREST * usual) if usual > low else float(flat.max())
    share = (disparity - low) / (high - low) if high > low else torch.zeros_like(disparity)
    code = (share.clamp(0, 1).double() * _STEPS).round().long()
    colours = torch.stack([code // 256, code % 256, torch.zeros_like(code)], dim=-1)
    return colours.float(), (low, high)


def focus_ui(
    seen: Tensor,
    depth_map,
    result: Tensor,
    color_space: str,
    plane: Tensor,
    point: Tensor,
    by: str,
    strength: tuple[float, str],
) -> dict[str, list]:
    """Return the ui output for the picker, after saving its pictures; {} where that fails.

    Of a batch, the first picture is shown.

    Args:
        seen: [B,H,W,3], sRGB, what was rendered.
        depth_map: at the size of the picture.
        result: [B,H,W,3], in `color_space`.
        color_space: of the result.
        plane: [B], depth of the focus plane.
        point: [B,2] or [1,2], the focus point, (x, y) in shares.
        by: what decided the focus: "point", "automatic", "mask", "distance" or "track".
        strength: K of the first picture, px·m, and what decided it: "strength", "lens" or "track".
    """
    depth = smaller_depth(depth_map.depth[:1].float())
    picture = smaller_picture(seen[:1])
    colours, (low, high) = pack_disparity(depth[0])
    after = smaller_picture(convert_color(result[:1].float(), color_space, "sRGB"))
    exact = (colours[None] + 0.5) / 255  # the helper cuts fractions off
    files = _save({"picture": picture[0], "depth": exact[0], "result": after[0]})
    about = _facts(depth_map, (low, high), seen.shape[1:3]) | {
        "focus": _place(plane, point) | {"by": by},
        "strength": {"value": strength[0], "by": strength[1]},
        "subject": _place(plane, point) if by == "automatic" else _subject(picture, depth),
    }
    return {UI_NAME: [files | about]} if files else {}


def pull_ui(depth_map) -> dict[str, list]:
    """Return the ui output for the picker of Focus Pull: depth alone; {} where saving fails.

    Of a clip, the first depth map is shown.
    """
    depth = smaller_depth(depth_map.depth[:1].float())[0]
    colours, (low, high) = pack_disparity(depth)
    span = high - low
    shown = (depth.reciprocal() - low) / span if span > 0 else torch.zeros_like(depth)
    grey = shown.clamp(0, 1)[..., None].expand(-1, -1, 3)
    files = _save({"picture": grey, "depth": (colours + 0.5) / 255})
    about = _facts(depth_map, (low, high), depth_map.depth.shape[1:])
    return {UI_NAME: [files | about]} if files else {}


def _facts(depth_map, ends: tuple[float, float], size) -> dict[str, object]:
    """Return what the picker needs to read depth; `size` is height and width, px."""
    height, width = size
    return {
        "size": [width, height],
        "disparity": list(ends),
        "metric": depth_map.metric,
        "camera": _camera(depth_map, width, height),
    }


def _save(pictures: dict[str, Tensor]) -> dict[str, dict]:
    """Return where pictures [H,W,3] lie in the temp folder, by name; {} where that fails."""
    from comfy_api.latest import io, ui

    try:
        files = ui.ImageSaveHelper.save_images(
            [one.cpu() for one in pictures.values()],
            filename_prefix="bokehdepth_focus",
            folder_type=io.FolderType.temp,
            cls=None,
            compress_level=1,
        )
    except OSError as error:
        _LOG.warning("focus picker: its pictures could not be saved (%s).", error)
        return {}
    return dict(zip(pictures, files, strict=True))


def _place(plane: Tensor, point: Tensor) -> dict[str, float]:
    """Return a point, shares of the picture, and the disparity of its focus plane."""
    x, y = point[0].tolist()
    return {"x": x, "y": y, "disparity": float(plane[0].float().reciprocal())}


def _subject(picture: Tensor, depth: Tensor) -> dict[str, float]:
    """Return where automatic focus would look, from the small picture: within its pixels."""
    found = core.find_subject(picture.to(depth.device), depth)
    return _place(found.focus_depth, found.point)


def _camera(depth_map, width: int, height: int) -> list[float] | None:
    """Return fx, fy, cx, cy in shares of the picture's sides; None where unknown."""
    if depth_map.intrinsics is None or not depth_map.metric:
        return None
    camera = depth_map.intrinsics[0].tolist()
    return [
        *(camera[0][0] / width, camera[1][1] / height),
        *(camera[0][2] / width, camera[1][2] / height),
    ]
