"""The pupil of a lens whose Fourier transform has no formula: drawn as a mask, then transformed.

The aperture mask is the light over the pupil on a fine grid, in units of the blur radius. Its
Fourier transform at the frequencies of a picture is a product of matrices, F = E_y M E_x^T, for any
blur radius; nothing is interpolated, and nothing is drawn on the picture's own grid.
"""

import functools
import math

import torch
from torch import Tensor

from ..devices import exact_float32
from .aperture import Aperture
from .outline import distance_inside, regular_corners
from .special import sine_quotient

SMALLEST, LARGEST = 128, 1024  # px of a mask's side
PER_RADIUS = 4  # px of a mask for each px of blur radius


def mask_size(radius: float) -> int:
    """Return the side of the aperture mask, px, for a blur radius, px: a power of two.

    Example:
        >>> mask_size(3.0), mask_size(-70.0), mask_size(1e9)
        (128, 512, 1024)
    """
    wanted = max(SMALLEST, PER_RADIUS * abs(radius))
    return min(LARGEST, 1 << math.ceil(math.log2(wanted)))


@functools.lru_cache(maxsize=32)
def aperture_mask(
    aperture: Aperture,
    size: int,
    front: bool,
    vignetting: tuple[float, float] = (0.0, 0.0),
    device: torch.device | None = None,
    leaf: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    """Return the light over the pupil, [size,size], float32, rows down, summing to 1.

    The grid reaches from -1 - h to 1 + h blur radii, h the side of its pixels. `anamorphic` is left
    to the frequencies. The last 32 masks are kept, at most 4 MiB each; they are not to be changed.

    Args:
        aperture: shape of the aperture and light over it.
        size: px, as from `mask_size`.
        front: the PSF of what lies in front of the focus plane; its aberration is turned over.
        vignetting: (down, right) in radii, where the middle of the circle of optical vignetting is.
        device: where the mask is made.
        leaf: (down, right) in radii, where the middle of one of the two circles of `swirl` is; the
            other lies opposite.

    Reference:
        Optical vignetting: the pupil seen at an angle is the overlap of two circles; of three
        where both ends of the barrel cut it. Spherical
        aberration: light over the PSF 1 + s (2ρ² − 1), whose mean over the disc is 1.

    Example:
        >>> mask = aperture_mask(Aperture(blades=5, curvature=0.3), 128, front=True)
        >>> mask.shape, round(float(mask.sum()), 4)
        (torch.Size([128, 128]), 1.0)
    """
    half, pixel = _grid(size)
    at = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * pixel - half
    y, x = at[:, None], at[None, :]
    inside = _distance_inside(y, x, aperture)
    circles = [vignetting] if aperture.cat_eye else []
    circles += [leaf, (-leaf[0], -leaf[1])] if aperture.swirl else []
    for down, right in circles:
        if down or right:
            inside = torch.minimum(inside, 1 - torch.hypot(y - down, x - right))
    if aperture.obstruction:
        inside = torch.minimum(inside, torch.hypot(y, x) - aperture.obstruction)
    light = (inside / pixel + 0.5).clamp(0, 1)
    if aperture.picture is not None:
        light = light * aperture.picture.mask(size, device)
    bubble = -aperture.spherical_aberration if front else aperture.spherical_aberration
    if bubble:
        light = light * (1 + bubble * (2 * (y * y + x * x).clamp(max=1) - 1))
    return light / light.sum()


def _grid(size: int) -> tuple[float, float]:
    """Return half the side of a mask and the side of its pixels, radii."""
    half = size / (size - 2)
    return half, 2 * half / size


def _distance_inside(y: Tensor, x: Tensor, aperture: Aperture) -> Tensor:
    """Return how far inside the aperture each place lies, radii; negative outside."""
    if aperture.picture is not None:  # it has its own edges, up to the corners of its square
        return torch.full_like(y + x, 2.0)
    if aperture.is_round:
        return 1 - torch.hypot(y, x)
    corners = regular_corners(aperture.blades, aperture.rotation)
    return distance_inside(y, x, corners, aperture.curvature)


def mask_transform(mask: Tensor, ky: Tensor, kx: Tensor) -> Tensor:
    """Return the Fourier transform of an aperture mask, [len(ky),len(kx)], complex64.

    Args:
        mask: [n,n], as from `aperture_mask`.
        ky: [h], frequencies down, radians for each blur radius.
        kx: [w], frequencies to the right, likewise.

    Example:
        >>> zero = torch.zeros(1)
        >>> mask_transform(aperture_mask(Aperture(), 128, front=True), zero, zero).abs()
        tensor([[1.0000]])
    """
    return MaskTransform(len(mask), ky, kx)(mask)


class MaskTransform:
    """The Fourier transform of aperture masks of one size at the same frequencies.

    Args:
        size: side of the masks.
        ky: [h], frequencies down, radians for each blur radius.
        kx: [w], frequencies to the right, likewise.

    Example:
        >>> zero = torch.zeros(1)
        >>> MaskTransform(128, zero, zero)(aperture_mask(Aperture(), 128, front=True)).abs()
        tensor([[1.0000]])
    """

    def __init__(self, size: int, ky: Tensor, kx: Tensor) -> None:
        half, pixel = _grid(size)
        at = (torch.arange(size, device=ky.device, dtype=ky.dtype) + 0.5) * pixel - half
        phase_y, phase_x = ky[:, None] * at, kx[:, None] * at
        self._cos_y, self._sin_y = torch.cos(phase_y).float(), torch.sin(phase_y).float()
        self._cos_x, self._sin_x = torch.cos(phase_x).float(), torch.sin(phase_x).float()
        # Edges are drawn as ramps one pixel wide; frequencies past the mask's own hold nothing.
        radial = torch.hypot(ky[:, None], kx).float()
        self._ramp = sine_quotient(radial * (pixel / 2)).clamp(min=0.5)
        self._held = radial * pixel < math.pi

    def __call__(self, mask: Tensor) -> Tensor:
        """Return the transform of a mask [n,n], [h,w], complex64."""
        cos_y, sin_y = self._cos_y, self._sin_y
        with exact_float32():
            by_cos, by_sin = mask @ self._cos_x.T, mask @ self._sin_x.T
            real, imaginary = cos_y @ by_cos - sin_y @ by_sin, -(sin_y @ by_cos + cos_y @ by_sin)
        return torch.where(self._held, torch.complex(real, imaginary) / self._ramp, 0.0)
