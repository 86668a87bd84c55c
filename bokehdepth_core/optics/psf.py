"""Blur by a lens: convolution of pictures with its point spread function (PSF) of any radius.

The convolution is a product of Fourier transforms. A PSF has a sharp edge, so drawing it on the
pixels' grid is inexact where it matters, below two pixels. Its transform, the optical transfer
function, is therefore not computed from a drawing on that grid: of an evenly bright disc or polygon
it is known in closed form, and other apertures are drawn finer than any picture (`pupil.py`).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..boxes import Box, box_area, box_around, rows_at_once
from ..devices import exact_dtype
from .aperture import Aperture
from .field import Field, cut_windows, reflected, windows_across
from .polygon import mirrors_rows, polygon_transform
from .pupil import MaskTransform, aperture_mask, mask_size, mask_transform
from .special import jinc_by_polynomials

RINGING = 16  # px beyond the PSF's edge from which on its ringing is left out
SMALL = 2**17  # pixels of planes that are transformed together
WORTH_CUTTING = 2 / 3  # of a picture; a part that is larger is blurred no sooner than the whole


class LensBlur:
    """Convolves pictures of one size with a lens's PSF of any radius.

    Args:
        size: (height, width) of the pictures, px.
        margin: px of reflected border around the pictures; at least the largest radius.
        aperture: shape of the lens's aperture.
        device: where the pictures are.
        field: where they lie in the whole picture; None where they are the whole. A lens with
            `cat_eye` or `swirl` has another PSF at each place, which `convolve` alone can do.
        wraps: whether left and right border join; for a lens with one PSF.

    Example:
        >>> blur = LensBlur((32, 32), 6, Aperture(), torch.device("cpu"))
        >>> lamp = torch.zeros(1, 32, 32)
        >>> lamp[0, 16, 16] = 1
        >>> disc = blur.convolve(lamp, radius=4.0)
        >>> round(float(disc[0, 16, 16]) * 3.14159 * 4**2)  # light spread over π r² pixels
        1
    """

    def __init__(
        self,
        size: tuple[int, int],
        margin: int,
        aperture: Aperture,
        device: torch.device,
        field: Field | None = None,
        *,
        wraps: bool = False,
    ) -> None:
        self._size, self._wraps = size, wraps
        self._border = margin
        self._field = field or Field(*size)
        # Reflection cannot reach further than the picture itself. A discrete Fourier transform is
        # that of a picture that repeats, so a picture that does needs no border and no other size.
        self._padded = (
            _fast_size(size[0] + 2 * min(margin, size[0] - 1)),
            size[1] if wraps else _fast_size(size[1] + 2 * min(margin, size[1] - 1)),
        )
        self._margin = (self._padded[0] - size[0]) // 2, (self._padded[1] - size[1]) // 2
        self._aperture = aperture
        self._frequencies = _frequencies(self._padded, device)

    def transform(self, planes: Tensor) -> Tensor:
        """Return the spectrum of [C,H,W] pictures with their borders reflected, for `blur`.

        Raises:
            ValueError: a lens with another PSF at each place.
        """
        if self._aperture.changes_over_field:
            name = "cat_eye" if self._aperture.cat_eye else "swirl"
            raise ValueError(
                f"aperture: {name} {getattr(self._aperture, name):g} changes the blur over the "
                "picture, and one blur for all of it is needed here. Use 0."
            )
        spectrum: Tensor = torch.fft.rfft2(_surrounded(planes, self._padded))
        return spectrum

    def blur(self, spectrum: Tensor, radius: float) -> Tensor:
        """Return the pictures of a spectrum, [C,H,W], blurred by the PSF of one radius.

        Args:
            spectrum: [C,…], from `transform`.
            radius: px; positive in front of the focus plane, negative behind it, where the PSF
                is turned by 180°.
        """
        return self._crop(spectrum * self.transfer_function(radius))

    def _crop(self, spectrum: Tensor) -> Tensor:
        blurred: Tensor = torch.fft.irfft2(spectrum, s=self._padded)
        top, left = self._margin
        return blurred[:, top : top + self._size[0], left : left + self._size[1]]

    def place_around(self, box: Box, radius: float) -> Box:
        """Return where the light of a box of the pictures goes: what `convolve` is to be given.

        It is the whole picture where a part of it would be no quicker, and where the PSF changes
        over the picture or left and right border join.
        """
        height, width = self._size
        rows, columns = box_around(box, self.reach(radius), self._size)
        whole = self._wraps or self._aperture.changes_over_field
        if whole or box_area((rows, columns)) > WORTH_CUTTING * height * width:
            return slice(0, height), slice(0, width)
        return rows, columns

    def reach(self, radius: float) -> int:
        """Return how far, px, light goes at a defocus, px, with the ringing that is kept."""
        return math.ceil(abs(radius) * self._aperture.support_radius) + RINGING

    def convolve(self, planes: Tensor, radius: float, place: Box | None = None) -> Tensor:
        """Return pictures, or a part of them, blurred by a PSF, as `blur` of `transform`.

        Args:
            planes: [C,H,W], or [C,h,w], the part; the pictures are 0 elsewhere, and near the part's
                ends inside of them.
            radius: px, as `blur` takes it.
            place: rows and columns of the part, from `place_around`; None for all.
        """
        all_of_it = (slice(0, self._size[0]), slice(0, self._size[1]))
        if place is None or place == all_of_it:
            return self._convolve_whole(planes, radius)
        rows, columns = place
        reach = self.reach(radius)
        top, bottom, height = _reflection(rows, self._size[0], reach)
        left, right, width = _reflection(columns, self._size[1], reach)
        frequencies = _frequencies((height, width), planes.device)
        transfer = _transfer_function(self._aperture, radius, *frequencies)
        out = torch.empty_like(planes)
        # One by one, for memory, but small ones together: many short steps take long on their own.
        count = max(1, SMALL // (height * width))
        for start in range(0, len(planes), count):
            some, blurred = planes[start : start + count], out[start : start + count]
            padded = functional.pad(some[None], (left, right, top, bottom), mode="reflect")[0]
            spectrum = torch.fft.rfft2(padded, s=(height, width)).mul_(transfer)
            found = torch.fft.irfft2(spectrum, s=(height, width))
            blurred[:] = found[:, top : top + some.shape[1], left : left + some.shape[2]]
        return out

    def _convolve_whole(self, planes: Tensor, radius: float) -> Tensor:
        if self._aperture.changes_over_field:
            return self._convolve_in_windows(planes, radius)
        transfer = self.transfer_function(radius)
        out = torch.empty_like(planes)
        for index in range(len(planes)):
            plane = planes[index : index + 1]
            out[index : index + 1] = self._crop(self.transform(plane).mul_(transfer))
        return out

    def transfer_function(self, radius: float) -> Tensor:
        """Return the Fourier transform of the PSF of one radius, px; 1 at frequency 0.

        Returns:
            [padded height, padded width / 2 + 1], real where the PSF is symmetric.
        """
        return _transfer_function(self._aperture, radius, *self._frequencies)

    def _convolve_in_windows(self, planes: Tensor, radius: float) -> Tensor:
        """Blur what is seen around each window by the PSF of its middle, and lay them together."""
        out = torch.zeros_like(planes)
        support = math.ceil(abs(radius) * self._aperture.support_radius) + 2
        border = min(self._border, support, max(self._size))
        across = windows_across(self._aperture, radius, self._field)
        windows = list(cut_windows(self._size, self._field, planes.device, across))
        # All parts have one size, and reach into what lies around: an even picture stays even.
        side_y, side_x = (
            _fast_size(max(place.stop - place.start for place in places) + 2 * border)
            for places in ([one.rows for one in windows], [one.columns for one in windows])
        )
        frequencies = _frequencies((side_y, side_x), planes.device)
        transfer = FieldTransfer(self._aperture, radius, *frequencies)
        # Row and column 0 of the bordered pictures are `border` px above and left of the pictures.
        places = [
            (_from(one.rows.start, side_y), _from(one.columns.start, side_x)) for one in windows
        ]
        last_y, last_x = (max(place[axis].stop for place in places) for axis in (0, 1))
        bordered = reflected(
            planes, slice(-border, last_y - border), slice(-border, last_x - border)
        )
        # Layers are mostly empty. All windows are asked at once, as each answer waits for a GPU.
        lit = (bordered != 0).any(0)
        is_lit = torch.stack([lit[place].any() for place in places]).tolist()
        for window, (rows, columns), one_is_lit in zip(windows, places, is_lit, strict=True):
            if one_is_lit:
                spectrum = torch.fft.rfft2(bordered[:, rows, columns])
                spectrum = spectrum.mul_(transfer.at(window.off_axis))
                blurred = torch.fft.irfft2(spectrum, s=(side_y, side_x))
                height, width = window.share.shape
                own = blurred[:, border : border + height, border : border + width]
                out[:, window.rows, window.columns] += own * window.share
        return out


def _surrounded(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return planes [C,H,W] as high and wide as said, reflected alike at opposite ends.

    Where the number of rows or columns to add is odd, the last one is the mean of both ends.
    """
    (top, odd_row), (left, odd_column) = (
        divmod(whole - side, 2) for whole, side in zip(size, planes.shape[1:], strict=True)
    )
    down, right = min(top, planes.shape[1] - 1), min(left, planes.shape[2] - 1)
    planes = functional.pad(planes, (right, right, down, down), mode="reflect")
    if (down, right) != (top, left):
        beyond = (left - right, left - right, top - down, top - down)
        planes = functional.pad(planes, beyond, mode="replicate")
    if odd_column:
        planes = torch.cat([planes, (planes[..., :1] + planes[..., -1:]) / 2], dim=-1)
    if odd_row:
        planes = torch.cat([planes, (planes[:, :1] + planes[:, -1:]) / 2], dim=1)
    return planes


