"""Apertures that have no closed form: masks against sums of points, and what holds for all."""

import math

import pytest
import torch

from bokehdepth_core import Aperture, render_bokeh, sweep_depth
from bokehdepth_core.datatypes import BokehStack
from bokehdepth_core.optics.field import Field, cut_windows
from bokehdepth_core.optics.polygon import polygon_transform
from bokehdepth_core.optics.psf import LensBlur
from bokehdepth_core.optics.pupil import aperture_mask, mask_size, mask_transform
from bokehdepth_core.optics.special import jinc
from bokehdepth_core.render import picture as render
from bokehdepth_core.render.tiles import cut_tiles

CPU = torch.device("cpu")
SPECIAL = [
    Aperture(6, 15.0, curvature=0.4),
    Aperture(spherical_aberration=0.8),
    Aperture(spherical_aberration=-0.8),
    Aperture(cat_eye=0.7),
    Aperture(5, 10.0, 0.6, curvature=0.7, spherical_aberration=-0.5, cat_eye=0.5),
]
# A mask of n px errs by some (1/n)² in the middle of a ramp at the edge; n is 128 and more.
WORST = 5e-4


def frequencies(radius, size=96):
    ky = 2 * math.pi * torch.fft.fftfreq(size, dtype=torch.float64) * radius
    return ky, 2 * math.pi * torch.fft.rfftfreq(size, dtype=torch.float64) * radius


def spectrum(aperture, radius, front=True, vignetting=(0.0, 0.0)):
    mask = aperture_mask(aperture, mask_size(radius), front, vignetting)
    return mask_transform(mask, *frequencies(radius))


@pytest.mark.parametrize("radius", [0.3, 1.0, 3.0, 10.0, 64.0, 300.0])
def test_a_drawn_disc_and_polygon_are_those_of_the_closed_forms(radius):
    ky, kx = frequencies(radius)
    disc = jinc(torch.hypot(ky[:, None], kx))
    for aperture, wanted in (
        (Aperture(), disc),
        (Aperture(5, 20.0), polygon_transform(ky, kx, 5, 20.0)),
        (Aperture(5, 20.0, curvature=1.0 - 1e-9), disc),
    ):
        assert (spectrum(aperture, radius) - wanted).abs().max() < WORST


@pytest.mark.parametrize("radius", [0.7, 5.0, 40.0])
@pytest.mark.parametrize("bubble", [-1.0, 0.6])
def test_aberration_has_the_transform_of_its_profile(radius, bubble):
    """1 + s(2ρ² - 1) over the disc: (1-s)·2J1(k)/k + 2s·(2J1(k)/k - 4J2(k)/k²)."""
    ky, kx = frequencies(radius)
    k = torch.hypot(ky[:, None], kx).clamp(min=0.02)
    one, zero = torch.special.bessel_j1(k), torch.special.bessel_j0(k)
    two = 2 * one / k - zero
    wanted = (1 - bubble) * 2 * one / k + 2 * bubble * (2 * one / k - 4 * two / k**2)
    got = spectrum(Aperture(spherical_aberration=bubble), radius, front=False)
    there = torch.hypot(ky[:, None], kx) >= 0.02
    assert (got - wanted).abs()[there].max() < 2 * WORST  # twice the light at the rim


def points_in(aperture, vignetting=(0.0, 0.0), count=700):
    """Places and light of a fine lattice over the aperture, from its description in words."""
    at = (torch.arange(count, dtype=torch.float64) + 0.5) / count * 2 - 1
    y, x = torch.meshgrid(at, at, indexing="ij")
    inside = torch.hypot(y, x) <= 1
    if aperture.blades:
        angles = torch.arange(aperture.blades) * 2 * math.pi / aperture.blades
        corners = torch.exp(1j * (angles + math.radians(aperture.rotation)).double())
        for a, b in zip(corners, corners.roll(-1), strict=True):
            middle = (a + b) / 2
            out = middle / middle.abs()
            top = out * (middle.abs() + aperture.curvature * (1 - middle.abs()))
            # The circle through both corners and the top of the blade.
            sagitta, chord = (top - middle).abs(), (b - a).abs()
            radius = (chord**2 / 4 + sagitta**2) / (2 * sagitta)
            centre = top - out * radius
            inside &= torch.hypot(x - centre.real, y - centre.imag) <= radius
    if aperture.cat_eye:
        inside &= torch.hypot(y - vignetting[0], x - vignetting[1]) <= 1
    return y[inside], x[inside]


