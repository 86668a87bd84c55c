"""Thin things in soft depth: sharp where depth is a blurred picture of them, else as they are."""

import pytest
import torch
import torch.nn.functional as F

from bokehdepth_core.render.scene import deblurring, depth_edges
from bokehdepth_core.render.scene.deconvolution import gaussian
from bokehdepth_core.render.scene.depth_edges import refine_depth

NEAR, FAR = 1.0, 0.2  # 1/m


def fence(height=120, width=152, wire=5):
    """Return a photo of dark wires and a card before a bright wall [1,H,W,3], and disparity."""
    random = torch.Generator().manual_seed(3)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    near = ((x + y) % 40 < wire) | ((x - y) % 40 < wire)
    near |= (x > 100) & (y > 70)
    photo = 0.7 + 0.06 * torch.randn(height, width, 3, generator=random)
    dark = torch.tensor([0.3, 0.2, 0.25]) + 0.03 * torch.randn(height, width, 3, generator=random)
    photo = torch.where(near[..., None], dark, photo).clamp(0, 1)
    return photo[None], torch.where(near, NEAR, FAR)


def coarser(disparity, factor=4):
    """Return disparity [H,W] as from a network at a part of the size."""
    small = F.interpolate(disparity[None, None], scale_factor=1 / factor, mode="area")
    return F.interpolate(small, size=disparity.shape, mode="bilinear")[0, 0]


def refined(photo, disparity, **options):
    return 1 / refine_depth(photo, 1 / disparity[None], **options)[0]


def plainly(monkeypatch, photo, disparity):
    """Return disparity refined without what is done for thin things."""
    with monkeypatch.context() as patch:
        patch.setattr(depth_edges, "deblurred", lambda *_: None)
        return refined(photo, disparity)


@pytest.mark.parametrize("soften", [coarser, lambda one: gaussian(one, 2.0)], ids=["4x", "2 px"])
def test_wires_in_soft_depth_get_their_depth_and_width(monkeypatch, soften):
    photo, truth = fence()
    found, before = refined(photo, soften(truth)), plainly(monkeypatch, photo, soften(truth))
    wires = truth == NEAR
    assert found[wires].median() > before[wires].median() > soften(truth)[wires].median()
    assert found[wires].median() == pytest.approx(NEAR, rel=0.12)
    wrong, wrong_before = ((one - truth).abs() > 0.2 for one in (found, before))
    assert wrong.float().mean() < 0.05
    assert wrong.sum() < 0.25 * wrong_before.sum()


def test_an_edge_between_wide_surfaces_is_left_to_its_ramp(monkeypatch):
    photo, truth = fence(wire=0)
    soft = coarser(truth)
    assert torch.equal(refined(photo, soft), plainly(monkeypatch, photo, soft))


def test_depth_that_shows_wires_too_wide_is_left_alone(monkeypatch):
    """The edges of the photo and the given depth then contradict each other."""
    photo, truth = fence()
    wide = coarser(F.max_pool2d(truth[None, None], 5, 1, 2)[0, 0])
    assert torch.equal(refined(photo, wide), plainly(monkeypatch, photo, wide))


def test_true_depth_is_not_touched():
    photo, truth = fence()
    assert torch.equal(refined(photo, truth), truth)


@pytest.mark.parametrize("size", [(120, 152), (121, 151)], ids=str)
def test_a_mirrored_photo_has_the_mirrored_depth(size):
    photo, truth = fence(*size)
    soft = gaussian(truth, 1.8)
    found = refined(photo, soft)
    assert (found - soft).abs().max() > 0.3
    for axis in (0, 1):
        mirrored = refined(photo.flip(axis + 1), soft.flip(axis)).flip(axis)
        torch.testing.assert_close(mirrored, found, atol=1e-5, rtol=0)


def test_tiles_give_what_the_whole_gives(monkeypatch):
    photo, truth = fence()
    soft = coarser(truth)
    whole = refined(photo, soft)
    monkeypatch.setattr(deblurring, "LARGEST_TILE", 64)
    assert len(deblurring._tiles(soft, 2.0)) > 4
    assert ((refined(photo, soft) - whole).abs() > 0.02).float().mean() < 0.01


def test_tiles_cover_a_picture_once_and_lie_alike_when_mirrored():
    for side, halo in ((1000, 14), (577, 40), (289, 7), (288, 30), (40, 20)):
        parts = deblurring._cut(side, halo)
        kept = [range(*one[1].indices(side)) for one in parts]
        assert [at for one in kept for at in one] == list(range(side))
        assert [len(one) for one in kept] == [len(one) for one in reversed(kept)]
        for seen, own, inner in parts:
            assert seen.stop - seen.start <= deblurring.LARGEST_TILE
            assert (seen.start + inner.start, seen.start + inner.stop) == (own.start, own.stop)


def test_it_can_be_stopped():
    photo, truth = fence()

    class StoppedError(Exception):
        pass

    calls = []

    def check():
        calls.append(1)
        if len(calls) > 12:
            raise StoppedError

    with pytest.raises(StoppedError):
        refine_depth(photo, 1 / coarser(truth)[None], check)
