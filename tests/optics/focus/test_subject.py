"""The subject is found where a photographer would focus."""

import math

import pytest
import torch

from bokehdepth_core.demo.run import load_scene
from bokehdepth_core.optics.focus.subject import find_subject


def noise(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def place(depth, x, y, across, down, distance):
    """Put an upright oval thing into depth [1,H,W]; all in shares of the picture."""
    height, width = depth.shape[1:]
    rows = (torch.arange(height) + 0.5) / height - y
    columns = (torch.arange(width) + 0.5) / width - x
    inside = (rows[:, None] / down) ** 2 + (columns / across) ** 2 < 1
    depth[0][inside] = distance
    return depth


def with_floor(height, width, wall=8.0):
    """Return depth of a floor that comes closer from the middle down, and a wall above."""
    rows = (torch.arange(height) + 0.5) / height
    floor = 0.5 / (rows - 0.4).clamp(min=1e-3)
    return torch.minimum(floor, torch.tensor(wall))[None, :, None].expand(1, height, width).clone()


def face(height, width):
    return place(torch.full((1, height, width), 3.0), 0.62, 0.4, 0.07, 0.11, 2.0)


def beside_the_middle(height, width):
    return place(with_floor(height, width), 0.33, 0.55, 0.1, 0.38, 3.0)


def branch(height, width):
    depth = place(with_floor(height, width), 0.5, 0.5, 0.12, 0.35, 2.5)
    return place(depth, 0.02, 0.1, 0.16, 0.08, 0.6)


def larger_of_two(height, width):
    depth = place(torch.full((1, height, width), 9.0), 0.65, 0.5, 0.14, 0.3, 2.0)
    return place(depth, 0.3, 0.5, 0.02, 0.03, 1.8)


def before_the_sky(height, width):
    return place(torch.full((1, height, width), math.inf), 0.5, 0.6, 0.1, 0.3, 40.0)


SCENES = {face: 2.0, beside_the_middle: 3.0, branch: 2.5, larger_of_two: 2.0, before_the_sky: 40.0}


@pytest.mark.parametrize("size", [(96, 128), (301, 199), (480, 640)])
@pytest.mark.parametrize("make", SCENES)
def test_the_subject_is_in_focus(make, size):
    depth = make(*size)
    image = noise(1, *size, 3)
    subject = find_subject(image, depth)
    assert float(subject.focus_depth) == pytest.approx(SCENES[make])
    assert torch.equal(find_subject(image, depth).point, subject.point)  # nothing is random


def test_in_the_bundled_scene_it_is_the_astronaut():
    scene = load_scene()
    subject = find_subject(scene.stack.reference[None], scene.depth)
    # She stands at 1.5 m, in the left half of the middle.
    assert float(subject.focus_depth) == pytest.approx(1.5, rel=0.02)
    x, y = subject.point[0].tolist()
    assert 0.2 < x < 0.55
    assert 0.25 < y < 0.9


def test_of_two_equal_things_the_one_with_detail_is_the_subject():
    depth = torch.full((1, 90, 120), 6.0)
    place(place(depth, 0.3, 0.5, 0.12, 0.3, 2.0), 0.7, 0.5, 0.12, 0.3, 2.4)
    image = torch.full((1, 90, 120, 3), 0.5)
    image[:, :, 60:] = noise(1, 90, 60, 3)
    assert float(find_subject(image, depth).focus_depth) == pytest.approx(2.4)


def test_every_frame_has_its_own():
    depth = torch.full((2, 50, 70), 6.0)
    place(depth[:1], 0.5, 0.5, 0.2, 0.3, 1.0)
    place(depth[1:], 0.5, 0.5, 0.2, 0.3, 3.0)
    found = find_subject(torch.full((1, 50, 70, 3), 0.5), depth)
    torch.testing.assert_close(found.focus_depth, torch.tensor([1.0, 3.0]))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2)])
def test_a_flat_scene_is_in_focus_as_it_is(size):
    found = find_subject(torch.zeros(1, *size, 3), torch.full((1, *size), 4.0))
    assert found.focus_depth.tolist() == [4.0]
    assert found.point.tolist() == [[0.5, 0.5]]


def test_sizes_that_do_not_match_are_told():
    with pytest.raises(
        ValueError, match=r"^image: resample it or depth first: expected \[1, 4, 5\]"
    ):
        find_subject(torch.zeros(1, 4, 4, 3), torch.ones(1, 4, 5))
