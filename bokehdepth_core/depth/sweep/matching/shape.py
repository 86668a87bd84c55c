"""The shape of the aperture, found from the blur of a stack when nobody tells it.

Blurred by the right shape, the sharp picture comes closer to the frames than blurred by any other.
Only where it comes clearly closer than a disc does is it believed; else the disc stays.
"""

import logging
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from ....callbacks import CheckCancelled, never_cancelled
from ....color import srgb_to_linear
from ....datatypes import BokehStack
from ....optics.aperture import DISC, Aperture
from ....optics.psf import LensBlur
from .cost import COST_CAP, LUMA, half_window

BLADES = (5, 6, 7, 8, 9)
TURNS = 5  # angles tried first, over one blade; fewer where they do less
REFINEMENTS = 3  # each halves the step around the best angle
WORKING_SIDE = 384  # px, of the shorter side of the small pictures at least
PART = 256  # px, side of the part with most texture: the one looked at
SMALLEST_PART = 64
RADII = (1.5, 24.0)  # px in the part
RADIUS_STEP = 1.12  # between neighbours
FITTING = 0.2  # cost of the disc over that of the mean candidate, where a radius was found
TRIED = 7  # radii, around those that the disc finds most …
TRIED_ROUGHLY = 3  # … and while shapes are compared, on the blocks of the middle one
CLEAR_COST = 4e-4  # squared difference of the mean candidate where there is texture
FLOOR = 3e-6  # rounding of 8-bit pictures, squared, in square-root-encoded luma
ENOUGH_BLOCKS = 200
ENOUGH_ROUGHLY = 100
BELIEVED = 0.02  # fall of the mean log cost below the disc's; pub4: 0.038, disc stacks: none
CONFIRMED = 0.15  # of that fall that another frame must show, at least
ALONE = 0.05  # fall at which a single frame is believed
_LOG = logging.getLogger(__name__)


