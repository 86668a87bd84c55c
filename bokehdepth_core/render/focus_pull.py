"""A clip out of one photo, or out of a clip that is sharp: the focus moves from frame to frame."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..callbacks import OnProgress, ignore_progress
from ..checks import check_image, counted
from ..optics.focus.track import FocusTrack
from ..optics.lens import Lens
from .lens_look import render_lens_look
from .renderer import render_bokeh
from .scene.depth_edges import refine_depth as sharpened_depth
from .steady import FrameDepth
from .views import PixelMeaning

_EACH_FRAME = ("background", "background_depth", "alpha", "hold_out", "intrinsics")


def render_focus_pull(
    image: Tensor,
    depth: Tensor,
    strength: float,
    track: FocusTrack,
    focus_depth: float | Tensor | None = None,
    *,
    look: Lens | None = None,
    steady: float = 0.0,
    on_progress: OnProgress = ignore_progress,
    **lens: Any,
) -> Iterator[Tensor]:
    """Yield the frames of a clip, [1,H,W,C] each, as a lens takes them whose focus is pulled.

    Only one frame is in memory at a time. A frame whose focus does not move is that of
    `render_bokeh`, to the last bit.

    Args:
        image: [1,H,W,3], a photo, or [frames,H,W,3], a clip.
        depth: [1,H,W] or [frames,H,W], m, > 0.
        strength: bokeh strength K, px·m, where the track keys none.
        track: of the focus.
        focus_depth: number, [1] or [frames], m, where the track keys no focus.
        look: a lens whose aperture and colours shape the blur; its strength is not used here.
        steady: 0…1, how much depth and its edges are held where a clip's photos do not change.
        on_progress: called for every slice, in hundredths of a frame.
        lens: the other arguments of `render_bokeh`.

    Raises:
        ValueError: a number of pictures other than one or that of the frames, a track without
            focus and no `focus_depth`, and what `render_bokeh` raises.

    Reference:
        Thin lens, arXiv 2512.12425: every frame is `render_bokeh` at the track's focus depth and
        strength.

    Example:
        >>> from ..optics.focus.track import focus_track
        >>> photo, depth = torch.rand(1, 16, 24, 3), torch.full((1, 16, 24), 2.0)
        >>> track = focus_track(depth, "0: 2 m; 3: 1 m")
        >>> len(list(render_focus_pull(photo, depth, 8.0, track)))
        4
    """
    check_image(image)
    render = render_bokeh if look is None else partial(render_lens_look, look)
    each = {"image": image, "depth": depth} | {
        name: lens.pop(name) for name in _EACH_FRAME if lens.get(name) is not None
    }
    planes = _planes(track, focus_depth)
    points = track.points if track.points is not None else lens.pop("focus_point", (0.5, 0.5))
    lens.pop("focus_point", None)
    for name, value in each.items():
        if len(value) not in (1, len(track)):
            raise ValueError(
                f"{name}: {len(value)} for a focus track of {counted(len(track), 'frame')}. Give "
                "one for all, or one for each frame."
            )
    if len(image) == len(depth) == 1:
        each["depth"] = _refined_once(image, depth, lens, each.get("alpha"))
    points = torch.as_tensor(points, dtype=torch.float32).reshape(-1, 2)
    seed = lens.pop("grain_seed", 0)
    refine, wrap = lens.get("refine_depth", True), lens.get("wrap", False)
    frames = FrameDepth(steady, refine=refine, wraps=wrap)
    for index in range(len(track)):

        def in_clip(done: int, total: int, first: int = index) -> None:
            on_progress(first * total + done, len(track) * total)

        own = {name: value[index % len(value) :][:1] for name, value in each.items()}
        yield render(
            **frames.prepared(own | lens),
            strength=strength if track.strengths is None else track.strengths[index],
            focus_depth=planes[index % len(planes) :][:1],
            focus_point=points[index % len(points) :][:1],
            grain_seed=seed + index,
            on_progress=in_clip,
        )


def _planes(track: FocusTrack, focus_depth: float | Tensor | None) -> Tensor:
    if track.focus_depth is not None:
        return track.focus_depth
    if focus_depth is None:
        raise ValueError(
            "focus_depth: the track keys the strength alone, and no focus is given. Give one, or "
            "key the focus as well."
        )
    return torch.as_tensor(focus_depth, dtype=torch.float32).reshape(-1)


def _refined_once(
    image: Tensor, depth: Tensor, lens: dict[str, Any], alpha: Tensor | None
) -> Tensor:
    """Return depth [1,H,W] with its edges sharpened, as every frame of one photo would have it."""
    if not lens.get("refine_depth", True):
        return depth
    lens["refine_depth"] = False
    meaning = PixelMeaning(
        lens.get("color_space", "sRGB"), lens.get("premultiplied", False) and alpha is not None
    )
    guide = meaning.as_seen(image[0], None if alpha is None else alpha[0])
    cancelled = lens.get("check_cancelled", lambda: None)
    own = depth.to(image.device, torch.float32)
    return sharpened_depth(guide[None], own, cancelled, wraps=lens.get("wrap", False))
