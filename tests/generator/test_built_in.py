"""The two parts that need no weights: frames rendered from depth, and depth from frames."""

import pytest
import torch

from bokehdepth_core import BokehStack, DepthMap
from bokehdepth_core.depth import load_depth_estimator
from bokehdepth_core.generator import load_bokeh_generator


def photo(height=65, width=97, seed=0):
    return torch.rand(height, width, 3, generator=torch.Generator().manual_seed(seed))


def two_planes(height=65, width=97):
    depth = torch.full((1, height, width), 4.0)
    depth[:, :, : width // 2] = 1.0
    return DepthMap(depth)


def test_built_in_frames_keep_the_nearest_plane_and_blur_the_rest():
    image = photo()
    stack = load_bokeh_generator("built-in").generate(image, [4.0, 8.0], depth=two_planes())
    assert stack.strengths == (4.0, 8.0)
    change = (stack.frames - image).abs().mean(dim=-1)
    near, far = change[:, :, :36], change[:, :, 60:]  # away from the edge at column 48 by r <= 6
    assert near.max() < 1e-5
    assert (far.mean(dim=(1, 2)) > 0.05).all()


def test_built_in_generator_can_focus_at_a_point_and_at_a_distance():
    image, depth = photo(), two_planes()
    generator = load_bokeh_generator("built-in")
    at_point = generator.generate(image, [6.0], depth=depth, focus_point=(0.9, 0.5))
    at_distance = generator.generate(image, [6.0], depth=depth, focus_depth=4.0)
    assert at_point.settings["focus_depth"] == pytest.approx(4.0)
    torch.testing.assert_close(at_point.frames, at_distance.frames)


@pytest.mark.parametrize(("stray", "focus"), [(19, 2.0), (21, 1.0)])
def test_the_nearest_surface_is_one_that_covers_half_a_percent(stray, focus):
    depth = torch.full((1, 50, 80), 2.0)
    depth.view(-1)[:stray] = 1.0  # 20 of 4,000 pixels are 0.5 %
    stack = load_bokeh_generator("built-in").generate(photo(50, 80), [1.0], depth=DepthMap(depth))
    assert stack.settings["focus_depth"] == pytest.approx(focus)


def test_built_in_generator_reports_a_step_for_every_frame_and_stops_when_asked():
    class StoppedError(Exception):
        pass

    def stop():
        raise StoppedError

    steps = []
    generator = load_bokeh_generator("built-in")
    generator.generate(
        photo(), [1, 2, 3], depth=two_planes(), on_progress=lambda *step: steps.append(step)
    )
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    with pytest.raises(StoppedError):
        generator.generate(photo(), [1, 2, 3], depth=two_planes(), check_cancelled=stop)


def test_built_in_generator_without_depth_says_what_to_connect():
    with pytest.raises(ValueError, match=r"depth: the built-in generator .* Connect a depth map"):
        load_bokeh_generator("built-in").generate(photo(), [10])


def test_built_in_generator_refuses_depth_of_another_size():
    with pytest.raises(ValueError, match=r"depth: expected \[1, 65, 97\] like the image"):
        load_bokeh_generator("built-in").generate(photo(), [10], depth=two_planes(64, 97))


def test_stack_rendered_from_depth_gives_that_depth_back():
    image, depth = photo(96, 128), two_planes(96, 128)
    stack = load_bokeh_generator("built-in").generate(image, [2, 4, 6], depth=depth)
    found = load_depth_estimator("built-in").estimate(image[None], stack, focus_depth=1.0)
    assert found.metric
    inside = torch.ones(96, 128, dtype=torch.bool)
    inside[:, 54:74] = False  # within 10 px of the depth edge, where two blurs mix
    inside[:8], inside[-8:], inside[:, :8], inside[:, -8:] = (False,) * 4  # frame of the picture
    error = (found.disparity[0] - depth.disparity[0]).abs()[inside]
    # The accuracy the sweep is held to elsewhere: 10 % of the offset of 0.75/m, or 0.02/m.
    assert error.quantile(0.95) < 0.075


def test_estimator_takes_a_batch_and_one_stack_for_all():
    image, depth = photo(), two_planes()
    stack = load_bokeh_generator("built-in").generate(image, [3, 6], depth=depth)
    estimator = load_depth_estimator("built-in")
    single = estimator.estimate(image[None], stack)
    pair = estimator.estimate(torch.stack([image, image]), [stack, stack])
    spread = estimator.estimate(torch.stack([image, image]), stack)
    assert not single.metric  # no focus distance, no metres
    for batch in (pair, spread):
        torch.testing.assert_close(batch.depth, single.depth.expand(2, -1, -1))


def test_estimator_without_a_stack_or_with_another_picture_says_so():
    estimator = load_depth_estimator("built-in")
    with pytest.raises(ValueError, match=r"stack: the built-in estimator .* Connect a stack"):
        estimator.estimate(photo()[None])
    stack = BokehStack(photo(9, 9), photo(9, 9)[None], (10.0,))
    with pytest.raises(ValueError, match=r"stack: its pictures are 9x9, the image is 65x97"):
        estimator.estimate(photo()[None], stack)
    with pytest.raises(ValueError, match="stack: 2 stacks for 3 pictures"):
        estimator.estimate(photo(9, 9).expand(3, -1, -1, -1), [stack, stack])


def test_unknown_names_are_refused():
    with pytest.raises((ValueError, FileNotFoundError), match="no_such"):
        load_bokeh_generator("no_such", "no_base")
    with pytest.raises((ValueError, FileNotFoundError), match="no_such"):
        load_depth_estimator("no_such")
