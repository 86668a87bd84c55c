"""The aperture of a lens: its shape is the shape of the blur of every point out of focus.

That blur is the lens's point spread function (PSF). Its radius depends on depth (`thin_lens.py`);
its shape, and the light over it, are told here.
"""

import math
from dataclasses import dataclass

from ..checks import check_number
from .aperture_picture import CORNER, AperturePicture

LARGEST_SWIRL = 0.8  # beyond it the leaves in the corners are thinner than a tenth of the disc


@dataclass(frozen=True)
class Aperture:
    """Shape of the lens's aperture, and the light over it.

    Attributes:
        blades: 0 for a disc, else the corners of a polygon inscribed in the disc, 3…11.
        rotation: angle of one corner, degrees, from +x (right) towards +y (down), for a PSF in
            front of the focus plane; behind it the PSF is turned by 180°.
        anamorphic: width of the PSF over its height, at equal area; 1 is round, below 1 is the
            upright oval of a cine lens.
        curvature: of the blades: 0 is straight, 1 gives the full circle; no effect on a disc.
        spherical_aberration: -1…1. Light over the PSF of what lies behind the focus plane grows
            with the square of the distance from its middle, 1 + s·(2ρ² - 1): above 0 bright-rimmed
            bubbles, below 0 soft edges. In front of the plane it is the other way round, as in a
            lens.
        cat_eye: 0…1, optical vignetting: how much of the aperture the lens's outer rings hide in
            the picture's corners. There a circle of the aperture's size is moved by this many radii
            towards the middle. What light a pixel loses is given back to it.
        obstruction: 0…0.9, radius of a round mirror or plate in the aperture's middle, as a share
            of its own: lamps become rings, as in a mirror lens.
        swirl: 0…0.8, vignetting by both ends of a long barrel: towards the corners discs become
            leaves that stand around the middle of the picture. In the corners two circles of the
            aperture's size are moved by this many radii, one towards the middle and one away from
            it. What light a pixel loses is given back to it.
        picture: of the aperture, instead of a disc or blades; None without.

    Raises:
        ValueError: a value outside its range.

    Reference:
        What each parameter does to the PSF: H. H. Nasse, "Depth of Field and Bokeh", Carl Zeiss
        2010. 2ρ² − 1 is Zernike's radial polynomial of defocus: Born and Wolf, "Principles of
        Optics", 9.2; its mean over the disc is 0, so that light is kept. The formulas are in
        `pupil.py`.

    Example:
        >>> Aperture(blades=6, rotation=15.0).is_round
        False
        >>> Aperture(anamorphic=0.5).support_radius  # twice as high as wide, the same area
        1.4142135623730951
    """

    blades: int = 0
    rotation: float = 0.0
    anamorphic: float = 1.0
    curvature: float = 0.0
    spherical_aberration: float = 0.0
    cat_eye: float = 0.0
    obstruction: float = 0.0
    swirl: float = 0.0
    picture: AperturePicture | None = None

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
        check_number(self.obstruction, "obstruction", 0.0, 0.9)
        check_number(self.swirl, "swirl", 0.0, LARGEST_SWIRL)

    @property
    def is_round(self) -> bool:
        """True where the aperture is a full disc, apart from what the barrel hides."""
        return self.picture is None and (self.blades == 0 or self.curvature == 1)

    @property
    def has_closed_form(self) -> bool:
        """True where the PSF is a disc or polygon of even brightness, the same everywhere."""
        straight = self.is_round or self.curvature == 0
        whole = not self.changes_over_field and self.obstruction == 0 and self.picture is None
        return straight and self.spherical_aberration == 0 and whole

    @property
    def changes_over_field(self) -> bool:
        """True where the PSF is another one at each place of the picture."""
        return self.cat_eye != 0 or self.swirl != 0

    @property
    def support_radius(self) -> float:
        """How far the PSF reaches from its middle, in blur radii, 1…2; 2.83 with a picture."""
        stretch = math.sqrt(max(self.anamorphic, 1 / self.anamorphic))
        return stretch if self.picture is None else CORNER * stretch


DISC = Aperture()
"""The plain round aperture."""
