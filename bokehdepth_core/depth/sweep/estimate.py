"""Depth from a bokeh stack without weights: the blur sweep.

For each pixel the radius per bokeh strength is sought that turns the sharp reference into every
frame, frame_k = reference blurred by r = K_k · |d − d_f|. A candidate radius l has at pixel p the
labelling energy

    E_p(l) = s_p log(C_p(l) + COST_FLOOR) − VOTE_WEIGHT · log((V_p(l) + VOTE_FLOOR) / ΣV_p)
    C_p(l) = ½ Σ_k (K_min / K_k)² (plain_k,p(l) + zero_mean_k,p(l))

with C the cost volume (`cost.py`), s the share of it that speaks of the pixel's own surface
(`ownership.py`), and V the cross-bilateral votes of confident neighbours of like
colour (`propagation.py`), each shared by half with the candidates beside it; ΣV_p is their sum and
five floors. The winner takes all (`energy.py`). There are two votings: in the second, pixels that
were outvoted vote for what the first gave them. The rest is filled along smooth colour.
How likely each offset is right, `confidence.py` tells.
"""

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ...checks import check_number
from ...color import srgb_to_linear
from ...datatypes import BokehStack, DepthMap
from ...devices import exact_float32
from ...optics.aperture import Aperture
from ..alignment import align_stack
from ..stacks import check_one_focus
from .labelling.adaptive_support import adaptive_support
from .labelling.confidence import clipped_light, confidence_of, signs_of
from .labelling.energy import Labelling, Voters, first_voters, label_rows, next_voters
from .labelling.measurement import Measurement, Views
from .labelling.median import weighted_median
from .labelling.ownership import own_share
from .labelling.prior import focus_sides
from .labelling.propagation import SAMPLES, likeness, propagate_with_spread
from .labelling.resolution import checked_confidence, resolved_disparity
from .labelling.sky import farthest_sure, shows_blur, sky_pixels, tell_sky
from .matching.candidates import candidate_offsets
from .matching.cost import CostVolume, to_full
from .matching.focus_stack import candidate_disparities, focus_stack_depth, focus_weights
from .matching.shape import found_aperture
from .matching.tone import without_tone_curve

FOCUS_SIDES = ("nearest", "farthest")
COST_FLOOR = 1e-6  # rounding of 8-bit pictures, squared, in square-root-encoded light
NOISE_LEFT = 0.02  # share of the noise that counts as no difference; tuned on pub2 and pub3
FIRST_SAMPLES = 24  # neighbours that vote in the first of the votings, whose answer is rough
VOTINGS = 2
STRIP_VALUES = 2_000_000  # numbers held at once in the second step
ALIGNMENT_TIME = 0.25  # share of the work, for the progress bar
PROGRESS_STEPS = 100
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Labelled:
    """What a stack tells of each pixel.

    Attributes:
        offset: [H,W], 1/m; disparity of a focus stack.
        support: [H,W], 0…1: what has little was filled.
        signs: [4,H,W], what the confidence is a function of (`confidence.py`).
        sky: [H,W] bool, taken for sky by its looks (`sky.py`); None where there is none.
    """

    offset: Tensor
    support: Tensor
    signs: Tensor
    sky: Tensor | None


