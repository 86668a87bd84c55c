"""The shape of a lens opening, seen as the spot that an out-of-focus point becomes."""

from dataclasses import dataclass

from .checks import check_number


@dataclass(frozen=True)
class Aperture:
    """Shape of the lens opening.

    Attributes:
        blades: 0 for a disc, else the corners of a polygon inscribed in the disc, 3…11.
        rotation: angle of one corner, degrees, from +x (right) towards +y (down), for a spot in
            front of the focus plane; behind it the spot is turned by 180°.
        anamorphic: width of the spot over its height, at equal area; 1 is round, below 1 is the
            upright oval of a cine lens.

    Raises:
        ValueError: a value outside its range.
    """

    blades: int = 0
    rotation: float = 0.0
    anamorphic: float = 1.0

    def __post_init__(self) -> None:
        if self.blades != 0:
            check_number(
                self.blades, "aperture_blades", 3, 11, hint="Use 0 for a disc, or 3 to 11 blades."
            )
        check_number(self.rotation, "aperture_rotation")
        check_number(self.anamorphic, "anamorphic", 0.25, 4.0)

    @property
    def reach(self) -> float:
        """How far the spot reaches from its middle, in blur radii, 1…2."""
        return max(self.anamorphic, 1 / self.anamorphic) ** 0.5


DISC = Aperture()
"""The plain round opening."""
