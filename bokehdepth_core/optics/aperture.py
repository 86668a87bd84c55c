"""The shape of a lens opening, seen as the spot that an out-of-focus point becomes."""

from dataclasses import dataclass

from ..checks import check_number


@dataclass(frozen=True)
class Aperture:
    """Shape of the lens opening.

    Attributes:
        blades: 0 for a disc, else the corners of a polygon inscribed in the disc, 3…11.
        rotation: angle of one corner, degrees, from +x (right) towards +y (down), for a spot in
            front of the focus plane; behind it the spot is turned by 180°.
        anamorphic: width of the spot over its height, at equal area; 1 is round, below 1 is the
            upright oval of a cine lens.
        curvature: of the blades: 0 is straight, 1 gives the full circle; no effect on a disc.
        spherical_aberration: -1…1. Light over the spot of what lies behind the focus plane grows
            with the square of the distance from its middle, 1 + s·(2ρ² - 1): above 0 bright-rimmed
            bubbles, below 0 soft edges. In front of the plane it is the other way round, as in a
            lens.
        cat_eye: 0…1, how much of the opening the lens barrel hides in the picture's corners: there
            a circle of the opening's size is moved by this many radii towards the middle. What
            light is lost is given back.

    Raises:
        ValueError: a value outside its range.
    """

    blades: int = 0
    rotation: float = 0.0
    anamorphic: float = 1.0
    curvature: float = 0.0
    spherical_aberration: float = 0.0
    cat_eye: float = 0.0

    def __post_init__(self) -> None:
        if self.blades != 0:
            check_number(
                self.blades, "aperture_blades", 3, 11, hint="Use 0 for a disc, or 3 to 11 blades."
            )
        check_number(self.rotation, "aperture_rotation")
        check_number(self.anamorphic, "anamorphic", 0.25, 4.0)
        check_number(self.curvature, "curvature", 0.0, 1.0)
        check_number(self.spherical_aberration, "spherical_aberration", -1.0, 1.0)
        check_number(self.cat_eye, "cat_eye", 0.0, 1.0)

    @property
    def is_round(self) -> bool:
        """True where the opening is a full disc, apart from what `cat_eye` hides."""
        return self.blades == 0 or self.curvature == 1

    @property
    def is_even(self) -> bool:
        """True where the spot is a disc or polygon of even brightness, the same everywhere."""
        straight = self.is_round or self.curvature == 0
        return straight and self.spherical_aberration == 0 and self.cat_eye == 0

    @property
    def reach(self) -> float:
        """How far the spot reaches from its middle, in blur radii, 1…2."""
        return max(self.anamorphic, 1 / self.anamorphic) ** 0.5


DISC = Aperture()
"""The plain round opening."""
