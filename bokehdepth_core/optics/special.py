"""Special functions of the transforms of a disc and a polygon, also where PyTorch lacks them.

PyTorch has no Bessel functions and no `sinc` on Apple's devices in all the versions in use.
"""

import torch
from torch import Tensor

# Abramowitz and Stegun, Handbook of Mathematical Functions, 9.4.4 and 9.4.6: of J1(x)/x in (x/3)²
# up to 3, and of amplitude and phase of √x J1(x) in 3/x from there on. Largest errors: 1.3e-8,
# 4e-8 and 9e-8.
_NEAR = (0.5, -0.56249985, 0.21093573, -0.03954289, 0.00443319, -0.00031761, 0.00001109)
_AMPLITUDE = (
    0.79788456,
    0.00000156,
    0.01659667,
    0.00017105,
    -0.00249511,
    0.00113653,
    -0.00020033,
)
_PHASE = (-2.35619449, 0.12499612, 0.00005650, -0.00637879, 0.00074348, 0.00079824, -0.00029166)
_JOIN = 3.0
_SMALLEST = 1e-6  # below it 2 J1(k)/k is 1 to the last bit


def jinc(k: Tensor) -> Tensor:
    """Return 2 J1(k)/k, the Fourier transform of a unit disc of unit weight at radial frequency k.

    Args:
        k: any shape, radians per radius, >= 0.

    Returns:
        Like `k`; 1 at 0.

    Reference:
        Goodman, Introduction to Fourier Optics: the Airy pattern's amplitude. J1 on Apple's devices
        after Abramowitz and Stegun 9.4.4 and 9.4.6.

    Example:
        >>> jinc(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.8801])
        >>> bool(jinc(torch.tensor(3.8317)).abs() < 1e-5)  # the first dark ring
        True
    """
    if k.device.type == "mps":
        return jinc_by_polynomials(k)
    safe = k.clamp(min=_SMALLEST)
    return torch.where(k < _SMALLEST, 1.0, 2 * torch.special.bessel_j1(safe) / safe)


def jinc_by_polynomials(k: Tensor) -> Tensor:
    """Return `jinc` by Abramowitz and Stegun's polynomials, at most 3e-8 off, plus rounding.

    Args:
        k: any shape, >= 0.

    Example:
        >>> jinc_by_polynomials(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.8801])
    """
    near = _polynomial(_NEAR, (k / _JOIN).clamp_(max=1).square_())
    far = k.clamp(min=_JOIN)
    inverse = _JOIN / far
    wave = _polynomial(_PHASE, inverse).add_(far).cos_().mul_(_polynomial(_AMPLITUDE, inverse))
    return torch.where(k <= _JOIN, near, wave.div_(far.sqrt().mul_(far))).mul_(2)


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    total = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total.mul_(x).add_(coefficient)
    return total


def sine_quotient(x: Tensor) -> Tensor:
    """Return sin(x)/x, any shape; 1 at 0.

    Example:
        >>> sine_quotient(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.8415])
    """
    return torch.where(x == 0, 1.0, torch.sin(x) / x)
