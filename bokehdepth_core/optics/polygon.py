"""The Fourier transform of a regular polygon: of the aperture of a lens with straight blades.

All terms of its closed form are sines and cosines of a y k_y + b x k_x. They are products of those
along rows and along columns, by the addition theorems, so no sine is computed for each frequency.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor

from ..boxes import rows_at_once
from .special import sine_quotient

# Up to this |k|² the polygon's transform is its series 1 − ⟨(k·x)²⟩/2, by number type. The closed
# form divides by |k|² what cancels to about |k|: it errs by about eps/|k|, the series by |k|³/60.
_SERIES_UP_TO = {torch.float64: 1e-8, torch.float32: 2e-3}
_NEXT_TO_NOTHING = 1e-12  # as sin(u)/u is (u sin(u) + this) / (u² + this), wrong by less than this


def mirrors_rows(blades: int, rotation: float) -> bool:
    """Return whether a polygon is its own mirror image upside down.

    Args:
        blades: number of corners.
        rotation: angle of one corner, degrees, from +x.

    Example:
        >>> mirrors_rows(6, 0.0), mirrors_rows(6, 30.0), mirrors_rows(6, 10.0)
        (True, True, False)
    """
    turns = rotation * blades / 180
    return turns == round(turns)


def polygon_transform(ky: Tensor, kx: Tensor, blades: int, rotation: float) -> Tensor:
    """Return the Fourier transform of a regular polygon of unit weight in the unit circle.

    Args:
        ky: [h], frequencies down, radians per circumradius, float32 or float64.
        kx: [w], frequencies to the right, likewise.
        blades: number of corners, >= 3.
        rotation: angle of one corner, degrees, from +x towards +y.

    Returns:
        [h,w], 1 at frequency 0: float32 of an even number of corners, else complex64.

    Reference:
        Divergence theorem, as in S.-W. Lee and R. Mittra, Fourier transform of a polygonal shape
        function, IEEE Trans. Antennas and Propagation 1983:
        F(k) = i/(A |k|²) Σ_edges (k × e) sinc(k·e/2) exp(−i k·m), e an edge and m its middle.
        Of an even number the terms of opposite edges are conjugate, and F is real.

    Example:
        >>> zero = torch.zeros(1)
        >>> polygon_transform(zero, zero, blades=5, rotation=0.0)
        tensor([[1.+0.j]])
        >>> polygon_transform(zero, zero, blades=6, rotation=0.0)
        tensor([[1.]])
    """
    # Corners are numbers of the host: reading them from a device would wait for it each time.
    angles = [math.radians(rotation) + 2 * math.pi * i / blades for i in range(blades + 1)]
    corners = [(math.cos(angle), math.sin(angle)) for angle in angles]
    even = blades % 2 == 0
    edges = [_Edge(ky, kx, *ends) for ends in pairwise(corners)][: blades // 2 if even else blades]
    kind = torch.float32 if even else torch.complex64
    out = torch.empty(len(ky), len(kx), dtype=kind, device=ky.device)
    area = blades / 2 * math.sin(2 * math.pi / blades) / (2 if even else 1)
    # The polar second moment over the area; by symmetry the same along every axis.
    moment = (2 + math.cos(2 * math.pi / blades)) / 6
    join = _SERIES_UP_TO[ky.dtype]
    for rows in rows_at_once(len(ky), len(kx), ky.device):
        square = ky[rows, None] ** 2 + kx**2
        near, divisor = square < join, square.clamp(min=join).mul_(area)
        real, imaginary = torch.zeros_like(square), torch.zeros_like(square)
        for edge in edges:
            weight = edge.weight(rows)
            real.addcmul_(weight, edge.middle.sines(rows))
            if not even:
                imaginary.addcmul_(weight, edge.middle.cosines(rows))
        real = torch.where(near, 1 - moment / 4 * square, real.div_(divisor))
        if even:
            out[rows] = real
        else:
            out[rows] = torch.complex(real, imaginary.div_(divisor).masked_fill_(near, 0))
    return out


class _Form:
    """y·k_y + x·k_x at all frequencies, and its sine and cosine, some rows at a time.

    Args:
        ky: [h], frequencies down.
        kx: [w], frequencies to the right.
        y: times ky.
        x: times kx.
    """

    def __init__(self, ky: Tensor, kx: Tensor, y: float, x: float) -> None:
        self._down, self._right = ky[:, None] * y, kx * x
        self._sines = self._down.sin(), self._right.sin()
        self._cosines = self._down.cos(), self._right.cos()

    def values(self, rows: slice) -> Tensor:
        """Return the form itself, [rows,w]."""
        return self._down[rows] + self._right

    def sines(self, rows: slice) -> Tensor:
        """Return its sine, [rows,w]."""
        one = self._sines[0][rows] * self._cosines[1]
        return one.addcmul_(self._cosines[0][rows], self._sines[1])

    def cosines(self, rows: slice) -> Tensor:
        """Return its cosine, [rows,w]."""
        one = self._cosines[0][rows] * self._cosines[1]
        return one.addcmul_(self._sines[0][rows], self._sines[1], value=-1)


class _Edge:
    """An edge e of the polygon, from corner to corner, (x, y) each.

    Attributes:
        middle: k·m, m its middle.
    """

    def __init__(
        self, ky: Tensor, kx: Tensor, begin: tuple[float, float], end: tuple[float, float]
    ) -> None:
        (x0, y0), (x1, y1) = begin, end
        self.middle = _Form(ky, kx, (y0 + y1) / 2, (x0 + x1) / 2)
        self._half = _Form(ky, kx, (y1 - y0) / 2, (x1 - x0) / 2)
        self._across = _Form(ky, kx, x0 - x1, y1 - y0)

    def weight(self, rows: slice) -> Tensor:
        """Return (k × e) sinc(k·e/2), [rows,w]."""
        half, across = self._half.values(rows), self._across.values(rows)
        if half.dtype != torch.float64:  # rounding of the products is too much for the quotient
            return across.mul_(sine_quotient(half))
        nothing = half.new_full((), _NEXT_TO_NOTHING)
        quotient = torch.addcmul(nothing, half, self._half.sines(rows))
        return across.mul_(quotient).div_(torch.addcmul(nothing, half, half, out=half))