@pytest.mark.parametrize(
    ("aperture", "vignetting"),
    [
        (Aperture(6, 15.0, curvature=0.4), (0.0, 0.0)),
        (Aperture(3, -20.0, curvature=0.8), (0.0, 0.0)),
        (Aperture(cat_eye=1.0), (0.3, -0.6)),
        (Aperture(7, 5.0, curvature=0.2, cat_eye=1.0), (-0.5, 0.1)),
    ],
)
def test_a_drawn_aperture_is_the_sum_of_its_points(aperture, vignetting):
    y, x = points_in(aperture, vignetting)
    radius = 8.0
    ky, kx = (k[::11] for k in frequencies(radius))
    got = mask_transform(aperture_mask(aperture, 128, True, vignetting), ky, kx)
    for row, down in enumerate(ky):
        for column, right in enumerate(kx):
            wanted = torch.exp(-1j * (down * y + right * x)).mean()
            assert abs(complex(got[row, column]) - complex(wanted)) < 2 * WORST


@pytest.mark.parametrize("aperture", [one for one in SPECIAL if not one.changes_over_field])
@pytest.mark.parametrize("place", [(35, 45), (20, 61)])
def test_the_light_of_a_lamp_is_kept(aperture, place):
    blur = LensBlur((70, 90), 14, aperture, CPU)
    lamp = torch.zeros(1, 70, 90)
    lamp[0, place[0], place[1]] = 1
    for radius in (-9.0, -1.3, 0.5, 9.0):
        # What the grid cannot hold of a PSF ripples on over the picture's border.
        assert float(blur.convolve(lamp, radius).sum()) == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize("aperture", [Aperture(cat_eye=0.7), Aperture(swirl=0.7)])
@pytest.mark.parametrize("radius", [-72.0, 6.0])
def test_vignetted_blur_is_a_mean_of_what_is_around_each_pixel(aperture, radius):
    blur = LensBlur((96, 144), 74, aperture, CPU)
    even = blur.convolve(torch.ones(1, 96, 144), radius)
    # Two transforms of up to 2^16 values, and the shares of windows, in single precision.
    torch.testing.assert_close(even, torch.ones_like(even), rtol=0, atol=1e-5)


def light_seen(aperture, size, lamp, radius):
    """Return the light of a lamp at every pixel, from the aperture as each of them sees it."""
    height, width = size
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    off = torch.stack([y - height / 2, x - width / 2]) / (math.hypot(height, width) / 2)
    at = (torch.arange(20) + 0.5) / 10 - 1
    area = torch.zeros(size)

    def visible(v, u):
        moved = (0.0, aperture.cat_eye, aperture.swirl, -aperture.swirl)
        circles = [tuple(amount * off) for amount in moved]
        return torch.stack([(v - a) ** 2 + (u - b) ** 2 <= 1 for a, b in circles]).all(0)

    for v in at:
        for u in at:
            area += visible(v, u) / 10**2
    place = [(one - two - 0.5) / radius for one, two in zip((y, x), lamp, strict=True)]
    return visible(*place) / (area * radius**2)


@pytest.mark.parametrize("aperture", [Aperture(cat_eye=0.7), Aperture(swirl=0.7)])
@pytest.mark.parametrize("radius", [-14.0, 14.0])
def test_a_vignetted_lamp_is_as_bright_as_each_pixel_sees_it(aperture, radius):
    size, lamp = (110, 160), (75, 110)
    one = torch.zeros(1, *size)
    one[0, lamp[0], lamp[1]] = 1
    found = LensBlur(size, 16, aperture, CPU).convolve(one, radius)
    wanted = light_seen(aperture, size, lamp, radius)
    # Windows of 32 px share a PSF: its circles are off by up to 0.7 · 16 / 97 radii.
    assert float(found.sum()) == pytest.approx(float(wanted.sum()), rel=0.06)
    assert (found[0] - wanted).abs().mean() < 0.25 * wanted.mean()


@pytest.mark.parametrize("aperture", SPECIAL)
@pytest.mark.parametrize("quality", ["draft", "default", "final"])
def test_a_plain_wall_stays_plain(aperture, quality):
    wall = torch.full((1, 70, 90, 3), 0.4)
    depth = torch.linspace(1.5, 6.0, 90).expand(1, 70, 90)
    out = render_bokeh(wall, depth, 12.0, 2.0, aperture=aperture, quality=quality)
    torch.testing.assert_close(out, wall, rtol=0, atol=1e-5)


@pytest.mark.parametrize("aperture", [SPECIAL[0], Aperture(3, 10.0, curvature=0.5)])
def test_behind_the_focus_plane_the_blur_is_turned(aperture):
    blur = LensBlur((61, 61), 20, aperture, CPU)
    lamp = torch.zeros(1, 61, 61)
    lamp[0, 30, 30] = 1
    front, behind = blur.convolve(lamp, 14.0), blur.convolve(lamp, -14.0)
    torch.testing.assert_close(behind, front.flip(1, 2), rtol=0, atol=1e-6)
    assert (behind - front).abs().max() > 1e-4 or aperture.blades % 2 == 0