def sweep_depth(
    stack: BokehStack,
    focus: str = "nearest",
    *,
    focus_depth: float | None = None,
    aperture: Aperture | None = None,
    align: bool = True,
    prior: DepthMap | None = None,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> DepthMap:
    """Return depth from the blur of a stack's frames, [1,H,W], with confidence.

    Blur alone does not tell in front of the focus plane from behind it, so the plane must be one
    end of the scene. A focus stack, with `focus_depths`, tells: its frames disagree on the side.

    Args:
        stack: sharp reference and its frames.
        focus: which end of the scene is sharp in the frames, "nearest" or "farthest"; of no effect
            for a focus stack.
        focus_depth: depth of that plane, m; infinity is allowed. None where unknown: the result is
            then normalised disparity, not metres. None for a focus stack, which has its own.
        aperture: shape of the lens's aperture that made the frames; None takes the polygon that the
            stack itself clearly shows, else a disc (`shape.py`).
        align: bring the frames onto the reference first (`align_stack`); frames in place stay as
            they are.
        prior: [1,H,W], any depth of the same picture, relative too; tells front from behind in
            the place of `focus` (`prior.py`). Of no effect for a focus stack.
        on_progress: called as work proceeds.
        check_cancelled: raises to stop.

    Returns:
        Metric depth from d = d_f ∓ |d − d_f|, infinite where that surely falls to zero
        (`resolution.py`); or normalised disparity where `focus_depth` is None.

    Raises:
        ValueError: an unknown `focus`, a focus depth that is not positive, or one given for a
            focus stack.

    Reference:
        arXiv 2512.12425, "depth from bokeh sweep".

    Example:
        >>> photo = torch.rand(24, 32, 3)
        >>> found = sweep_depth(BokehStack(photo, photo[None], (10.0,)), focus_depth=2.0)
        >>> found.depth.shape, found.metric
        (torch.Size([1, 24, 32]), True)
    """
    side = _check_focus(focus)
    plane = _focus_disparity(focus_depth)
    if stack.focus_depths is not None:
        if plane is not None:
            raise ValueError(
                "focus_depth: a focus stack holds the focus distance of every frame. Leave it out."
            )
        sky = 0.0 if stack.metric else None
        found = _aligned_offset(stack, False, sky, aperture, align, on_progress, check_cancelled)
        return focus_stack_depth(*found, metric=stack.metric)
    if plane == 0 and side < 0 and prior is None:
        raise ValueError(
            "focus_depth: nothing lies behind infinity. "
            'Use focus="farthest", or give the distance of the nearest plane.'
        )
    offset, confidence = disparity_offset(
        stack,
        behind=side < 0,
        focus_depth=focus_depth,
        aperture=aperture,
        align=align,
        on_progress=on_progress,
        check_cancelled=check_cancelled,
    )
    strongest = max(stack.strengths)
    behind = plane if side < 0 and prior is None else None
    confidence = checked_confidence(offset, confidence, strongest, behind)
    signed = side * offset
    if prior is not None:
        signed = offset * focus_sides(prior, offset, confidence)
    if plane is not None:
        disparity, confidence = resolved_disparity(plane + signed, confidence, strongest)
        return DepthMap(torch.reciprocal(disparity)[None], confidence[None])
    lowest, highest = signed.amin().clamp(max=0), signed.amax().clamp(min=0)
    extent = (highest - lowest).clamp(min=torch.finfo(offset.dtype).tiny)
    normalized = DepthMap.from_normalized_disparity(
        (((signed - lowest) / extent).clamp(0, 1))[None]
    )
    return DepthMap(normalized.depth, confidence[None], metric=False)


def disparity_offset(
    stack: BokehStack,
    *,
    behind: bool = True,
    focus_depth: float | None = None,
    aperture: Aperture | None = None,
    align: bool = True,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> tuple[Tensor, Tensor]:
    """Return |d − d_f| at every pixel, [H,W], 1/m, and its confidence, [H,W], 0…1.

    Where confidence is low, the offset is that of confident pixels nearby and of like colour.
    Smooth sky, whose distance no blur tells, is taken for the farthest there is (`sky.py`).

    Args:
        stack: sharp reference and its frames.
        behind: the scene lies behind the focus plane; matters only for smooth sky, and where the
            PSF of `aperture` differs from itself turned by 180°.
        focus_depth: depth of the focus plane, m; smooth sky gets the offset of infinity from it.
            None where unknown: it gets the largest offset that is sure.
        aperture: shape of the lens's aperture that made the frames; None takes the polygon that the
            stack itself clearly shows, else a disc (`shape.py`).
        align: bring the frames onto the reference first (`align_stack`).
        on_progress: called as work proceeds.
        check_cancelled: raises to stop.

    Reference:
        arXiv 2512.12425, "depth from bokeh sweep"; the labelling energy is this module's.

    Example:
        >>> flat = torch.full((33, 40, 3), 0.5)
        >>> offset, confidence = disparity_offset(BokehStack(flat, flat[None], (10.0,)))
        >>> offset.shape, float(confidence.max())
        (torch.Size([33, 40]), 0.0)
    """
    check_one_focus(stack, "the offset from one focus plane")
    sky = _focus_disparity(focus_depth) if behind else 0.0
    return _aligned_offset(stack, behind, sky, aperture, align, on_progress, check_cancelled)


def _aligned_offset(
    stack: BokehStack,
    behind: bool,
    sky: float | None,
    aperture: Aperture | None,
    align: bool,
    on_progress: OnProgress,
    check_cancelled: CheckCancelled,
) -> tuple[Tensor, Tensor]:
    """Return offset, or disparity of a focus stack, and confidence, after alignment if wanted."""
    align = align and "alignment" not in stack.settings
    clipped = clipped_light(stack)
    start = ALIGNMENT_TIME if align else 0.0
    on_progress(0, PROGRESS_STEPS)
    with exact_float32():
        if align:
            stack, report = align_stack(
                stack,
                strict=False,
                on_progress=_part_of_progress(on_progress, 0, start),
                check_cancelled=check_cancelled,
            )
            level = logging.WARNING if report.problems else logging.INFO
            _LOG.log(level, "stack: %s", report.summary)
        part = _part_of_progress(on_progress, start, 1)
        found = labelled(stack, clipped, behind, sky, aperture, part, check_cancelled)
        confidence = confidence_of(found.signs, found.support, found.sky)
        guide = stack.reference.to(torch.float32).permute(2, 0, 1)
        return weighted_median(found.offset, confidence, guide, check_cancelled), confidence


def labelled(
    stack: BokehStack,
    clipped: Tensor,
    behind: bool,
    sky: float | None,
    aperture: Aperture | None,
    on_progress: OnProgress,
    check_cancelled: CheckCancelled,
) -> Labelled:
    """Return what a stack with frames in place tells of each pixel.

    Args:
        stack: sharp reference and its frames.
        clipped: [H,W], 0…1, from `clipped_light`.
        behind: the scene lies behind the focus plane.
        sky: what smooth sky gets, 1/m; None for the farthest that is sure.
        aperture: None takes what the stack shows.
        on_progress: called as work proceeds.
        check_cancelled: raises to stop.
    """
    guide = stack.reference.to(torch.float32).permute(2, 0, 1)
    stack = without_tone_curve(stack, check_cancelled)[0]
    if aperture is None:
        aperture = found_aperture(stack, behind=behind, check_cancelled=check_cancelled)
    candidates = candidate_offsets if stack.focus_depths is None else candidate_disparities
    offsets = candidates(stack, check_cancelled)
    strips = _strips(stack, len(offsets))
    total = len(offsets) + VOTINGS * len(strips)
    planes = stack.focus_disparities or (0.0,)
    largest = max(stack.strengths) * max(offsets[-1] - min(planes), max(planes) - offsets[0])
    volume = CostVolume(stack, largest, aperture, -1.0 if behind else 1.0)
    measured = _measure(
        volume, guide, offsets, lambda done, _: on_progress(done, total), check_cancelled
    )
    root = srgb_to_linear(guide).clamp(min=0).sqrt()
    share = own_share(root, volume.reference_noise, measured.cost_range)
    strongest = max(stack.strengths)
    alike = likeness(guide, volume.change)

    def vote(voters: Voters, samples: int, done: int) -> Labelling:
        found = []
        for index, rows in enumerate(strips):
            check_cancelled()
            on_progress(done + index, total)
            found.append(label_rows(measured, share, voters, alike, rows, samples))
        return Labelling(
            torch.cat([part.offset for part in found]), torch.cat([part.support for part in found])
        )

    rough = vote(first_voters(measured, share), FIRST_SAMPLES, len(offsets))
    voters = next_voters(measured, share, rough, strongest)
    last = vote(voters, SAMPLES, len(offsets) + len(strips))
    own = measured.confidence * share
    far = sky_pixels(guide, own, volume.reference_noise)
    if far is not None:
        far &= shows_blur(last.offset, own, strongest)
        tell_sky(far)
        if sky is None:
            sky = farthest_sure(last.offset, own, focus_stack=stack.focus_depths is not None)
        offset = torch.where(far, sky, last.offset)
        last = Labelling(offset, torch.where(far, 1.0, last.support))
    filled, spread = propagate_with_spread(last.offset, last.support, guide, check_cancelled)
    on_progress(total, total)
    signs = signs_of(own, spread, filled, clipped, guide, strongest)
    return Labelled(filled, last.support, signs, far)


def _part_of_progress(on_progress: OnProgress, start: float, end: float) -> OnProgress:
    """Return progress of the share of the work from `start` to `end`, 0…1."""

    def report(done: int, total: int) -> None:
        share = start + (end - start) * done / max(total, 1)
        on_progress(round(PROGRESS_STEPS * share), PROGRESS_STEPS)

    return report


def _check_focus(focus: str) -> int:
    """Return +1 where the scene lies in front of the focus plane, −1 where it lies behind."""
    if focus not in FOCUS_SIDES:
        raise ValueError(
            f'focus: expected "nearest" or "farthest", found {focus!r}. '
            "Say which end of the scene is sharp in the frames."
        )
    return -1 if focus == "nearest" else 1


def _focus_disparity(focus_depth: float | None) -> float | None:
    if focus_depth is None:
        return None
    if focus_depth == float("inf"):
        return 0.0
    hint = "Give the distance of the plane that is sharp in the frames."
    return 1.0 / check_number(focus_depth, "focus_depth", above=0, hint=hint)


def _strips(stack: BokehStack, candidates: int) -> list[tuple[int, int]]:
    """Return ranges of rows, each beginning at an even one, that fit in memory together."""
    height, width = stack.reference.shape[:2]
    rows = max(2, STRIP_VALUES // (candidates * width) // 2 * 2)
    return [(first, min(first + rows, height)) for first in range(0, height, rows)]


def _measure(
    volume: CostVolume,
    guide: Tensor,
    offsets: list[float],
    on_progress: OnProgress,
    check_cancelled: CheckCancelled,
) -> Measurement:
    """Return costs and the best candidate, each pixel by itself."""
    weights = _frame_weights(volume, volume.device)
    floor = _cost_floor(volume, weights)
    focus_stack = len(set(volume.planes)) > 1
    strengths = volume.strengths
    weakest = None if focus_stack else min(range(len(strengths)), key=strengths.__getitem__)
    blocks, edges = (Views(len(offsets), floor, weakest) for _ in range(2))
    height, width = guide.shape[1:]
    support = adaptive_support(guide)
    for index, offset in enumerate(offsets):
        check_cancelled()
        on_progress(index, len(offsets))
        costs = volume.slice_at(offset, check_cancelled)
        if focus_stack:
            weights = focus_weights(volume.radii(offset), volume.device)
        blocks.update(offset, costs.plain, costs.zero_mean, weights)
        full = to_full(costs.zero_mean, width, (0, height)).flatten(1)
        zero_mean = full.index_select(1, support.pixels)
        plain = support.mean(costs.pixels).clamp(min=0)
        edges.update(offset, plain[:, None], zero_mean[:, None], weights)
    strongest = max(strengths)
    found, own = blocks.evidence(offsets, strongest), edges.evidence(offsets, strongest)
    return Measurement(offsets, found, own, support, height)


def _frame_weights(volume: CostVolume, device: torch.device) -> Tensor:
    """Return (K_min / K_k)², [N,1,1]: a weak blur reaches less far over depth edges."""
    strengths = torch.tensor(volume.strengths, device=device)[:, None, None]
    return (strengths.min() / strengths).square()


def _cost_floor(volume: CostVolume, weights: Tensor) -> float:
    """Return the cost below which candidates do not differ: rounding, and what noise leaves."""
    noise = torch.tensor(volume.noise, device=volume.device)
    return COST_FLOOR + NOISE_LEFT * float((weights[:, 0, 0] * noise).sum())
