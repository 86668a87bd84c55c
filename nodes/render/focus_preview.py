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
MOST_FRAMES = 24  # of a clip that are shown, however long it is
UI_NAME = "bokehdepth_focus"
_WHOLE_PICTURES = 8  # shown at LONGEST_SIDE; more take as many pixels as these
_STEPS = 65535  # of disparity in 16 bits
_NEAREST = 4.0  # times the disparity that 99.5 % of the pixels stay below: nearer is as near
_LOG = logging.getLogger(__name__)


def small_size(height: int, width: int, longest: int = LONGEST_SIDE) -> tuple[int, int]:
    """Return (height, width) px of the small picture; never more than the picture has.

    Example:
        >>> small_size(3000, 4000), small_size(40, 60)
        ((576, 768), (40, 60))
    """
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def smaller_depth(depth: Tensor, longest: int = LONGEST_SIDE) -> Tensor:
    """Return depth [B,H,W] at the small size, every pixel one of the original's.

    A mean over a depth edge would lie on no surface.
    """
    rows, columns = (
        ((torch.arange(few, device=depth.device) + 0.5) * many / few).long()
        for few, many in zip(small_size(*depth.shape[1:], longest), depth.shape[1:], strict=True)
    )
    return depth[:, rows][:, :, columns]


def smaller_picture(image: Tensor, longest: int = LONGEST_SIDE) -> Tensor:
    """Return pictures [B,H,W,3] at the small size, sRGB within 0…1."""
    size = small_size(*image.shape[1:3], longest)
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


def shown_frames(count: int) -> list[int]:
    """Return which pictures of a batch are shown: evenly spread, the first and the last among them.

    Example:
        >>> shown_frames(3), len(shown_frames(200)), shown_frames(200)[-1]
        ([0, 1, 2], 24, 199)
    """
    many = min(count, MOST_FRAMES)
    return [round(index * (count - 1) / max(1, many - 1)) for index in range(many)]


def focus_ui(
    seen: Tensor,
    depth_map,
    result: Tensor,
    color_space: str,
    plane: Tensor,
    point: Tensor,
    by: str,
    strength: tuple[list[float], str],
) -> dict[str, list]:
    """Return the ui output for the picker, after saving its pictures; {} where that fails.

    Of a clip, `shown_frames` are saved, smaller the more they are; what is the same in all of them
    is saved once.

    Args:
        seen: [B,H,W,3], sRGB, what was rendered.
        depth_map: [B or 1,H,W], at the size of the picture.
        result: [B,H,W,3], in `color_space`.
        color_space: of the result.
        plane: [B], depth of the focus plane.
        point: [B,2] or [1,2], the focus point, (x, y) in shares.
        by: what decided the focus: "point", "automatic", "mask", "distance" or "track".
        strength: K of each picture, px·m, and what decided it: "strength", "lens" or "track".
    """
    kept, frames = _Kept(len(seen)), []
    for frame in shown_frames(len(seen)):
        picture = kept.picture("picture", seen, frame)
        depth, facts = kept.depth(depth_map, frame)
        kept.result(result, color_space, frame)
        at = (plane[frame], point[min(frame, len(point) - 1)])
        frames.append(
            facts
            | {
                "frame": frame,
                "focus": _place(*at) | {"by": by},
                "strength": {"value": strength[0][frame], "by": strength[1]},
                "subject": _place(*at) if by == "automatic" else _subject(picture, depth),
            }
        )
    return kept.ui(frames, depth_map, seen.shape[1:3], len(seen))


def pull_ui(depth_map, count: int) -> dict[str, list]:
    """Return the ui output for the picker of Focus Pull: depth alone; {} where saving fails.

    Args:
        depth_map: [B,H,W], of a photo or of every frame.
        count: number of frames of the pull.
    """
    maps = len(depth_map.depth)
    kept, frames = _Kept(maps), []
    for frame in shown_frames(maps):
        depth, facts = kept.depth(depth_map, frame)
        kept.grey(depth, facts["disparity"], frame)
        frames.append(facts | {"frame": frame})
    return kept.ui(frames, depth_map, depth_map.depth.shape[1:], count)