def _from(start: int, length: int) -> slice:
    return slice(start, start + length)


def _reflection(part: slice, side: int, reach: int) -> tuple[int, int, int]:
    """Return by how many px an axis of a part is reflected at both ends, and the transform's size.

    A part that ends inside of the picture is empty near that end, and needs no border.
    """
    border = min(reach, side - 1)  # reflection cannot reach further than the picture itself
    before, after = border * (part.start == 0), border * (part.stop == side)
    # The transform is periodic: what a reflected end spreads out must not come in at the other.
    return before, after, _fast_size(part.stop - part.start + 2 * reach * bool(before or after))


class FieldTransfer:
    """Fourier transforms of the PSFs that one blur radius has over the picture.

    Args:
        aperture: with `cat_eye` or `swirl`.
        radius: px, signed.
        fy: [h], frequencies down, radians per px, of `rfft2`.
        fx: [w], frequencies to the right.

    Example:
        >>> grid = _frequencies((16, 16), torch.device("cpu"))
        >>> transfer = FieldTransfer(Aperture(cat_eye=0.5), 3.0, *grid)
        >>> transfer.at((0.4, -0.3)).shape
        torch.Size([16, 9])
    """

    def __init__(self, aperture: Aperture, radius: float, fy: Tensor, fx: Tensor) -> None:
        self._aperture, self._front = aperture, radius > 0
        stretch = math.sqrt(aperture.anamorphic)
        ky, kx = fy * radius / stretch, fx * radius * stretch
        self._size, self._device = mask_size(radius), ky.device
        self._transform = MaskTransform(self._size, ky, kx)
        self._known: dict[tuple[float, float], Tensor] = {}

    def at(self, off_axis: tuple[float, float]) -> Tensor:
        """Return the transform, [h,w], at a place: (down, right) in half diagonals.

        A round aperture is its own mirror image, and so is the PSF on the other side of the
        picture's middle: F(−k_y, k_x), and F(k_y, −k_x) = F*(−k_y, k_x) of a real PSF. So a quarter
        of the picture is transformed.
        """
        down, right = off_axis
        if not self._aperture.is_round:
            return self._drawn(off_axis)
        found = self._drawn((abs(down), abs(right)))
        if (down < 0) != (right < 0):
            found = found.flip(0).roll(1, 0)
        return torch.conj_physical(found) if right < 0 else found

    def _drawn(self, off_axis: tuple[float, float]) -> Tensor:
        key = (round(off_axis[0], 6), round(off_axis[1], 6))
        if key not in self._known:
            one = self._aperture
            vignetting = (one.cat_eye * off_axis[0], one.cat_eye * off_axis[1])
            leaf = (one.swirl * off_axis[0], one.swirl * off_axis[1])
            mask = aperture_mask(one, self._size, self._front, vignetting, self._device, leaf)
            self._known[key] = self._transform(mask)
        return self._known[key]


