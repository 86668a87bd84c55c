"""Lens looks: the apertures, aberrations and vignettings that photographers choose a lens for.

A look is a set of measurable parameters, never a filter: the shape of the aperture and the light
over it (`aperture.py`), how far apart the focus planes of the colours lie, and, where the lens is
given in millimetres, how strong its blur is.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor

from ..checks import check_number
from .aperture import DISC, Aperture
from .aperture_picture import AperturePicture
from .thin_lens import bokeh_strength_from_lens

LARGEST_FRINGE = 50.0  # hundredths of a dioptre: half of one, far beyond any lens
PLAIN = "plain disc"


@dataclass(frozen=True)
class Lens:
    """A lens: its aperture, its colours, and its size in millimetres where that is known.

    Attributes:
        name: of the look.
        aperture: its shape, and the light over it.
        fringe: longitudinal chromatic aberration, hundredths of 1/m (of a dioptre): by how much
            the focus plane of red and blue lies behind that of green, in disparity. What is in
            front of the focus gets magenta rims, what is behind it green ones. In relative depth
            hundredths of the way from far to near.
        f_number: aperture number; 0 where the renderer's strength counts.
        focal_length_mm: real focal length, mm; goes with the f-number.
        focal_length_35mm: 35 mm-equivalent focal length, mm; 0 is the real one (full frame).

    Raises:
        ValueError: a value outside its range, or an f-number without a focal length or the other
            way round.

    Reference:
        arXiv 2512.12425: the strength of a thin lens, see `bokeh_strength_from_lens`. Longitudinal
        chromatic aberration: W. J. Smith, "Modern Optical Engineering".

    Example:
        >>> lens = Lens(f_number=1.8, focal_length_mm=85.0)
        >>> round(lens.strength(2.0, width=1200, height=800), 1)
        69.9
    """

    name: str = PLAIN
    aperture: Aperture = DISC
    fringe: float = 0.0
    f_number: float = 0.0
    focal_length_mm: float = 0.0
    focal_length_35mm: float = 0.0

    def __post_init__(self) -> None:
        check_number(self.fringe, "fringe", 0.0, LARGEST_FRINGE)
        for name in ("f_number", "focal_length_mm", "focal_length_35mm"):
            check_number(getattr(self, name), name, 0.0, hint="0 is not given.")
        if (self.f_number > 0) != (self.focal_length_mm > 0):
            name, other = ("f_number", "focal_length_mm")
            if self.focal_length_mm > 0:
                name, other = other, name
            raise ValueError(
                f"{name}: {getattr(self, name):g} given without {other}. Give both, or neither: "
                "the strength is then that of the renderer."
            )

    @property
    def has_strength(self) -> bool:
        """Whether f-number and focal length say how strong the blur is."""
        return self.f_number > 0

    def strength(self, focus_distance_m: float, width: int, height: int) -> float:
        """Return the bokeh strength K, px·m, focused at a distance; as `bokeh_strength_from_lens`.

        Args:
            focus_distance_m: m, beyond the focal length; infinity is allowed.
            width: of the picture, px.
            height: of the picture, px.

        Raises:
            ValueError: a lens without f-number, or a distance inside the focal length.
        """
        equivalent = self.focal_length_35mm or self.focal_length_mm
        return bokeh_strength_from_lens(
            self.f_number, self.focal_length_mm, equivalent, focus_distance_m, width, height
        )

    def changed(self, own: Aperture) -> "Lens":
        """Return the lens with all that an aperture sets other than a plain disc does.

        For inputs that always have a value: at that of a plain disc they leave the lens's own.
        """
        names = (field.name for field in fields(Aperture))
        moved = {name: getattr(own, name) for name in names}
        plain = {name: value for name, value in moved.items() if value != getattr(DISC, name)}
        return replace(self, aperture=replace(self.aperture, **plain)) if plain else self

    @property
    def summary(self) -> str:
        """Every parameter of the lens, a line each."""
        shape = self.aperture
        opening = (
            f"{shape.blades} blades, curvature {shape.curvature:g}" if shape.blades else "disc"
        )
        if shape.picture is not None:
            colours = "coloured" if shape.picture.is_coloured else "grey"
            opening = f"own picture, {shape.picture.light.shape[-1]} px, {colours}"
        lines = [
            f"look: {self.name}",
            f"opening: {opening}, rotation {shape.rotation:g}°, anamorphic {shape.anamorphic:g}",
            f"obstruction: {shape.obstruction:g} of the radius",
            f"spherical aberration: {shape.spherical_aberration:g}",
            f"cat eye: {shape.cat_eye:g}, swirl: {shape.swirl:g} radii in the corners",
            f"fringe: {self.fringe:g} hundredths of a dioptre between green and magenta",
        ]
        if not self.has_strength:
            return "\n".join([*lines, "strength: that of the renderer"])
        equivalent = self.focal_length_35mm or self.focal_length_mm
        size = f"{self.focal_length_mm:g} mm ({equivalent:g} mm at 36 x 24 mm)"
        return "\n".join([*lines, f"strength: from {size} at f/{self.f_number:g}"])


LENS_LOOKS = {
    look.name: look
    for look in (
        Lens(),
        Lens("modern nine-blade", Aperture(9, 10.0, curvature=0.85, cat_eye=0.3), fringe=0.2),
        Lens(
            "vintage swirl",
            Aperture(spherical_aberration=0.3, cat_eye=0.25, swirl=0.7),
            fringe=1.5,
        ),
        Lens("soap bubbles", Aperture(spherical_aberration=0.95, cat_eye=0.2), fringe=1.0),
        Lens("mirror donut", Aperture(obstruction=0.5, cat_eye=0.15)),
        Lens("2x anamorphic", Aperture(anamorphic=0.5, cat_eye=0.35), fringe=0.5),
        Lens("soft portrait", Aperture(spherical_aberration=-0.8, cat_eye=0.15), fringe=0.8),
        Lens("cinema hexagon", Aperture(6, 0.0, curvature=0.15, cat_eye=0.2), fringe=0.2),
    )
}
"""Looks by name. Their numbers are typical of the kind of lens, not measured on one."""


def lens_look(
    preset: str = PLAIN,
    *,
    f_number: float = 0.0,
    focal_length_mm: float = 0.0,
    focal_length_35mm: float = 0.0,
    aperture_image: Tensor | None = None,
    fringe: float | None = None,
    obstruction: float | None = None,
    swirl: float | None = None,
) -> Lens:
    """Return one of the `LENS_LOOKS`, with what is given of it changed.

    Args:
        preset: name of the look.
        f_number: as `Lens` has it; so are the focal lengths.
        focal_length_mm: mm.
        focal_length_35mm: mm.
        aperture_image: [H,W,3] or [1,H,W,3], sRGB, white where light passes: instead of the
            look's own aperture.
        fringe: None leaves the look's own; so does it below.
        obstruction: 0…0.9.
        swirl: 0…0.8.

    Raises:
        ValueError: another name, or a value outside its range.

    Reference:
        `Lens` names the sources of its parameters; their values are typical of a kind of lens, not
        measured on one.

    Example:
        >>> print(lens_look("mirror donut", obstruction=0.4).summary.splitlines()[2])
        obstruction: 0.4 of the radius
    """
    if preset not in LENS_LOOKS:
        raise ValueError(f"preset: unknown {preset!r}. Use one of {', '.join(LENS_LOOKS)}.")
    lens = LENS_LOOKS[preset]
    given = {"obstruction": obstruction, "swirl": swirl}
    shape: dict[str, Any] = {name: one for name, one in given.items() if one is not None}
    if aperture_image is not None:
        picture = AperturePicture.of(aperture_image)
        aperture = replace(lens.aperture, picture=picture, blades=0, curvature=0.0, **shape)
    else:
        aperture = replace(lens.aperture, **shape)
    return replace(
        lens,
        aperture=aperture,
        fringe=lens.fringe if fringe is None else fringe,
        f_number=f_number,
        focal_length_mm=focal_length_mm,
        focal_length_35mm=focal_length_35mm,
    )
