"""Blur by the spot of a lens: convolution with a disc or polygon of any fractional radius."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from .aperture import Aperture


class SpotBlur:
    """Convolves pictures of one size with lens spots, through the spots' exact Fourier transform.

    A spot has an edge, so drawing it on a pixel grid is inexact where it matters, below two pixels.
    Its transform is known in closed form and needs no drawing.

    Args:
        size: (height, width) of the pictures, px.
        margin: px of reflected border around the pictures; at least the largest radius.
        aperture: shape of the lens opening.
        device: where the pictures are.
    """

    def __init__(
        self, size: tuple[int, int], margin: int, aperture: Aperture, device: torch.device
    ) -> None:
        self._size = size
        # Reflection cannot reach further than the picture itself.
        self._margin = tuple(min(margin, side - 1) for side in size)
        self._padded = tuple(
            _fast_size(side + 2 * pad) for side, pad in zip(size, self._margin, strict=True)
        )
        self._aperture = aperture
        height, width = self._padded
        # The closed forms cancel at small radii: float64, except where Apple's devices lack it.
        exact = torch.float32 if device.type == "mps" else torch.float64
        self._fy = 2 * math.pi * torch.fft.fftfreq(height, dtype=exact, device=device)
        self._fx = 2 * math.pi * torch.fft.rfftfreq(width, dtype=exact, device=device)

    def transform(self, planes: Tensor) -> Tensor:
        """Return the spectrum of [C,H,W] pictures with their borders reflected, for `blur`."""
        top, left = self._margin
        padded = functional.pad(planes[None], (left, left, top, top), mode="reflect")
        bottom = self._padded[0] - padded.shape[2]
        right = self._padded[1] - padded.shape[3]
        padded = functional.pad(padded, (0, right, 0, bottom), mode="replicate")
        return torch.fft.rfft2(padded[0], s=self._padded)

    def blur(self, spectrum: Tensor, radius: float) -> Tensor:
        """Return the pictures of a spectrum, [C,H,W], blurred by a spot.

        Args:
            spectrum: [C,…], from `transform`.
            radius: px; positive in front of the focus plane, negative behind it, where the spot
                is turned by 180°.
        """
        return self._crop(spectrum * self.spot(radius))

    def _crop(self, spectrum: Tensor) -> Tensor:
        blurred = torch.fft.irfft2(spectrum, s=self._padded)
        top, left = self._margin
        return blurred[:, top : top + self._size[0], left : left + self._size[1]]

    def convolve(self, planes: Tensor, radius: float) -> Tensor:
        """Return [C,H,W] pictures blurred by a spot, as `blur` of `transform`, in less memory."""
        spot = self.spot(radius)
        out = torch.empty_like(planes)
        for plane, blurred in zip(planes.split(1), out.split(1), strict=True):
            blurred.copy_(self._crop(self.transform(plane).mul_(spot)))
        return out

    def spot(self, radius: float) -> Tensor:
        """Return the Fourier transform of the spot of one radius, px; its sum is 1."""
        # Equal area: width and height of the spot stand in the ratio `anamorphic`.
        stretch = math.sqrt(self._aperture.anamorphic)
        fy, fx = self._fy * radius / stretch, self._fx * radius * stretch
        if self._aperture.blades == 0:
            return _disc_spectrum(torch.hypot(fy[:, None], fx)).to(torch.float32)
        spectrum = _polygon_spectrum(fy, fx, self._aperture.blades, self._aperture.rotation)
        return spectrum.to(torch.complex64)


def _fast_size(size: int) -> int:
    """Return the smallest even size >= `size` with no prime factor above 5."""
    while size % 2 or not _is_smooth(size):
        size += 1
    return size


def _is_smooth(size: int) -> bool:
    for prime in (2, 3, 5):
        while size % prime == 0:
            size //= prime
    return size == 1


def _disc_spectrum(k: Tensor) -> Tensor:
    """Return the transform 2 J1(k)/k of a unit disc of unit weight, at radial frequency k."""
    safe = k.clamp(min=1e-6)
    return torch.where(k < 1e-6, 1.0, 2 * torch.special.bessel_j1(safe) / safe)


def _polygon_spectrum(ky: Tensor, kx: Tensor, blades: int, rotation: float) -> Tensor:
    """Return the transform of a unit polygon of unit weight, [len(ky),len(kx)], complex.

    Divergence theorem: F(k) = i/|k|² Σ_edges (k × e) · (integral of exp(-i k·x) along the edge).
    """
    angles = torch.arange(blades + 1, dtype=ky.dtype, device=ky.device) * (2 * math.pi / blades)
    angles = angles + math.radians(rotation)
    xs, ys = torch.cos(angles), torch.sin(angles)
    square = ky[:, None] ** 2 + kx**2
    total = torch.zeros_like(square, dtype=torch.promote_types(ky.dtype, torch.complex64))
    for i in range(blades):
        dx, dy = float(xs[i + 1] - xs[i]), float(ys[i + 1] - ys[i])
        mid_x, mid_y = float(xs[i + 1] + xs[i]) / 2, float(ys[i + 1] + ys[i]) / 2
        along = (ky[:, None] * dy + kx * dx) / (2 * math.pi)
        phase = torch.polar(torch.ones_like(ky), -ky * mid_y)[:, None] * torch.polar(
            torch.ones_like(kx), -kx * mid_x
        )
        total += (kx * dy - ky[:, None] * dx) * torch.sinc(along) * phase
    area = blades / 2 * math.sin(2 * math.pi / blades)
    small = square < 1e-8
    return torch.where(small, 1.0, 1j * total / (square.clamp(min=1e-8) * area))
