import math

import pytest
import torch
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from bokehdepth_core.files.exif import PhotoLens, read_photo_lens
from bokehdepth_core.optics.camera import (
    focal_length_px_from_35mm,
    focal_length_px_from_mm,
    intrinsics_from_focal_length,
    pixel_rays,
    unproject,
)
from bokehdepth_core.optics.thin_lens import bokeh_strength_from_lens


@pytest.fixture
def photo(tmp_path):
    """A photo with the EXIF of a full-frame camera: 85 mm, f/1.8, focused at 2.5 m."""

    def make(**changes):
        tags = {0x920A: 85.0, 0xA405: 85, 0x829D: 1.8, 0x9206: 2.5} | changes.get("tags", {})
        exif = Image.Exif()
        exif.get_ifd(0x8769).update(tags)
        path = tmp_path / "photo.jpg"
        Image.new("RGB", (60, 40)).save(path, exif=exif)
        return path

    return make


def test_a_full_frame_sensor_gives_the_same_focal_length_by_both_ways():
    # 36 mm × 24 mm has a diagonal of 43.267 mm; the formula's constant is rounded to 43.27.
    assert focal_length_px_from_mm(50.0, 36.0, 6000) == pytest.approx(8333.333, abs=1e-3)
    assert focal_length_px_from_35mm(50.0, 6000, 4000) == pytest.approx(8333.333, rel=1e-4)


def test_turning_the_camera_keeps_the_focal_length():
    upright = focal_length_px_from_35mm(35.0, 3000, 4000)
    assert focal_length_px_from_35mm(35.0, 4000, 3000) == pytest.approx(upright, rel=1e-12)


def test_exif_gives_the_lens_and_is_enough_for_bokeh_strength(photo):
    lens = read_photo_lens(photo())
    assert lens == PhotoLens(1.8, 85.0, 85.0, 2.5)
    strength = bokeh_strength_from_lens(
        lens.f_number, lens.focal_length_mm, lens.focal_length_35mm, lens.focus_distance_m, 60, 40
    )
    # K = f² s / (2 N (s − f)) · W / w with f = 0.085, s = 2.5, N = 1.8, w = 36 mm, in px·m.
    expected = 0.085**2 * 2.5 / (2 * 1.8 * (2.5 - 0.085)) * 1000 * 60 / 36
    assert strength == pytest.approx(expected, rel=1e-4)  # 43.27 mm is rounded


def test_exif_infinity_is_a_focus_distance(photo):
    # EXIF 2.32, SubjectDistance: numerator FFFFFFFF is infinity, numerator 0 is unknown.
    infinity = IFDRational(0xFFFFFFFF, 1)
    assert read_photo_lens(photo(tags={0x9206: infinity})).focus_distance_m == math.inf
    assert read_photo_lens(photo(tags={0x9206: IFDRational(0, 1)})).focus_distance_m is None
    assert read_photo_lens(photo(tags={0x9206: IFDRational(5, 2)})).focus_distance_m == 2.5


def test_missing_zero_and_unreadable_exif_entries_are_unknown(photo, tmp_path):
    zero = read_photo_lens(photo(tags={0x920A: 0.0, 0xA405: 0, 0x829D: 1.8, 0x9206: 0.0}))
    assert zero == PhotoLens(f_number=1.8)
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    assert read_photo_lens(tmp_path / "plain.png") == PhotoLens()


def test_intrinsics_from_a_photo_see_the_view_that_its_lens_sees(photo):
    focal = focal_length_px_from_35mm(read_photo_lens(photo()).focal_length_35mm, 60, 40)
    matrix = intrinsics_from_focal_length(focal, 60, 40)
    corner = pixel_rays(matrix, 40, 60)[0, 0, 0]
    half_diagonal = math.degrees(math.atan(float(corner[:2].norm())))
    # Pixel centres are half a pixel inside the corner: 43.27/2 mm · (1 − 1/72) at 85 mm.
    assert half_diagonal == pytest.approx(
        math.degrees(math.atan(21.635 / 85 * math.hypot(29.5, 19.5) / math.hypot(30, 20))), abs=1e-4
    )


def test_unprojected_points_project_back_onto_their_pixels():
    torch.manual_seed(0)
    depth = torch.rand(3, 5, 7, dtype=torch.float64) + 0.5
    intrinsics = intrinsics_from_focal_length(8.0, 7, 5).double()
    points = unproject(depth, intrinsics)
    pixels = torch.einsum("bij,bhwj->bhwi", intrinsics.expand(3, -1, -1), points)
    pixels = pixels / pixels[..., 2:]
    torch.testing.assert_close(points[..., 2], depth)
    torch.testing.assert_close(pixels[..., 0], (torch.arange(7) + 0.5).double().expand(3, 5, 7))
    torch.testing.assert_close(
        pixels[..., 1], (torch.arange(5) + 0.5).double()[:, None].expand(3, 5, 7)
    )


def test_the_sky_is_infinitely_far_also_on_the_axis():
    points = unproject(torch.full((1, 1, 1), math.inf), intrinsics_from_focal_length(1.0, 1, 1))
    assert torch.isinf(points).all()


def test_a_lens_without_length_is_refused():
    with pytest.raises(ValueError, match="focal_length_px: must be above 0, found 0"):
        intrinsics_from_focal_length(0.0, 10, 10)
    with pytest.raises(ValueError, match="2 cameras for 3 depth maps"):
        unproject(torch.ones(3, 2, 2), torch.eye(3).expand(2, 3, 3))
