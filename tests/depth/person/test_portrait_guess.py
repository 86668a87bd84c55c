"""People are found where they are, and a portrait is guessed from them, or refused in one line."""

import pytest
import torch

from bokehdepth_core import find_people, focus_depth_at, guess_portrait_depth, render_bokeh
from bokehdepth_core.demo.run import ASSETS
from bokehdepth_core.files.pictures.images import read_image

# Of the bundled photo: somebody in the middle, a coffee cup, a cat's portrait and balls around.
FACE, CHEST, SKY, CAT = (320, 205), (440, 190), (60, 200), (365, 440)


@pytest.fixture(scope="module")
def photo():
    return read_image(ASSETS / "photo.png")[None]


def test_somebody_is_found_and_nothing_else(photo):
    mask = find_people(photo)[0]
    assert mask.shape == photo.shape[1:3]
    assert min(mask[FACE], mask[CHEST]) > 0.95
    assert max(mask[SKY], mask[CAT]) < 0.05


def test_the_second_look_follows_somebody_small(photo):
    # A third of the side: alone on a grey wall, found where it stands, at any place.
    small = torch.nn.functional.interpolate(photo.movedim(-1, 1), (170, 170), mode="area")
    wide = torch.full((1, 3, 400, 700), 0.5)
    wide[:, :, 200:370, 500:670] = small
    mask = find_people(wide.movedim(1, -1))[0]
    assert mask[200 + FACE[0] // 3, 500 + FACE[1] // 3] > 0.9
    assert mask[:, :480].max() < 0.5


def test_the_size_of_the_photo_does_not_move_the_mask(photo):
    whole = find_people(photo)
    half = torch.nn.functional.interpolate(photo.movedim(-1, 1), (257, 255), mode="area")
    reduced = find_people(half.movedim(1, -1))
    back = torch.nn.functional.interpolate(reduced[:, None], (512, 512), mode="bilinear")[:, 0]
    # The outline alone may differ: 2 % of the pixels lie within 2 px of it.
    assert ((whole >= 0.5) != (back >= 0.5)).float().mean() < 0.02


def test_somebody_is_nearer_than_the_background(photo):
    found = guess_portrait_depth(photo)
    assert not found.depth.metric
    disparity = found.depth.disparity[0]
    assert disparity[FACE] == disparity[CHEST] > 3 * disparity[SKY]
    assert found.report.startswith("Depth is a rough guess from people found in the photo")


def test_a_portrait_keeps_the_face_and_blurs_the_rest(photo):
    found = guess_portrait_depth(photo)
    focus = focus_depth_at(found.depth.depth, 0.5, 0.5, found.alpha)
    rendered = render_bokeh(photo, found.depth.depth, 20.0, focus, quality="draft")
    change = (rendered - photo).abs().mean(-1)[0]
    face = change[FACE[0] - 20 : FACE[0] + 20, FACE[1] - 20 : FACE[1] + 20]
    cat = change[CAT[0] - 20 : CAT[0] + 20, CAT[1] - 20 : CAT[1] + 20]
    assert face.max() < 1 / 255
    assert cat.mean() > 0.03


def test_pictures_without_anybody_are_named(photo):
    clip = torch.cat([photo, torch.full_like(photo, 0.5)])
    found = guess_portrait_depth(clip)
    assert "Nobody found in picture 2 of 2." in found.report
    assert found.depth.disparity[1].unique().numel() == 1
    assert found.alpha[1].max() == 0


def test_nobody_at_all_is_refused_with_the_remedy_first():
    with pytest.raises(ValueError, match="depth: none given, and no person found") as error:
        guess_portrait_depth(torch.rand(1, 33, 47, 3))
    assert "Give a depth map" in str(error.value)[:80]


def test_odd_pictures_are_taken():
    assert find_people(torch.zeros(2, 1, 1, 3)).shape == (2, 1, 1)
    assert find_people(torch.rand(1, 3, 200, 3)).shape == (1, 3, 200)
