"""The focus of a clip, frame by frame: a focus pull made of keyframes and of a subject's masks.

Between keyframes the focus goes on in disparity, 1/Z, since the blur of a lens is linear in it: a
pull that is even in disparity looks even.
"""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...checks import check_depth, check_number, counted
from ..thin_lens import focus_depth_at
from .following import follow_subject
from .keyframes import EASINGS, LAST_FRAME, SUBJECT, Keyframe, parse_keyframes

SMOOTHING = 3.0  # frames: an eighth of a second of film


@dataclass(frozen=True, eq=False)
class FocusTrack:
    """What is in focus in each frame of a clip, and how strong the blur is.

    Attributes:
        frames: number of frames.
        focus_depth: [frames], m, float32; None leaves the focus to the renderer.
        strengths: one for each frame, in the renderer's unit; None leaves it to the renderer.
        points: [frames,2], (x, y) in shares, where the focus lies in the picture; None where only
            distances are known.
        metric: whether the focus is in metres; False for that of relative depth.
        keys: frames of the keyframes.
        lost: frames whose mask shows no subject; those around them decide.
        overruled: whether focus that is keyed gives way to a subject's masks.

    Reference:
        `focus_track`, which says how the frames between keyframes come about.

    Example:
        >>> track = focus_track(torch.full((1, 4, 6), 2.0), "0: 1 m k 8; 4: 2 m k 24")
        >>> len(track), track.strengths
        (5, (8.0, 12.0, 16.0, 20.0, 24.0))
    """

    frames: int
    focus_depth: Tensor | None
    strengths: tuple[float, ...] | None = None
    points: Tensor | None = None
    metric: bool = True
    keys: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    overruled: bool = False

    def __len__(self) -> int:
        return self.frames

    @property
    def notes(self) -> list[str]:
        """What a user should know of the track, a line each."""
        notes = []
        if self.lost:
            named = ", ".join(str(frame) for frame in self.lost[:20])
            more = f" and {len(self.lost) - 20} more" if len(self.lost) > 20 else ""
            notes.append(
                f"subject: empty in frame {named}{more} (counted from 0); the frames around decide."
            )
        if self.overruled:
            notes.append(
                "keyframes: the subject is followed, and the focus that they key is not used. "
                "Write subject as the focus of a frame to use both."
            )
        return notes


def focus_track(
    depth: Tensor,
    keyframes: str,
    frames: int = 0,
    *,
    metric: bool = True,
    subject: Tensor | None = None,
    smoothing: float = SMOOTHING,
) -> FocusTrack:
    """Return the focus of every frame of a clip.

    With a subject its masks are followed, unless a keyframe says `subject`: then the keyframes say
    when it is followed, and what else is in focus before and after.

    Args:
        depth: [1,H,W] for a clip of one photo, or [frames,H,W]; m, > 0, infinity is allowed.
        keyframes: as `parse_keyframes` reads them.
        frames: of the clip; 0 for as many as there are depth maps or masks, or else up to the last
            keyframe. Keyframes beyond the last frame only lead towards it.
        metric: whether depth is in metres.
        subject: [1,H,W] or [frames,H,W], 0…1, where given.
        smoothing: frames, standard deviation over which the subject's disparity is smoothed.

    Raises:
        TypeError: keyframes that are not text, depth that is not floating point.
        ValueError: unreadable keyframes, none and no subject, numbers of frames that do not match,
            distances for depth without metres, or masks without a subject.

    Reference:
        Thin lens, arXiv 2512.12425: the radius of blur is linear in disparity, so between keyframes
        focus moves evenly in disparity. How fast: `EASINGS`. Masks that are followed are smoothed
        after Cleveland 1979, see `smoothed`.

    Example:
        >>> track = focus_track(torch.full((1, 4, 6), 2.0), "0: 1 m; 2: inf; 4: 0.5,0.5 hold")
        >>> track.focus_depth.tolist()
        [1.0, 2.0, inf, inf, 2.0]
    """
    check_depth(depth)
    keys = parse_keyframes(keyframes)
    count = _count(frames, keys, len(depth), None if subject is None else len(subject))
    focused = [key for key in keys if key.focus is not None]
    follows = any(key.focus == SUBJECT for key in focused)
    if follows and subject is None:
        raise ValueError(
            "keyframes: they follow the subject, and none is connected. Connect a mask to subject, "
            "or name a distance or a point."
        )
    overruled = subject is not None and not follows and bool(focused)
    if subject is not None and not follows:
        focused = [Keyframe(0, SUBJECT)]
    keyed = [key for key in keys if key.strength is not None]
    if not focused and not keyed:
        raise ValueError(
            'keyframes: none. Write such as "0: 1.2 m; 48: 4 m ease", or connect a subject.'
        )
    followed: Tensor | None = None
    lost: list[int] = []
    if subject is not None:
        disparity, middles, lost = follow_subject(depth, subject, smoothing)
        followed = torch.cat([disparity[:, None], middles], dim=1).expand(count, -1)
    fixed = {key: _fixed_focus(key, depth, metric) for key in focused if key.focus != SUBJECT}
    focus = _interpolated(focused, count, fixed, followed) if focused else None
    amounts = {key: torch.tensor([key.strength], dtype=torch.float64) for key in keyed}
    strengths = _interpolated(keyed, count, amounts) if keyed else None
    placed = focus is not None and not any(isinstance(key.focus, float) for key in focused)
    return FocusTrack(
        count,
        None if focus is None else torch.reciprocal(focus[:, 0]).float(),
        None if strengths is None else tuple(strengths[:, 0].tolist()),
        focus[:, 1:].float() if focus is not None and placed else None,
        metric,
        tuple(key.frame for key in keys if key.frame < count),
        tuple(lost),
        overruled,
    )


