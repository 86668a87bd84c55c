"""The tilted plane of focus: exact planes, and what a view camera's lens does."""

import math

import pytest
import torch

from bokehdepth_core.optics.camera import intrinsics_from_focal_length, pixel_rays
from bokehdepth_core.optics.focus.controls import FocusControls, controlled_defocus
from bokehdepth_core.optics.focus.tilt import focus_disparity

HEIGHT, WIDTH = 60, 80
CAMERA = intrinsics_from_focal_length(70.0, WIDTH, HEIGHT)


def wall(tilt, swing, point, depth_there):
    """Return depth [1,H,W] of a plane through a point, met by each ray; made from points."""
    rays = pixel_rays(CAMERA.double(), HEIGHT, WIDTH)[0]
    x, y = point[0] * WIDTH, point[1] * HEIGHT
    at = torch.tensor([(x - WIDTH / 2) / 70, (y - HEIGHT / 2) / 70, 1.0]).double() * depth_there
    up = torch.tensor([0.0, -1.0, math.tan(math.radians(tilt))]).double()
    right = torch.tensor([1.0, 0.0, math.tan(math.radians(swing))]).double()
    normal = torch.linalg.cross(up, right)
    return ((at @ normal) / (rays @ normal))[None]


@pytest.mark.parametrize(("tilt", "swing"), [(0, 35), (-25, 0), (20, -30), (40, 10)])
def test_a_tilted_wall_is_sharp_from_edge_to_edge(tilt, swing):
    point = (0.4, 0.55)
    depth = wall(tilt, swing, point, 3.0)
    assert (depth > 0).all()
    controls = FocusControls(tilt=tilt, swing=swing)
    out = controlled_defocus(
        depth.float(), 500.0, 3.0, controls, intrinsics=CAMERA, focus_point=point
    )
    # float32 rounds a disparity of up to 1 per metre by 6e-8; times 500 px·m, over three steps.
    assert out.abs().max() < 1e-4
    straight = controlled_defocus(depth.float(), 500.0, 3.0)
    assert straight.abs().max() > 20


def test_no_tilt_is_the_same_to_the_bit_with_a_camera_and_without():
    depth = torch.rand(2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) + 0.5
    plain = controlled_defocus(depth, 30.0, 1.0)
    off = controlled_defocus(depth, 30.0, 1.0, FocusControls(tilt=0.0), intrinsics=CAMERA)
    assert torch.equal(plain, off)


def test_blur_beside_the_plane_is_that_of_a_thin_lens_turned_against_the_sensor():
    """Trace it: a lens of axis m images a point; its cone meets the sensor in a disc."""
    focal, sensor, aperture = 0.05, 0.055, 0.02  # m
    lens_tilt = math.radians(4.0)
    m = torch.tensor([0.0, math.sin(lens_tilt), math.cos(lens_tilt)]).double()
    rays = pixel_rays(CAMERA.double(), HEIGHT, WIDTH)[0]
    along = rays @ m
    sharp = along / focal - 1 / sensor  # disparity of what is in focus on each ray
    middle = sharp[HEIGHT // 2, WIDTH // 2]
    slope = (sharp[-1, 0] - sharp[0, 0]) / (rays[-1, 0, 1] - rays[0, 0, 1])
    depth = torch.full((1, HEIGHT, WIDTH), 0.7).double()
    image_depth = 1 / (along / focal - 1 / depth[0])
    traced = aperture / 2 * (sensor / image_depth - 1).abs()  # m on the sensor
    at = (0.5 + 0.5 / WIDTH, 0.5 + 0.5 / HEIGHT)
    ray_y = rays[HEIGHT // 2, 0, 1]
    # n·r = 1 + tan(tilt) y, scaled so that it is the sharp disparity at the focus point.
    tan = slope / (middle - slope * ray_y)
    controls = FocusControls(tilt=math.degrees(math.atan(tan)))
    strength = aperture / 2 * sensor  # m² as px·m of pixels of 1 m
    found = controlled_defocus(
        depth, strength, float(1 / middle), controls, intrinsics=CAMERA, focus_point=at
    )
    torch.testing.assert_close(found[0].abs(), traced, rtol=1e-5, atol=1e-10)


def test_relative_depth_or_no_camera_is_told():
    with pytest.raises(ValueError, match=r"^tilt: [^\n]*intrinsics[^\n]*$"):
        controlled_defocus(torch.ones(1, 4, 4), 1.0, 1.0, FocusControls(tilt=5.0))
    with pytest.raises(ValueError, match=r"^swing: [^\n]*intrinsics[^\n]*$"):
        controlled_defocus(torch.ones(1, 4, 4), 1.0, 1.0, FocusControls(swing=5.0))


@pytest.mark.parametrize("name", ["tilt", "swing"])
@pytest.mark.parametrize("value", [90.0, -120.0, math.nan, "steep"])
def test_bad_angles_are_told_by_their_name(name, value):
    with pytest.raises(ValueError, match=f"^{name}: [^\n]+$"):
        FocusControls(**{name: value})


def test_a_plane_seen_from_its_back_is_told():
    point = torch.tensor([[0.5, 0.0]])
    with pytest.raises(ValueError, match=r"^tilt: at 80° the plane of focus is not seen from its"):
        focus_disparity(torch.tensor([2.0]), 80.0, 0.0, CAMERA, point, (HEIGHT, WIDTH))


def test_focus_at_infinity_stays_there():
    point = torch.tensor([[0.5, 0.5]])
    plane = focus_disparity(torch.tensor([math.inf]), 30.0, 0.0, CAMERA, point, (HEIGHT, WIDTH))
    assert (plane == 0).all()
