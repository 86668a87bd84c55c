"""The drawn pupil, and the outline of its opening."""

import math

import pytest
import torch

from bokehdepth_core import Aperture
from bokehdepth_core.optics.outline import distance_inside, regular_corners
from bokehdepth_core.optics.pupil import MaskTransform, aperture_mask, mask_size, mask_transform

AT = (torch.arange(200, dtype=torch.float64) + 0.5) / 100 - 1
STAR = [
    (math.cos(math.pi * index / 5 + 0.3) * radius, math.sin(math.pi * index / 5 + 0.3) * radius)
    for index, radius in enumerate((1.0, 0.4) * 5)
]


def side(blade, blades, rotation):
    angle = math.radians(rotation) + (2 * blade + 1) * math.pi / blades
    return AT[None] * math.cos(angle) + AT[:, None] * math.sin(angle)


@pytest.mark.parametrize(("blades", "rotation"), [(3, 15.0), (6, 0.0), (11, 33.0)])
def test_a_convex_polygon_is_within_all_its_sides(blades, rotation):
    lines = [math.cos(math.pi / blades) - side(one, blades, rotation) for one in range(blades)]
    found = distance_inside(AT[:, None], AT[None], regular_corners(blades, rotation))
    # The sides that count as equally near are within 1e-6 of each other.
    torch.testing.assert_close(found, torch.stack(lines).amin(0), rtol=0, atol=2e-6)


def test_a_star_holds_its_area_and_hides_its_notches():
    found = distance_inside(AT[:, None], AT[None], STAR)
    pairs = zip(STAR, STAR[1:] + STAR[:1], strict=True)
    area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs) / 2
    light = (found / 0.01 + 0.5).clamp(0, 1)
    # A ramp one pixel wide keeps the area but for ten corners, each within a pixel.
    assert float(light.sum()) * 0.01**2 == pytest.approx(area, abs=10 * 0.01**2)
    for index, (x, y) in enumerate(STAR):
        place = torch.tensor([[0.9 * y]]), torch.tensor([[0.9 * x]])
        assert distance_inside(*place, STAR) > 0
        beyond = 1.1 if index % 2 == 0 else 2.0
        place = torch.tensor([[beyond * y]]), torch.tensor([[beyond * x]])
        assert distance_inside(*place, STAR) < 0


@pytest.mark.parametrize("curvature", [0.3, 1.0])
def test_curved_blades_lie_between_the_polygon_and_the_circle(curvature):
    corners = regular_corners(5, 10.0)
    places = AT[:, None], AT[None]
    straight, curved = (distance_inside(*places, corners, one) > 0 for one in (0.0, curvature))
    circle = torch.hypot(*places) < 1
    assert (curved | ~straight).all()
    assert (circle | ~curved).all()
    assert (curved == circle).all() == (curvature == 1.0)


def test_a_mask_is_all_the_light_and_its_transform_begins_at_one():
    for aperture in (Aperture(5, 9.0, curvature=0.4), Aperture(obstruction=0.5)):
        mask = aperture_mask(aperture, mask_size(20.0), front=True)
        assert float(mask.sum()) == pytest.approx(1, abs=1e-5)  # 2^14 values in float32
        frequencies = torch.linspace(-9, 9, 7), torch.linspace(0, 9, 4)
        transform = MaskTransform(len(mask), *frequencies)(mask)
        assert torch.equal(transform, mask_transform(mask, *frequencies))
        assert abs(complex(transform[3, 0]) - 1) < 1e-5


def test_vignetting_on_the_other_side_is_the_mirror_image():
    lens = Aperture(cat_eye=1.0, spherical_aberration=0.4)
    one, other = (aperture_mask(lens, 128, True, (down, 0.3)) for down in (0.5, -0.5))
    torch.testing.assert_close(one.flip(0), other, rtol=0, atol=1e-8)
