"""Inputs of Render Bokeh for the aperture, for linear light, for cut-outs and for panoramas."""

from comfy_api.latest import io

from ...bokehdepth_core import Aperture, FocusControls
from ...bokehdepth_core.color import COLOR_SPACES
from ...bokehdepth_core.render.panorama import check_panorama
from ..host import services


def check_blades(blades: int) -> None:
    """Check the number of blades before the run.

    Raises:
        ValueError: 1, 2, or beyond 0 to 11.
    """
    if isinstance(blades, bool) or blades not in (0, *range(3, 12)):
        raise ValueError(
            f"aperture_blades: use 0 for round, or 3 to 11. {blades} blades make no opening."
        )


def check_together(
    blades: int | None = None,
    wrap: bool | None = None,
    cat_eye: float | None = None,
    tilt: float | None = None,
    swing: float | None = None,
) -> None:
    """Check what is known of Render Bokeh's inputs before the run; None for what is not.

    Raises:
        ValueError: a number out of its range, or one that a 360° panorama cannot have.
    """
    if blades is not None:
        check_blades(blades)
    aperture = Aperture(cat_eye=cat_eye or 0.0)
    controls = FocusControls(tilt=tilt or 0.0, swing=swing or 0.0)
    if wrap:
        check_panorama(aperture, controls)


def opening_inputs() -> list:
    """Return the inputs for what real apertures do; each leaves the picture as it is at 0."""
    inputs = {
        "blade_curvature": (
            0.0,
            "Bends the blades outwards: 0 is a straight-sided polygon, 1 a circle. No effect with "
            "0 blades.",
        ),
        "spherical_aberration": (
            -1.0,
            "Above 0 lamps in the background become bubbles with a bright rim, below 0 soft discs; "
            "in front of the focus the other way round. 0 is even.",
        ),
        "cat_eye": (
            0.0,
            "How much the lens barrel cuts the blur discs towards the corners of the picture, 0 to "
            "1.",
        ),
    }
    return [
        services.fit(
            io.Float.Input,
            name,
            default=0.0,
            min=lowest,
            max=1.0,
            step=0.05,
            round=False,
            optional=True,
            advanced=True,
            tooltip=tip,
        )
        for name, (lowest, tip) in inputs.items()
    ]


def compositing_inputs() -> list:
    """Return the inputs for scene-linear light, cut-outs and hold-outs."""
    return [
        services.fit(
            io.Combo.Input,
            "color_space",
            options=list(COLOR_SPACES),
            default="sRGB",
            optional=True,
            advanced=True,
            tooltip="What the image holds, and what comes out: sRGB as usual, or linear light as "
            "an EXR gives it. Nothing is clipped.",
        ),
        io.Mask.Input(
            "alpha",
            optional=True,
            tooltip="Coverage of a cut-out, 1 is opaque (Load Image's mask inverted). It is "
            "blurred with the image. In linear light the image counts as multiplied with it, as "
            "in EXR.",
        ),
        io.Mask.Input(
            "hold_out",
            optional=True,
            tooltip="What stays as it is, and spills over nothing around it.",
        ),
    ]


def panorama_input():
    """Return the input that joins left and right border."""
    return services.fit(
        io.Boolean.Input,
        "wrap",
        default=False,
        optional=True,
        advanced=True,
        tooltip="For 360° panoramas: left and right border join, so that no seam shows. Blur is "
        "not widened towards the poles, which an equirectangular picture stretches: within 30° of "
        "the horizon it is at most 13 % too narrow.",
    )