def _count(frames: int, keys: Sequence[Keyframe], depths: int, masks: int | None) -> int:
    """Return the number of frames of the clip; all parts must agree on it."""
    wanted = int(check_number(frames, "frames", 0, LAST_FRAME + 1, hint="0 is automatic."))
    given = {"depth": depths} | ({} if masks is None else {"subject": masks})
    several = {name: number for name, number in given.items() if number > 1}
    last = keys[-1].frame + 1 if keys else 1
    count = wanted or next(iter(several.values()), last)
    for name, number in several.items():
        if number != count:
            raise ValueError(
                f"{name}: {number} of them for a clip of {counted(count, 'frame')}. Give one for "
                "all, or one for each frame."
            )
    return count


def _interpolated(
    keys: Sequence[Keyframe],
    count: int,
    fixed: Mapping[Keyframe, Tensor],
    followed: Tensor | None = None,
) -> Tensor:
    """Return values [count,C], float64: of keyframes, and between them as their easing says.

    Args:
        keys: by rising frame.
        count: number of frames.
        fixed: values [C] of keyframes.
        followed: values [count,C] of those that change by themselves.
    """

    def value(key: Keyframe, frame: int) -> Tensor:
        return fixed[key] if followed is None or key in fixed else followed[frame]

    frames, rows = [key.frame for key in keys], []
    for frame in range(count):
        place = bisect.bisect_right(frames, frame)
        before, after = keys[max(0, place - 1)], keys[min(place, len(keys) - 1)]
        first, last = value(before, frame), value(after, frame)
        span = after.frame - before.frame
        share = EASINGS[after.easing]((frame - before.frame) / span) if span > 0 else 0.0
        # Exact where both ends are the same: a still focus stays still to the last bit.
        rows.append(first + share * (last - first))
    return torch.stack(rows)


def _fixed_focus(key: Keyframe, depth: Tensor, metric: bool) -> Tensor:
    """Return disparity, 1/m, and point (x, y) of a keyframe's distance or point, [3] float64."""
    if isinstance(key.focus, tuple):
        at = min(key.frame, len(depth) - 1)
        plane = focus_depth_at(depth[at : at + 1], *key.focus).double().cpu()
        return torch.cat([torch.reciprocal(plane), torch.tensor(key.focus, dtype=torch.float64)])
    if not metric:
        raise ValueError(
            f"keyframes: frame {key.frame} names a distance, and this depth has no metres. Write "
            'a point such as "0.5,0.4" (shares of width and height), or give metric depth.'
        )
    distance = float(key.focus or math.inf)
    return torch.tensor([1 / distance, 0.5, 0.5], dtype=torch.float64)
