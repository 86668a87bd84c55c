"""Depth from a subject mask: the card, the ground and the wall, and the matte between them."""

import pytest
import torch

from bokehdepth_core import depth_from_mask, focus_depth_at, render_bokeh
from bokehdepth_core.depth.from_mask import SUBJECT_DISPARITY, guided_coefficients

HEIGHT, WIDTH = 120, 90


def scene(rows=slice(30, 100), columns=slice(30, 60)):
    """Return a grey photo with a white subject, [1,H,W,3], and its mask [1,H,W]."""
    mask = torch.zeros(1, HEIGHT, WIDTH)
    mask[:, rows, columns] = 1
    return 0.3 + 0.5 * mask[..., None].expand(-1, -1, -1, 3), mask


def test_the_subject_is_one_plane_before_the_wall():
    photo, mask = scene()
    found = depth_from_mask(photo, mask, separation=0.75).depth
    assert not found.metric
    disparity = found.disparity[0]
    torch.testing.assert_close(disparity[mask[0] > 0], torch.full((70 * 30,), SUBJECT_DISPARITY))
    assert disparity[:30].unique().tolist() == pytest.approx([SUBJECT_DISPARITY / 4])


def test_the_ground_is_linear_in_disparity_and_meets_the_subject_at_its_foot():
    photo, mask = scene()
    column = depth_from_mask(photo, mask).depth.disparity[0, :, 5]
    at_foot = (column[99] + column[100]) / 2  # the foot is the border between the two rows
    assert float(at_foot) == pytest.approx(SUBJECT_DISPARITY, rel=1e-5)
    steps = column[80:115].diff()
    torch.testing.assert_close(steps, steps[:1].expand(34), rtol=1e-3, atol=0)
    assert (steps > 0).all()
    flat = depth_from_mask(photo, mask, ground=False).depth.disparity[0, :, 5]
    assert len(flat.unique()) == 1


def test_two_subjects_stand_each_at_its_own_foot():
    photo, mask = scene(rows=slice(30, 110), columns=slice(10, 40))
    mask[:, 40:80, 60:80] = 1  # smaller, and farther off
    disparity = depth_from_mask(photo, mask).depth.disparity[0]
    assert float(disparity[70, 20]) == pytest.approx(SUBJECT_DISPARITY)
    far = disparity[45:75, 65:75].unique()
    assert len(far) == 1
    # Horizon at 0.4 of the height (row 48), feet at rows 110 and 80.
    assert float(far) == pytest.approx(SUBJECT_DISPARITY * (80 - 48) / (110 - 48), rel=1e-5)


def test_a_separation_of_one_puts_the_wall_at_infinity():
    photo, mask = scene()
    depth = depth_from_mask(photo, mask, ground=False, separation=1.0).depth.depth[0]
    assert torch.isinf(depth[0]).all()


def test_a_sloppy_mask_takes_the_edge_of_the_photo():
    photo, exact = scene()
    photo = photo.repeat_interleave(4, 1).repeat_interleave(4, 2)
    exact = exact.repeat_interleave(4, 1).repeat_interleave(4, 2)
    sloppy = torch.zeros_like(exact)
    sloppy[:, 117:403, 117:243] = 1  # 3 px too large on every side
    found = depth_from_mask(photo, sloppy).alpha >= 0.5
    wrong, before = (found != (exact > 0)).sum(), (sloppy != exact).sum()
    assert int(wrong) < 0.02 * int(before)  # only at the corners, where windows hold little subject


def test_the_background_blurs_and_the_subject_stays():
    torch.manual_seed(0)
    photo, mask = scene()
    photo = photo + 0.2 * torch.rand(1, HEIGHT, WIDTH, 3)
    depth = depth_from_mask(photo, mask).depth.depth
    focus = focus_depth_at(depth, 0.5, 0.5, mask)
    out = render_bokeh(photo, depth, 20.0, focus)
    assert (out - photo)[:, 45:85, 40:50].abs().max() < 1 / 255
    assert out[:, :20].std() < 0.2 * photo[:, :20].std()


def test_a_clip_keeps_its_disparity_and_names_the_frame_without_a_subject():
    photo, mask = scene()
    shifted = torch.cat([mask, torch.zeros_like(mask), mask.roll(5, 1)])
    found = depth_from_mask(photo.expand(3, -1, -1, -1), shifted)
    assert "No subject in picture 2 of 3" in found.report
    first, middle, last = found.depth.disparity
    assert float(first[60, 45]) == float(last[65, 45])
    assert len(middle.unique()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda mask: mask * 0, "subject: no pixel is chosen"),
        (lambda mask: mask[:, 1:], r"subject: expected \[1, 120, 90\] like the image"),
        (lambda mask: mask * 255, "subject: expected values within 0…1"),
        (lambda mask: mask[0], r"subject: expected \[B,H,W\]"),
        (lambda mask: mask * float("nan"), "subject: expected values within 0…1"),
    ],
)
def test_an_unusable_mask_is_named(change, message):
    photo, mask = scene()
    with pytest.raises(ValueError, match=message):
        depth_from_mask(photo, change(mask))


def test_an_unusable_separation_is_named():
    photo, mask = scene()
    with pytest.raises(ValueError, match="separation"):
        depth_from_mask(photo, mask, separation=1.5)


def test_the_guided_filter_is_the_regression_of_each_window():
    # One window that sees the whole picture: the filter is the least-squares line in colour.
    torch.manual_seed(1)
    guide, values = torch.rand(3, 5, 7, dtype=torch.float64), torch.rand(5, 7, dtype=torch.float64)
    slope, offset = guided_coefficients(guide, values, radius=9, epsilon=0.0)
    found = (slope * guide).sum(0) + offset
    system = torch.cat([guide.flatten(1).T, torch.ones(35, 1, dtype=torch.float64)], 1)
    line = system @ torch.linalg.lstsq(system, values.flatten()[:, None]).solution
    torch.testing.assert_close(found.flatten(), line[:, 0], rtol=0, atol=1e-9)
