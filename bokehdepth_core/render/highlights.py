"""Light given back to lamps that the camera clipped, and how it is brought into a picture again.

A lamp is far brighter than white, but a photo holds it as white. Blurred as it stands, it gives a
dull disc. So lamps are made brighter before the blur. What is merely bright, as a sky at dusk or a
white cup, must stay as it is: a lamp is clipped, or stands out of all that is around it. Where
boosted light ends up above white it rolls off, all channels alike, so that red lamps stay red.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import check_number
from .panorama import own_columns, with_other_end
from .scene.discontinuities import largest_within
from .scene.matting import WHITE

# Linear light of the strongest channel from which on a highlight is boosted, by default: below
# white, so that the soft rim of a lamp is boosted with its middle.
BOOST_FROM = 0.75
LARGEST_BOOST = 1000.0  # beyond it light leaves the range in which float32 adds it up
HIGHEST_THRESHOLD = 0.99  # a rise to white needs room below it
BOOST_RADIUS = 2.0  # px of blur from which on a highlight is boosted in full
CLIPPED_FROM = 0.95  # linear light, 249 of 255: from here to white a channel counts as clipped
RIM = 2  # px around clipped light that may be its soft rim
LAMP_SHARE = 1 / 32  # of the shorter side: unclipped light stands out up to this size
LARGE_LAMP_SHARE = 1 / 6  # the same for light of which one channel is clipped: a red lamp
SMALLEST_LAMP = 9  # px, whatever the share
STANDS_OUT_FROM, STANDS_OUT_WHOLLY = 2.0, 4.0  # times the light of its surroundings
LINES = ((0, 1), (1, 2), (1, 1), (2, 1), (1, 0), (2, -1), (1, -1), (1, -2))  # rows, columns


@dataclass(frozen=True)
class HighlightBoost:
    """Light given back to highlights that the camera clipped.

    Attributes:
        strength: white becomes 1 + this times as bright; 0 changes nothing.
        threshold: 0…0.99, linear light of the strongest channel from which on a highlight counts.

    Raises:
        ValueError: a value outside its range.
    """

    strength: float = 0.0
    threshold: float = BOOST_FROM

    def __post_init__(self) -> None:
        check_number(self.strength, "highlight_boost", 0.0, LARGEST_BOOST)
        check_number(
            self.threshold,
            "highlight_threshold",
            0.0,
            HIGHEST_THRESHOLD,
            hint="It is linear light, white is 1.",
        )

    def share(self, light: Tensor, wraps: bool = False) -> Tensor:
        """Return by how much of the boost each pixel of a whole picture is boosted, [H,W], 0…1.

        It rises smoothly from the threshold to white where light is clipped or stands out.

        Args:
            light: [3,H,W], linear light.
            wraps: whether left and right border join.

        Example:
            >>> light = torch.full((3, 40, 40), 0.8)  # a bright wall
            >>> light[:, 20:22, 20:22] = 1.0          # a lamp on it
            >>> share = HighlightBoost(2.0).share(light)
            >>> share[20, 20].item(), share[5, 5].item()
            (1.0, 0.0)
        """
        strongest = light.amax(0)
        if float(strongest.max()) <= self.threshold:
            return torch.zeros_like(strongest)
        bright = _smooth_step((strongest - self.threshold) / (WHITE - self.threshold))
        lamps = _Lamps.of(min(strongest.shape))
        around = lamps.reach if wraps else 0
        return bright * own_columns(lamps.likeness(with_other_end(light, around)), around)

    def gain(self, share: Tensor, defocus: Tensor) -> Tensor:
        """Return the factor [1,H,W] by which light is multiplied, the same for all channels.

        It rises from the focus plane to `BOOST_RADIUS`, so that what is sharp keeps its look.

        Args:
            share: [H,W], 0…1, as `share` gives it.
            defocus: [H,W], px.

        Example:
            >>> HighlightBoost(2.0).gain(torch.tensor([[0.0, 0.5, 1.0]]), torch.full((1, 3), 9.0))
            tensor([[[1., 2., 3.]]])
        """
        return 1 + self.strength * (share * (defocus.abs() / BOOST_RADIUS).clamp(max=1))[None]


@dataclass(frozen=True)
class _Lamps:
    """How large lamps are in a picture, px.

    Attributes:
        small: up to here unclipped light stands out of its surroundings.
        large: the same for light of which one channel is clipped.
    """

    small: int
    large: int

    @classmethod
    def of(cls, side: int) -> "_Lamps":
        """Return the sizes in a picture whose shorter side is given, px."""
        shares = (LAMP_SHARE, LARGE_LAMP_SHARE)
        return cls(*(max(SMALLEST_LAMP, round(share * side)) for share in shares))

    @property
    def reach(self) -> int:
        """How far around a pixel its surroundings count, px: two lengths, each rounded up."""
        return 2 * (self.large + 2) + RIM

    def likeness(self, light: Tensor) -> Tensor:
        """Return how surely light is a lamp's, [H,W], 0…1: clipped, or brighter than all around.

        Two clipped channels are clipped light. One alone may be a deep colour that fills it, as a
        sky at dusk fills blue; it has to stand out as well, but may be larger than what is not
        clipped.
        """
        strongest, second = light.amax(0), light.sort(0).values[-2]
        clipped = largest_within(_rise(second, CLIPPED_FROM, WHITE), RIM)
        one_clipped = largest_within(_rise(strongest, CLIPPED_FROM, WHITE), RIM)
        small = _standing_out(strongest, self.small)
        large = _standing_out(strongest, self.large)
        return torch.maximum(torch.maximum(clipped, small), torch.minimum(one_clipped, large))


def _standing_out(plane: Tensor, length: int) -> Tensor:
    """Return how far light [H,W] stands out of its surroundings, 0…1.

    The surroundings are the brightest of what is longer than `length` px in any direction, within
    as many px: a rim of a cup is long, a lamp is not. It is the residue of a morphological opening
    by line segments, as in a top-hat transform (Serra 1982, Image Analysis and Mathematical
    Morphology).
    """
    lines = torch.zeros_like(plane)
    for down, right in LINES:
        count = max(2, round(length / (down * down + right * right) ** 0.5) + 1)
        eroded = -_largest_ahead(-plane, down, right, count)
        lines = torch.maximum(lines, _largest_ahead(eroded, -down, -right, count))
    return _rise(
        plane / largest_within(lines, length).clamp(min=1e-6), STANDS_OUT_FROM, STANDS_OUT_WHOLLY
    )


def _largest_ahead(plane: Tensor, down: int, right: int, count: int) -> Tensor:
    """Return the largest of `count` pixels that lie a step apart from each one on, [H,W].

    What lies outside of the picture does not count. Lengths double, as in van Herk's scheme.
    """
    done = 1
    while done < count:
        step = min(done, count - done)
        plane = torch.maximum(plane, _from_ahead(plane, step * down, step * right))
        done += step
    return plane


def _from_ahead(plane: Tensor, down: int, right: int) -> Tensor:
    """Return the plane moved so that each pixel holds the one that lies ahead of it."""
    height, width = plane.shape
    moved = torch.full_like(plane, -torch.inf)
    if abs(down) < height and abs(right) < width:
        rows = slice(max(-down, 0), height - max(down, 0))
        columns = slice(max(-right, 0), width - max(right, 0))
        ahead = plane[max(down, 0) : height + min(down, 0)]
        moved[rows, columns] = ahead[:, max(right, 0) : width + min(right, 0)]
    return moved


def _rise(plane: Tensor, start: float, end: float) -> Tensor:
    """Return 0 up to `start`, 1 from `end` on, and a straight line between."""
    return ((plane - start) / (end - start)).clamp(0, 1)


def _smooth_step(position: Tensor) -> Tensor:
    x = position.clamp(0, 1)
    return x * x * (3 - 2 * x)


def rolled_off(below: Tensor, above: Tensor, brightest: float = WHITE) -> Tensor:
    """Return light that never exceeds white, its hue kept, [C,H,W].

    What is added above white's share is kept whole up to half of the room that the rest leaves, and
    nears the whole of it from there (a film's shoulder): room/2 · (2 - exp(1 - 2·added/room)). All
    colours of a pixel are scaled alike. Light without anything above white stays as it is.

    Args:
        below: [C,H,W], blurred light of what is up to white.
        above: [C,H,W], blurred light of what lamps have above it.
        brightest: linear light that is white.

    Example:
        >>> below, above = torch.tensor([[[0.2]], [[0.1]]]), torch.tensor([[[3.0]], [[0.7]]])
        >>> rolled_off(below, above).flatten()  # as red as 3.2 : 0.8
        tensor([0.9994, 0.2498])
    """
    whole = below + above
    strongest = whole.amax(0, keepdim=True)
    rest = below.amax(0, keepdim=True).clamp(max=brightest)
    half = (brightest - rest).clamp(min=1e-6) / 2
    added = strongest - rest
    shown = torch.where(added <= half, added, half * (2 - torch.exp(1 - added / half)))
    scale = torch.where(added > half, (rest + shown) / strongest.clamp(min=1e-6), 1.0)
    return whole * scale