def test_bubbles_behind_are_soft_in_front():
    blur = LensBlur((61, 61), 20, Aperture(spherical_aberration=0.8), CPU)
    lamp = torch.zeros(1, 61, 61)
    lamp[0, 30, 30] = 1
    middle, rim = (0, 30, 30), (0, 30, 42)
    behind, front = blur.convolve(lamp, -14.0), blur.convolve(lamp, 14.0)
    assert behind[middle] < 0.3 * behind[rim]  # 1 - 0.8 against 1 + 0.8·(2·(12/14)² - 1) = 1.37
    assert front[rim] < 0.45 * front[middle]


def test_a_cat_eye_hides_the_outer_side_behind_the_plane_and_nothing_in_the_middle():
    blur = LensBlur((161, 161), 16, Aperture(cat_eye=1.0), CPU)
    plain = LensBlur((161, 161), 16, Aperture(), CPU)
    lamp = torch.zeros(1, 161, 161)
    lamp[0, 80, 80] = lamp[0, 80, 140] = 1
    blurred, even = blur.convolve(lamp, -12.0)[0], plain.convolve(lamp, -12.0)[0]
    near_middle = (slice(66, 95), slice(66, 95))
    assert (blurred - even)[near_middle].abs().max() < 0.3 * even.max()
    outer, inner = blurred[80, 149], blurred[80, 131]
    assert outer < 0.2 * inner
    front = blur.convolve(lamp, 12.0)[0]
    assert front[80, 131] < 0.2 * front[80, 149]


def test_windows_share_every_pixel_out():
    for size, field in (((50, 90), Field(50, 90)), ((40, 64), Field(400, 700, 120, 333))):
        total = torch.zeros(size)
        for window in cut_windows(size, field, CPU):
            total[window.rows, window.columns] += window.share
        torch.testing.assert_close(total, torch.ones(size), rtol=0, atol=1e-6)


def scene(height=70, width=94):
    torch.manual_seed(2)
    depth = torch.full((1, height, width), 5.0)
    depth[:, 20:50, 30:60] = 1.5
    return torch.rand(1, height, width, 3), depth


@pytest.mark.parametrize("aperture", SPECIAL)
@pytest.mark.parametrize("quality", ["draft", "default", "final"])
def test_pictures_come_out_whole_and_sharp_where_in_focus(aperture, quality):
    image, depth = scene()
    out = render_bokeh(image, depth, 12.0, 1.5, aperture=aperture, quality=quality)
    assert out.shape == image.shape
    assert torch.isfinite(out).all()
    inner = (0, slice(26, 44), slice(36, 54))
    torch.testing.assert_close(out[inner], image[inner], rtol=0, atol=2e-3)
    assert (out - image).abs().max() > 0.1


@pytest.mark.parametrize("quality", ["draft", "default"])
def test_neutral_values_change_no_bit(quality):
    image, depth = scene()
    for plain, neutral in (
        (Aperture(), Aperture(0, 0.0, 1.0, 0.7, 0.0, 0.0)),  # a disc has no blades to curve
        (Aperture(5, 12.0), Aperture(5, 12.0, 1.0, 0.0, 0.0, 0.0)),
        (Aperture(), Aperture(5, 12.0, 1.0, 1.0)),  # fully curved blades are a disc
    ):
        wanted, got = (
            render_bokeh(image, depth, 12.0, 1.5, aperture=one, quality=quality)
            for one in (plain, neutral)
        )
        assert torch.equal(wanted, got)


@pytest.mark.parametrize("aperture", [SPECIAL[0], SPECIAL[4]])
def test_tiles_leave_no_seam(monkeypatch, aperture):
    image, depth = scene(150, 170)
    image = torch.nn.functional.avg_pool2d(image.movedim(-1, 1), 5, 1, 2).movedim(1, -1)
    whole = render_bokeh(image, depth, 6.0, 2.0, aperture=aperture)
    monkeypatch.setattr(
        render, "cut_tiles", lambda *sizes, wraps: cut_tiles(*sizes, 96, wraps=wraps)
    )
    assert len(cut_tiles(150, 170, render.support_radius(6.0), 96)) > 1
    tiled = render_bokeh(image, depth, 6.0, 2.0, aperture=aperture)
    # A PSF that is cut at the grid's highest frequency ripples far, by less than one can see.
    torch.testing.assert_close(tiled, whole, atol=0.5 / 255, rtol=0)


def test_a_stack_whose_blur_changes_is_refused():
    image, _ = scene(40, 48)
    stack = BokehStack(image[0], image.expand(2, -1, -1, -1), (5.0, 10.0))
    with pytest.raises(ValueError, match=r"^aperture: cat_eye 0\.5 changes the blur"):
        sweep_depth(stack, aperture=Aperture(cat_eye=0.5))


@pytest.mark.parametrize(
    "wrong", [{"curvature": 1.1}, {"spherical_aberration": -2}, {"cat_eye": math.nan}]
)
def test_values_out_of_range_are_named(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: "):
        Aperture(**wrong)
