"""Brings every frame of a stack onto its reference, and says by how much.

Real frames are some tenths of a pixel apart, breathe with the focus and differ in exposure;
generated frames wobble. A sweep takes such differences for blur. Each correction is measured on
what the blurred reference explains, and kept only where the pictures match better with it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from ...callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ...color import linear_to_srgb, srgb_to_linear
from ...datatypes import BokehStack
from ...devices import exact_float32
from ...optics.aperture import DISC
from ...optics.psf import LensBlur
from .flow import residual_field
from .matching import Match
from .photometry import NOTICED, Photometry, fit_photometry, squared_radius
from .registration import Level, at_level, match_at, needed_pixels, pyramid, register
from .warp import Similarity, warped

SMALLEST_SIDE = 32  # px, of a picture that can be aligned
SMALLEST_MOVE = 0.1  # px; resampling costs more than a smaller shift
LARGEST_MOVE = 0.06  # of the longer side; frames farther apart are another view
GAIN_OF_MOVE = 0.997  # share of the matching cost that must be left, at most …
# … after a residual field, whose freedoms leave 0.83 of it and more where nothing wobbles, and 0.66
# and less where 0.5 px do (pub1-4) …
GAIN_OF_FIELD = 0.75
GAIN_OF_LIGHT = 0.97  # … and of the difference in brightness
LIGHT_BLOCK = 6  # px of the finest level, side of the blocks whose light is compared


@dataclass(frozen=True)
class FrameAlignment:
    """What was done to one frame.

    Attributes:
        similarity: where the reference's points were found in the frame.
        moved: largest displacement taken back, px; 0 where the frame was left in place.
        wobble: root mean square of the residual field taken back, px.
        light: the correction of exposure, white balance, tone and vignetting.
        problem: why the frame could not be aligned, or "".
    """

    similarity: Similarity = field(default_factory=Similarity)
    moved: float = 0.0
    wobble: float = 0.0
    light: Photometry = field(default_factory=Photometry)
    problem: str = ""

    @property
    def summary(self) -> str:
        """A few words for a person."""
        if self.problem:
            return f"not aligned: {self.problem}"
        parts = []
        if self.moved:
            x, y = self.similarity.shift
            parts.append(
                f"moved by up to {self.moved:.2f} px (shift {x:+.2f}, {y:+.2f} px, scale "
                f"{100 * self.similarity.scale:+.2f} %, rotation "
                f"{math.degrees(self.similarity.rotation):+.2f}°)"
            )
        if self.wobble:
            parts.append(f"wobble of {self.wobble:.2f} px taken out")
        if self.light != Photometry():
            parts.append(
                f"exposure x {self.light.exposure:.3f}, corners x {self.light.corner:.3f}"
                + (", tone curve" if max(map(abs, self.light.tone)) > NOTICED else "")
            )
        return "; ".join(parts) or "in place"


@dataclass(frozen=True)
class AlignmentReport:
    """What was done to the frames of a stack, in their order.

    Reference:
        `align_stack`, which names the sources of every correction.

    Example:
        >>> report = AlignmentReport((FrameAlignment(), FrameAlignment(problem="another view")))
        >>> report.problems
        ('frame 2: not aligned: another view.',)
    """

    frames: tuple[FrameAlignment, ...]

    @property
    def summary(self) -> str:
        """One line for each frame."""
        return "\n".join(f"frame {i}: {one.summary}." for i, one in enumerate(self.frames, 1))

    @property
    def problems(self) -> tuple[str, ...]:
        """A sentence for each frame that could not be aligned and was left as it is."""
        return tuple(
            f"frame {i}: {one.summary}." for i, one in enumerate(self.frames, 1) if one.problem
        )


def align_stack(
    stack: BokehStack,
    *,
    strict: bool = True,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> tuple[BokehStack, AlignmentReport]:
    """Return a stack whose frames lie on the reference, and what was done to them.

    Shift, scale and rotation, then exposure, white balance, tone curve and vignetting, then a
    smooth residual field. What is in place already is left as it is, to the bit. The result's
    settings hold the report, so that a sweep does not align it once more.

    Args:
        stack: reference and frames.
        strict: refuse a stack with a frame that cannot be aligned; else that frame is left as it
            is and the report says why.
        on_progress: called after each frame.
        check_cancelled: raises to stop.

    Raises:
        ValueError: a frame cannot be aligned, and `strict`.

    Reference:
        Gauss-Newton on the differences of pixels: Lucas and Kanade, "An iterative image
        registration technique with an application to stereo vision", IJCAI 1981. A smooth residual
        field: Horn and Schunck, "Determining optical flow", Artificial Intelligence 1981. The model
        of light is `Photometry`.

    Example:
        >>> picture = torch.rand(40, 40, 3)
        >>> aligned, report = align_stack(BokehStack(picture, picture[None], (10.0,)))
        >>> report.summary
        'frame 1: in place.'
    """
    with exact_float32():
        frames, found = _align(stack, on_progress, check_cancelled)
    report = AlignmentReport(tuple(found))
    broken = [index for index, one in enumerate(found, 1) if one.problem]
    if broken and strict:
        raise ValueError(
            f"frames: cannot align frame {broken[0]} of {len(found)}: "
            f"{found[broken[0] - 1].problem}. Leave it out, or switch the alignment off."
        )
    settings = {**stack.settings, "alignment": report.summary}
    if all(frame is None for frame in frames):
        return replace(stack, settings=settings), report
    joined = torch.stack(
        [old if new is None else new for old, new in zip(stack.frames, frames, strict=True)]
    )
    return replace(stack, frames=joined, settings=settings), report


def _align(
    stack: BokehStack, on_progress: OnProgress, check_cancelled: CheckCancelled
) -> tuple[list[Tensor | None], list[FrameAlignment]]:
    """Return the changed frames, None where a frame stays, and what was found."""
    count = len(stack.frames)
    if min(stack.reference.shape[:2]) < SMALLEST_SIDE:
        problem = f"pictures under {SMALLEST_SIDE} px show too little"
        return [None] * count, [FrameAlignment(problem=problem)] * count
    levels = pyramid(stack.reference, stack.frames)
    blurred = _blurred_light(stack.reference, levels[-1])
    frames: list[Tensor | None] = []
    found = []
    for index in range(count):
        on_progress(index, count)
        one, place, match = _place(levels, index, stack, check_cancelled)
        if match is not None:
            one = replace(one, light=_light(levels[-1], stack.frames[index], place, match, blurred))
        found.append(one)
        frames.append(_corrected(stack.frames[index], one, place))
    on_progress(count, count)
    return frames, found


def _place(
    levels: Sequence[Level], index: int, stack: BokehStack, check_cancelled: CheckCancelled
) -> tuple[FrameAlignment, Tensor, Match | None]:
    """Return where a frame lies, also as a field of the finest level, [2,h,w], and its match."""
    finest = levels[-1]
    size = (finest.frames.shape[1], finest.frames.shape[2])
    whole = (stack.reference.shape[0], stack.reference.shape[1])
    still = torch.zeros(2, *size, device=finest.frames.device)
    similarity, trusted = register(levels, index, check_cancelled)
    if trusted < needed_pixels(size):
        problem = "too little of it looks like the blurred reference"
        return FrameAlignment(problem=problem), still, None
    moved = similarity.largest_move(whole)
    if moved > LARGEST_MOVE * max(whole):
        problem = f"it lies {moved:.0f} px beside the reference, which is another view"
        return FrameAlignment(problem=problem), still, None
    place = at_level(similarity, finest).field(size, finest.frames.device)
    if moved < SMALLEST_MOVE or not _better(finest, index, still, place):
        similarity, moved, place = Similarity(), 0.0, still
    refined, before, after = residual_field(levels, index, place)
    wobble = finest.shrink * float((refined - place).square().sum(0).mean().sqrt())
    falls = after.mean_cost(refined) < GAIN_OF_FIELD * before.mean_cost(place)
    if wobble > SMALLEST_MOVE and falls:
        return FrameAlignment(similarity, moved, wobble), refined, after
    return FrameAlignment(similarity, moved), place, before


def _better(level: Level, index: int, old: Tensor, new: Tensor) -> bool:
    before, after = (match_at(level, index, place)[0] for place in (old, new))
    margin = torch.maximum(old.abs(), new.abs())
    return after.mean_cost(margin) < GAIN_OF_MOVE * before.mean_cost(margin)


def _light(level: Level, image: Tensor, place: Tensor, match: Match, blurred: Tensor) -> Photometry:
    """Return how a frame [H,W,3] differs in light from the blurred reference, [R,3,h,w]."""
    target = blurred[0]
    for radius, candidate in zip(level.ladder.radii, blurred, strict=True):
        target = torch.where(match.radius == radius, candidate, target)
    moved = warped(linear_to_srgb(_shrunk_light(image, level.shrink)), place, taps=4).clamp(0, 1)
    radius_map = squared_radius((moved.shape[1], moved.shape[2]), moved.device)
    # Means of blocks are free of noise and of what little displacement is left.
    small = [
        functional.avg_pool2d(one[None], LIGHT_BLOCK)[0].flatten(1)
        for one in (moved, linear_to_srgb(target), radius_map[None], match.trust[None])
    ]
    found, before, after = fit_photometry(small[0].T, small[1].T, small[2][0], small[3][0])
    sample = image[::LIGHT_BLOCK, ::LIGHT_BLOCK].float()
    noticed = float((found.apply(sample) - sample).abs().mean())
    if after < GAIN_OF_LIGHT * before and noticed > NOTICED:
        return found
    return Photometry()


def _shrunk_light(image: Tensor, shrink: int) -> Tensor:
    """Return a picture [H,W,3], sRGB, as linear light [3,h,w] at a level."""
    light = srgb_to_linear(image.float()).clamp(min=0).permute(2, 0, 1)
    return functional.avg_pool2d(light[None], shrink)[0]


def _blurred_light(reference: Tensor, level: Level) -> Tensor:
    """Return the reference's linear light at every blur of a level, [R,3,h,w]."""
    light = _shrunk_light(reference, level.shrink)
    radii = level.ladder.radii
    blur = LensBlur((light.shape[1], light.shape[2]), int(radii[-1]) + 2, DISC, light.device)
    spectrum = blur.transform(light)
    return torch.stack([blur.blur(spectrum, radius).clamp(min=0) for radius in radii])


def _corrected(frame: Tensor, found: FrameAlignment, place: Tensor) -> Tensor | None:
    """Return a frame with its corrections, None where there are none."""
    if found.problem or (not found.moved and not found.wobble and found.light == Photometry()):
        return None
    image = frame.float()
    if found.moved or found.wobble:
        whole = _whole_field(found, place, (frame.shape[0], frame.shape[1]))
        image = warped(image.permute(2, 0, 1), whole).permute(1, 2, 0)
    if found.light != Photometry():
        image = found.light.apply(image.clamp(0, 1))
    return image.clamp(0, 1).to(frame.dtype)


def _whole_field(found: FrameAlignment, place: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the displacement at every pixel of the frame, [2,H,W]."""
    whole = found.similarity.field(size, place.device)
    if not found.wobble:
        return whole
    level_size = (place.shape[1], place.shape[2])
    shrink = size[0] / level_size[0]
    x, y = (value / shrink for value in found.similarity.shift)
    level = replace(found.similarity, shift=(x, y)).field(level_size, place.device)
    rest = functional.interpolate(
        (place - level)[None], size=size, mode="bilinear", align_corners=False
    )[0]
    return whole + shrink * rest
