"""How far a rendered pixel depends on others, and how much memory rendering takes."""

import math

from .scene.inpaint import inpainting_support_radius
from .tiles import cut_tiles

FLOATS_PER_PIXEL = 64  # that the layers take, measured with `benchmarks/render.py costs`
KEPT_MEANWHILE = 42  # floats a pixel that are kept while slices are blurred
FLOATS_BLURRED = 20  # floats that blurring takes for a pixel of a slice and of its border


def render_memory(
    height: int, width: int, radius: float, background: bool = False, *, wraps: bool = False
) -> int:
    """Return an upper estimate of the bytes that rendering takes beyond the picture and its depth.

    Args:
        height: of the picture, px.
        width: of the picture, px.
        radius: px, how far the largest PSF reaches from its middle.
        background: whether the occluded background is given as well.
        wraps: whether left and right border join.

    Example:
        >>> render_memory(1024, 1024, 20.0) // 2**20  # MiB
        288
    """
    more = 8 if background else 0
    most = 0.0
    for tile in cut_tiles(height, width, support_radius(radius), wraps=wraps):
        sides = [place.stop - place.start for place in tile.seen]
        bordered = math.prod(side + 2 * min(radius + 2, side) for side in sides)
        seen, blurred = math.prod(sides), FLOATS_BLURRED * bordered
        layers, kept = (FLOATS_PER_PIXEL + more) * seen, (KEPT_MEANWHILE + more) * seen
        most = max(most, layers, kept + blurred)
    return math.ceil(4 * (most + 8 * height * width))


def support_radius(psf_radius: float) -> int:
    """Return how far, px, a pixel's result depends on others when PSFs reach `psf_radius` px.

    As far as the PSF reaches, and from there as far as the background there is inpainted from.

    Example:
        >>> support_radius(20.0)
        93
    """
    return math.ceil(psf_radius + inpainting_support_radius(psf_radius)) + 5