def _frequencies(size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the frequencies down and to the right, radians per px, of `rfft2` at a size."""
    exact = exact_dtype(device)  # the polygon's closed form cancels at low frequencies
    return (
        2 * math.pi * torch.fft.fftfreq(size[0], dtype=exact, device=device),
        2 * math.pi * torch.fft.rfftfreq(size[1], dtype=exact, device=device),
    )


def _transfer_function(aperture: Aperture, radius: float, fy: Tensor, fx: Tensor) -> Tensor:
    """Return the transform of the PSF of one radius, px, at frequencies down and to the right."""
    # Equal area: width and height of the PSF stand in the ratio `anamorphic`.
    stretch = math.sqrt(aperture.anamorphic)
    ky, kx = fy * radius / stretch, fx * radius * stretch
    if not aperture.has_closed_form:
        mask = aperture_mask(aperture, mask_size(radius), radius > 0, device=ky.device)
        return mask_transform(mask, ky, kx)
    blades, rotation = aperture.blades, aperture.rotation
    if not aperture.is_round and not mirrors_rows(blades, rotation):
        return polygon_transform(ky, kx, blades, rotation)
    # Rows of frequency -f are those of f.
    upper = ky[: len(ky) // 2 + 1].abs()
    if aperture.is_round:  # float32 is exact to 1e-7 of the PSF's sum
        upper, kx = upper.float(), kx.float()
        half = kx.new_empty(len(upper), len(kx))
        for rows in rows_at_once(len(upper), len(kx), kx.device):
            half[rows] = jinc_by_polynomials(torch.hypot(upper[rows, None], kx))
    else:
        half = polygon_transform(upper, kx, blades, rotation)
    return torch.cat([half, half[1 : (len(ky) + 1) // 2].flip(0)])


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
