"""Spots of a lens without a closed form: drawn once, then transformed exactly at any radius.

The opening is drawn on a fine grid in units of the blur radius. Its Fourier transform at the
frequencies of a picture is a product of matrices, F = E_y I E_x^T, for any blur radius; nothing is
interpolated, and nothing is drawn on the picture's own grid.
"""

import functools
import math

import torch
from torch import Tensor

from .aperture import Aperture

SMALLEST, LARGEST = 128, 1024  # px of a drawing's side
PER_RADIUS = 4  # px of a drawing for each px of blur radius


def drawing_size(radius: float) -> int:
    """Return the side of the drawing, px, for a blur radius, px: a power of two."""
    wanted = max(SMALLEST, PER_RADIUS * abs(radius))
    return min(LARGEST, 1 << math.ceil(math.log2(wanted)))


@functools.lru_cache(maxsize=32)
def draw_opening(
    aperture: Aperture,
    size: int,
    front: bool,
    hidden: tuple[float, ...] = (0.0, 0.0),
    device: torch.device | None = None,
) -> Tensor:
    """Return the light over the opening, [size,size], float32, rows down, summing to 1.

    The grid reaches from -1 - h to 1 + h blur radii, h the side of its pixels. `anamorphic` is left
    to the frequencies.

    Args:
        aperture: shape of the opening and light over it.
        size: px, as from `drawing_size`.
        front: the spot of what lies in front of the focus plane; its aberration is turned over.
        hidden: (down, right) in radii, where the middle of the barrel's circle lies.
        device: where the drawing is made.
    """
    half = size / (size - 2)
    pixel = 2 * half / size
    at = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * pixel - half
    y, x = at[:, None], at[None, :]
    inside = _distance_inside(y, x, aperture)
    if aperture.cat_eye and any(hidden):
        barrel = 1 - torch.hypot(y - hidden[0], x - hidden[1])
        inside = torch.minimum(inside, barrel)
    light = (inside / pixel + 0.5).clamp(0, 1)
    bubble = -aperture.spherical_aberration if front else aperture.spherical_aberration
    if bubble:
        light = light * (1 + bubble * (2 * (y * y + x * x).clamp(max=1) - 1))
    return light / light.sum()


def _distance_inside(y: Tensor, x: Tensor, aperture: Aperture) -> Tensor:
    """Return how far inside the opening each place lies, radii; negative outside."""
    if aperture.is_round:
        return 1 - torch.hypot(y, x)
    # Corners lie on the unit circle. The blade between two of them is an arc of a larger circle
    # whose top rises from the chord (curvature 0) to the unit circle (curvature 1).
    half_angle = math.pi / aperture.blades
    chord, half_chord = math.cos(half_angle), math.sin(half_angle)
    rise = aperture.curvature * (1 - chord)
    inside: Tensor | None = None
    for blade in range(aperture.blades):
        towards = math.radians(aperture.rotation) + (2 * blade + 1) * half_angle
        along = x * math.cos(towards) + y * math.sin(towards)
        if rise:
            bend = (half_chord**2 + rise**2) / (2 * rise)
            across = y * math.cos(towards) - x * math.sin(towards)
            distance = bend - torch.hypot(along - (chord + rise - bend), across)
        else:
            distance = chord - along
        inside = distance if inside is None else torch.minimum(inside, distance)
    return inside


def opening_spectrum(drawing: Tensor, ky: Tensor, kx: Tensor) -> Tensor:
    """Return the Fourier transform of a drawn opening, [len(ky),len(kx)], complex64.

    Args:
        drawing: [n,n], as from `draw_opening`.
        ky: frequencies down, radians for each blur radius.
        kx: frequencies to the right, likewise.
    """
    size = len(drawing)
    half = size / (size - 2)
    pixel = 2 * half / size
    at = (torch.arange(size, device=ky.device, dtype=ky.dtype) + 0.5) * pixel - half
    phase_y, phase_x = ky[:, None] * at, kx[:, None] * at
    cos_y, sin_y = torch.cos(phase_y).float(), torch.sin(phase_y).float()
    cos_x, sin_x = torch.cos(phase_x).float(), torch.sin(phase_x).float()
    by_cos, by_sin = drawing @ cos_x.T, drawing @ sin_x.T
    spectrum = torch.complex(cos_y @ by_cos - sin_y @ by_sin, -(sin_y @ by_cos + cos_y @ by_sin))
    # Edges are drawn as ramps one pixel wide; frequencies past the drawing's own hold nothing.
    radial = torch.hypot(ky[:, None], kx).float()
    ramp = torch.sinc(radial * (pixel / (2 * math.pi))).clamp(min=0.5)
    return torch.where(radial * pixel < math.pi, spectrum / ramp, 0.0)