def found_aperture(
    stack: BokehStack,
    *,
    behind: bool = True,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Aperture:
    """Return the shape of the aperture that explains a stack best; a disc where none does clearly.

    A polygon of 5 to 9 straight blades, and its rotation to about 2°.

    Args:
        stack: frames in place, light linear after `srgb_to_linear`.
        behind: the scene lies behind the focus plane, where an odd polygon is turned by 180°.
        check_cancelled: raises to stop.

    Example:
        >>> flat = torch.full((40, 40, 3), 0.5)
        >>> found_aperture(BokehStack(flat, flat[None], (10.0,)))  # shows nothing
        Aperture(blades=0, rotation=0.0, anamorphic=1.0, curvature=0.0, spherical_aberration=0.0, \
cat_eye=0.0, obstruction=0.0, swirl=0.0, picture=None)
    """
    if stack.focus_depths is not None or min(stack.reference.shape[:2]) < SMALLEST_PART:
        return DISC
    order = sorted(range(len(stack.strengths)), key=stack.strengths.__getitem__, reverse=True)
    sharp, frames = _part(stack, order[:2])
    side = -1.0 if behind else 1.0
    match = _ShapeMatch(sharp, frames[:1], side)
    if match.count < ENOUGH_BLOCKS:
        return DISC
    best, fall = _best_polygon(match, check_cancelled)
    if fall < BELIEVED:
        return DISC
    if len(frames) == 1 and fall < ALONE:
        return DISC
    if len(frames) > 1 and _ShapeMatch(sharp, frames[1:], side).fall(best) < CONFIRMED * fall:
        return DISC
    _LOG.info(
        "stack: the lens opening looks like a polygon of %d blades, turned by %.0f°, "
        "which lowers the mismatch by %.0f %%",
        best.blades,
        best.rotation,
        100 * (1 - math.exp(-fall)),
    )
    return best


def _best_polygon(match: "_ShapeMatch", check_cancelled: CheckCancelled) -> tuple[Aperture, float]:
    """Return the polygon that comes closest, and its fall; the disc and 0 where none is closer."""
    best, fall = DISC, 0.0
    for blades in BLADES:
        if best.blades and best.blades < blades - 1:
            break  # one blade more did worse
        turns = TURNS if blades < 7 else TURNS - 2
        for turn in range(turns):
            check_cancelled()
            one = Aperture(blades, 360 / blades * turn / turns)
            found = match.rough_fall(one)
            if found > fall:
                best, fall = one, found
    if best is DISC:
        return best, 0.0
    best = _turned(match, best, fall, check_cancelled)
    return best, match.fall(best)


def _turned(
    match: "_ShapeMatch", best: Aperture, fall: float, check_cancelled: CheckCancelled
) -> Aperture:
    """Return the polygon at a better angle."""
    step = 360 / best.blades / TURNS
    for _ in range(REFINEMENTS):
        check_cancelled()
        step /= 2
        for turn in (best.rotation - step, best.rotation + step):
            one = Aperture(best.blades, turn % (360 / best.blades))
            found = match.rough_fall(one)
            if found > fall:
                best, fall = one, found
    return best


class _ShapeMatch:
    """Tells how much closer to a frame a shape comes than a disc does.

    Args:
        sharp: [1,h,w], linear luma.
        frame: [1,h,w], the same.
        side: +1 for a scene in front of the focus plane, −1 behind it.
    """

    def __init__(self, sharp: Tensor, frame: Tensor, side: float) -> None:
        self._sharp, self._frame, self._side = sharp, frame.clamp(min=0).sqrt(), side
        count = int(math.log(RADII[1] / RADII[0]) / math.log(RADIUS_STEP)) + 1
        ladder = [RADII[0] * RADIUS_STEP**index for index in range(count)]
        costs = torch.stack(list(self._costs(DISC, ladder)))
        least, index = costs.min(0)
        mean = costs.mean(0)
        # Best at an end of the ladder: no radius was found.
        inner = (index > 0) & (index < count - 1)
        self._use = inner & (mean > CLEAR_COST) & (least < FITTING * mean)
        seen = torch.bincount(index[self._use], minlength=count).float()
        middle = TRIED // 2
        kernel = middle + 1 - (torch.arange(TRIED, device=seen.device) - middle).abs()
        first = int(functional.conv1d(seen[None, None], kernel[None, None].to(seen)).argmax())
        self._radii = ladder[first : first + TRIED]
        self._use &= (index > first) & (index < first + TRIED - 1)
        self.count = int(self._use.sum())
        self._disc = (least + FLOOR).log()
        around, central = TRIED_ROUGHLY // 2, first + middle
        self._few_radii = ladder[central - around : central + around + 1]
        self._few = self._use & (index == central)
        if int(self._few.sum()) < ENOUGH_ROUGHLY:
            self._few_radii, self._few = self._radii, self._use

    def fall(self, aperture: Aperture) -> float:
        """Return the fall of the mean logarithm of the least cost, against the disc's."""
        return self._fall(aperture, self._radii, self._use)

    def rough_fall(self, aperture: Aperture) -> float:
        """Return the fall among blocks of much the same blur: quick, to compare shapes by."""
        return self._fall(aperture, self._few_radii, self._few)

    def _fall(self, aperture: Aperture, radii: list[float], use: Tensor) -> float:
        if not self.count:
            return 0.0
        least = torch.stack(list(self._costs(aperture, radii))).amin(0)[use]
        return float((self._disc[use] - (least + FLOOR).log()).mean())

    def _costs(self, aperture: Aperture, radii: list[float]) -> Iterator[Tensor]:
        """Yield the cost of every radius, on blocks of 2 x 2 pixels, [h,w]."""
        # Polygons are inscribed: compared at equal area, the same radii serve all.
        grown = 1.0
        if aperture.blades:
            area = aperture.blades / 2 * math.sin(2 * math.pi / aperture.blades)
            grown = math.sqrt(math.pi / area)
        size = (self._sharp.shape[1], self._sharp.shape[2])
        blur = LensBlur(size, int(radii[-1] * grown) + 2, aperture, self._sharp.device)
        spectrum = blur.transform(self._sharp)
        for radius in radii:
            blurred = blur.blur(spectrum, self._side * grown * radius).clamp(min=0).sqrt()
            off = (blurred - self._frame).square().clamp(max=COST_CAP)
            yield half_window(off)[0]


def _part(stack: BokehStack, chosen: list[int]) -> tuple[Tensor, Tensor]:
    """Return linear luma of the reference, [1,h,w], and of the chosen frames, where blur shows."""
    shrink = max(1, min(stack.reference.shape[:2]) // WORKING_SIDE)
    luma = torch.tensor(LUMA, device=stack.reference.device)
    pictures = [stack.reference, *(stack.frames[index] for index in chosen)]
    light = torch.stack([srgb_to_linear(one.to(torch.float32)) @ luma for one in pictures])
    small = functional.avg_pool2d(light[None], shrink)[0]
    high, wide = (min(PART, side) for side in small.shape[1:])
    roots = small[:2].clamp(min=0).sqrt()
    taken = (roots[0] - roots[1]).square().clamp(max=COST_CAP)[None, None]
    energy = functional.avg_pool2d(taken, (high, wide), stride=4)[0, 0]
    top, left = (4 * index for index in divmod(int(energy.argmax()), energy.shape[1]))
    part = small[:, top : top + high, left : left + wide]
    return part[:1], part[1:]
