"""The options of a lens: its look, and the shape of its aperture."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..files.pictures.images import read_image
from ..optics.aperture import DISC, Aperture
from ..optics.lens import LENS_LOOKS, PLAIN, Lens, lens_look

# Option to field of `Aperture`. What is not given is None, so that it can be told from a value
# that a plain disc has too: 0 takes the mirror out of a look with one.
_SHAPE = {
    "blades": "blades",
    "rotation": "rotation",
    "anamorphic": "anamorphic",
    "blade_curvature": "curvature",
    "spherical_aberration": "spherical_aberration",
    "cat_eye": "cat_eye",
    "obstruction": "obstruction",
}
# What errors of `Aperture` say in place of an option: the input of the node.
_SAID = {"aperture_blades": "blades", "curvature": "blade_curvature"}
SHAPE_OPTIONS = tuple(_SHAPE)
"""Names of the options of `add_lens_shape`."""


def add_lens_shape(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """Add the shape of the aperture.

    Args:
        parser: of a command.
        otherwise: what the aperture is where none of these options is given.
    """
    add = parser.add_argument_group("the opening of the lens", otherwise).add_argument
    add("--blades", type=int, metavar="N", help="its corners, 3…11; 0 is a disc")
    add("--rotation", type=float, metavar="DEG", help="of the opening, degrees")
    add("--anamorphic", type=float, metavar="X", help="blur disc: width over height, 0.25…4")
    add("--blade-curvature", type=float, metavar="0…1", help="0 is straight, 1 is round")
    bubbles = "above 0 bright-rimmed bubbles behind the focus, below 0 soft ones"
    add("--spherical-aberration", type=float, metavar="-1…1", help=bubbles)
    add("--cat-eye", type=float, metavar="0…1", help="cut discs towards the corners")
    add("--obstruction", type=float, metavar="0…0.9", help="a mirror lens: rings; 0 is none")


def shape_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of `Aperture` that the options set."""
    given = {field: getattr(options, name) for name, field in _SHAPE.items()}
    return {field: value for field, value in given.items() if value is not None}


def check_shape_used(options: argparse.Namespace, otherwise: Aperture = DISC) -> None:
    """Refuse options out of their range, and those of blades where the aperture is a disc.

    Args:
        options: of a command with `add_lens_shape`.
        otherwise: the aperture where none of these options is given.

    Raises:
        ValueError: such an option is given.
    """
    with _options_named():
        replace(otherwise, **shape_of(options))
    blades = otherwise.blades if options.blades is None else options.blades
    if blades or getattr(options, "aperture_image", None) is not None:
        return
    for name in ("blade_curvature", "rotation"):
        if getattr(options, name) is not None:
            flag = "--" + name.replace("_", "-")
            raise ValueError(f"{name}: a disc has no blades. Give --blades, or leave {flag} out.")


def aperture_of(options: argparse.Namespace) -> Aperture:
    """Return the shape of the lens's aperture: a disc, but for what the options set."""
    check_shape_used(options)
    with _options_named():
        return Aperture(**shape_of(options))


def add_look(parser: argparse.ArgumentParser) -> None:
    """Add the look of a kind of lens, and what else shapes its light."""
    group = parser.add_argument_group("the look of a kind of lens; options of its shape change it")
    add = group.add_argument
    add(
        "--lens",
        choices=tuple(LENS_LOOKS),
        default=PLAIN,
        metavar="LOOK",
        help="; ".join(LENS_LOOKS),
    )
    add("--aperture-image", type=Path, metavar="FILE", help="own opening: white where light passes")
    add("--fringe", type=float, metavar="F", help="red and blue focus behind green, 0.01/m")
    add("--swirl", type=float, metavar="0…0.8", help="discs become leaves around the middle")


def look_of(options: argparse.Namespace) -> Lens:
    """Return the lens: its look, with all that the options set in place of the look's own."""
    own = options.aperture_image
    lens = lens_look(
        options.lens,
        aperture_image=None if own is None else read_image(own),
        fringe=options.fringe,
        swirl=options.swirl,
    )
    with _options_named():
        return replace(lens, aperture=replace(lens.aperture, **shape_of(options)))


@contextmanager
def _options_named() -> Iterator[None]:
    """Let an error about a field of `Aperture` name the option that set it."""
    try:
        yield
    except ValueError as error:
        field, colon, rest = str(error).partition(":")
        raise ValueError(f"{_SAID.get(field, field)}{colon}{rest}") from error
