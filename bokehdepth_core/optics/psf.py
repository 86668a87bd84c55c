"""Blur by the spot of a lens: convolution with a disc or polygon of any fractional radius."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from .aperture import Aperture
from .field import Field, Window, cut_windows, reflected
from .pupil import draw_opening, drawing_size, opening_spectrum


class SpotBlur:
    """Convolves pictures of one size with lens spots, through the spots' exact Fourier transform.

    A spot has an edge, so drawing it on a pixel grid is inexact where it matters, below two pixels.
    The transform of an evenly bright disc or polygon is known in closed form; others are drawn
    finer than any picture (`pupil.py`).

    Args:
        size: (height, width) of the pictures, px.
        margin: px of reflected border around the pictures; at least the largest radius.
        aperture: shape of the lens opening.
        device: where the pictures are.
        field: where they lie in the whole picture; None where they are the whole. A lens with
            `cat_eye` has another spot at each place, which `convolve` alone can do.
    """

    def __init__(
        self,
        size: tuple[int, int],
        margin: int,
        aperture: Aperture,
        device: torch.device,
        field: Field | None = None,
    ) -> None:
        self._size = size
        self._border = margin
        self._field = field or Field(*size)
        # Reflection cannot reach further than the picture itself.
        self._margin = tuple(min(margin, side - 1) for side in size)
        self._padded = tuple(
            _fast_size(side + 2 * pad) for side, pad in zip(size, self._margin, strict=True)
        )
        self._aperture = aperture
        self._frequencies = _frequencies(self._padded, device)

    def transform(self, planes: Tensor) -> Tensor:
        """Return the spectrum of [C,H,W] pictures with their borders reflected, for `blur`.

        Raises:
            ValueError: a lens with another spot at each place.
        """
        if self._aperture.cat_eye:
            raise ValueError(
                f"aperture: cat_eye {self._aperture.cat_eye:g} changes the spot over the picture, "
                "and one spot is needed here. Use 0."
            )
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
        if self._aperture.cat_eye:
            return self._convolve_in_windows(planes, radius)
        spot = self.spot(radius)
        out = torch.empty_like(planes)
        for plane, blurred in zip(planes.split(1), out.split(1), strict=True):
            blurred.copy_(self._crop(self.transform(plane).mul_(spot)))
        return out

    def spot(self, radius: float) -> Tensor:
        """Return the Fourier transform of the spot of one radius, px; its sum is 1."""
        return _spectrum(self._aperture, radius, *self._frequencies)

    def _convolve_in_windows(self, planes: Tensor, radius: float) -> Tensor:
        out = torch.zeros_like(planes)
        reach = math.ceil(abs(radius) * self._aperture.reach) + 2
        border = min(self._border, reach, max(self._size))
        bordered = tuple(side + 2 * border for side in self._size)
        for window in cut_windows(bordered, self._field.bordered(border), planes.device):
            rows, columns = _moved(window.rows, -border), _moved(window.columns, -border)
            part = reflected(planes, rows, columns)
            if part.any():
                part = functional.pad(part.mul_(window.share), (border,) * 4)
                rows, columns = _moved(rows, -border), _moved(columns, -border)
                _add_at(out, self._blur_part(part, window, radius), rows.start, columns.start)
        return out

    def _blur_part(self, part: Tensor, window: Window, radius: float) -> Tensor:
        height, width = part.shape[1:]
        size = (_fast_size(height), _fast_size(width))
        spot = self._spot_of(window, radius, size)
        spectrum = torch.fft.rfft2(part, s=size).mul_(spot)
        return torch.fft.irfft2(spectrum, s=size)[:, :height, :width]

    def _spot_of(self, window: Window, radius: float, size: tuple[int, int]) -> Tensor:
        hidden = tuple(self._aperture.cat_eye * offset for offset in window.off_axis)
        frequencies = _frequencies(size, window.share.device)
        return _spectrum(self._aperture, radius, *frequencies, hidden)


def _moved(place: slice, by: int) -> slice:
    return slice(place.start + by, place.stop + by)


def _add_at(out: Tensor, part: Tensor, top: int, left: int) -> None:
    """Add a part to pictures where it lies; what lies outside of them is lost."""
    first, first_column = max(0, -top), max(0, -left)
    last = min(part.shape[1], out.shape[1] - top)
    last_column = min(part.shape[2], out.shape[2] - left)
    if first < last and first_column < last_column:
        out[:, top + first : top + last, left + first_column : left + last_column] += part[
            :, first:last, first_column:last_column
        ]


def _frequencies(size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the frequencies down and to the right, radians per px, of `rfft2` at a size."""
    # The closed forms cancel at small radii: float64, except where Apple's devices lack it.
    exact = torch.float32 if device.type == "mps" else torch.float64
    return (
        2 * math.pi * torch.fft.fftfreq(size[0], dtype=exact, device=device),
        2 * math.pi * torch.fft.rfftfreq(size[1], dtype=exact, device=device),
    )


def _spectrum(
    aperture: Aperture,
    radius: float,
    fy: Tensor,
    fx: Tensor,
    hidden: tuple[float, ...] = (0.0, 0.0),
) -> Tensor:
    """Return the transform of the spot of one radius, px, at frequencies down and to the right."""
    # Equal area: width and height of the spot stand in the ratio `anamorphic`.
    stretch = math.sqrt(aperture.anamorphic)
    fy, fx = fy * radius / stretch, fx * radius * stretch
    if not aperture.is_even:
        drawing = draw_opening(aperture, drawing_size(radius), radius > 0, hidden, fy.device)
        return opening_spectrum(drawing, fy, fx)
    if aperture.is_round:
        return _disc_spectrum(torch.hypot(fy[:, None], fx)).to(torch.float32)
    return _polygon_spectrum(fy, fx, aperture.blades, aperture.rotation).to(torch.complex64)


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