class _Kept:
    """Small pictures of a clip on their way to the temp folder."""

    def __init__(self, count: int):
        shown = len(shown_frames(count))
        self._side = round(LONGEST_SIDE * min(1.0, (_WHOLE_PICTURES / shown) ** 0.5))
        self._pictures: dict[tuple[str, int], Tensor] = {}
        self._facts: dict[int, tuple[Tensor, dict]] = {}

    def picture(self, name: str, batch: Tensor, frame: int) -> Tensor:
        """Keep one of [B,H,W,3], sRGB; return it, [h,w,3]. Of one seen all the time, keep one."""
        frame = 0 if batch.stride(0) == 0 else min(frame, len(batch) - 1)
        if (name, frame) not in self._pictures:
            self._pictures[name, frame] = smaller_picture(batch[frame : frame + 1], self._side)[0]
        return self._pictures[name, frame]

    def result(self, batch: Tensor, color_space: str, frame: int) -> None:
        """Keep a result of [B,H,W,3], in a colour space."""
        one = convert_color(batch[frame : frame + 1].float(), color_space, "sRGB")
        self._pictures["result", frame] = smaller_picture(one, self._side)[0]

    def depth(self, depth_map, frame: int) -> tuple[Tensor, dict]:
        """Keep a depth map; return it, [1,h,w], and what is needed to read it."""
        frame = min(frame, len(depth_map.depth) - 1)
        if frame not in self._facts:
            depth = smaller_depth(depth_map.depth[frame : frame + 1].float(), self._side)
            colours, ends = pack_disparity(depth[0])
            self._pictures["depth", frame] = (colours + 0.5) / 255  # the helper cuts fractions off
            camera = _camera(depth_map, *reversed(depth_map.depth.shape[1:]), frame)
            self._facts[frame] = depth, {"disparity": list(ends), "camera": camera}
        return self._facts[frame]

    def grey(self, depth: Tensor, ends: list[float], frame: int) -> None:
        """Keep depth [1,h,w] as a picture, nearer is brighter."""
        low, high = ends
        span = high - low
        shown = (depth[0].reciprocal() - low) / span if span > 0 else torch.zeros_like(depth[0])
        self._pictures["picture", frame] = shown.clamp(0, 1)[..., None].expand(-1, -1, 3)

    def ui(self, frames: list[dict], depth_map, size, count: int) -> dict[str, list]:
        """Return the ui output for frames, the first of them as a run of one picture was."""
        saved = _save(list(self._pictures.values()))
        if not saved:
            return {}
        files = dict(zip(self._pictures, saved, strict=True))
        height, width = size
        named = [self._named(files, one["frame"]) | one for one in frames]
        about = {"size": [width, height], "metric": depth_map.metric, "count": count}
        first = {name: value for name, value in named[0].items() if name != "frame"}
        return {UI_NAME: [first | about | ({"frames": named} if len(named) > 1 else {})]}

    def _named(self, files: dict, frame: int) -> dict[str, dict]:
        """Return the files of a frame by what they show."""
        names = dict.fromkeys(name for name, _ in files)
        return {name: files.get((name, frame), files.get((name, 0))) for name in names}


def _save(pictures: list[Tensor]) -> list[dict]:
    """Return where pictures [H,W,3] lie in the temp folder; [] where that fails."""
    from comfy_api.latest import io, ui

    try:
        return ui.ImageSaveHelper.save_images(
            [one.cpu() for one in pictures],
            filename_prefix="bokehdepth_focus",
            folder_type=io.FolderType.temp,
            cls=None,
            compress_level=1,
        )
    except OSError as error:
        _LOG.warning("focus picker: its pictures could not be saved (%s).", error)
        return []


def _place(plane: Tensor, point: Tensor) -> dict[str, float]:
    """Return a point, shares of the picture, and the disparity of its focus plane."""
    x, y = point.tolist()
    return {"x": x, "y": y, "disparity": float(plane.float().reciprocal())}


def _subject(picture: Tensor, depth: Tensor) -> dict[str, float]:
    """Return where automatic focus would look, from the small picture: within its pixels."""
    found = core.find_subject(picture[None].to(depth.device), depth)
    return _place(found.focus_depth[0], found.point[0])


def _camera(depth_map, width: int, height: int, frame: int = 0) -> list[float] | None:
    """Return fx, fy, cx, cy in shares of the picture's sides; None where unknown."""
    if depth_map.intrinsics is None or not depth_map.metric:
        return None
    camera = depth_map.intrinsics[min(frame, len(depth_map.intrinsics) - 1)].tolist()
    return [
        *(camera[0][0] / width, camera[1][1] / height),
        *(camera[0][2] / width, camera[1][2] / height),
    ]
