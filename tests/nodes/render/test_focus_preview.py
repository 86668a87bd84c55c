"""What Render Bokeh hands to its focus picker. No ComfyUI needed."""

import pytest
import torch
from plain_nodes import plain_module

preview = plain_module("render.focus_preview")


def unpacked(colours, ends):
    """Return the disparity as the picker's JavaScript reads it."""
    code = colours[..., 0].double() * 256 + colours[..., 1].double()
    return ends[0] + (ends[1] - ends[0]) * code / 65535


def test_disparity_survives_to_half_a_step_of_16_bits():
    torch.manual_seed(0)
    depth = 0.5 + 20 * torch.rand(37, 53)
    depth[0, :5] = torch.inf
    colours, ends = preview.pack_disparity(depth)
    assert torch.equal(colours, colours.round())
    assert colours.min() >= 0
    assert colours.max() <= 255
    assert ends[0] == 0
    half_a_step = (ends[1] - ends[0]) / 65535 / 2
    # 1e-6: float32 of the share, before it is rounded to a step
    assert (unpacked(colours, ends) - 1 / depth.double()).abs().max() < half_a_step * 1.01 + 1e-6


def test_one_stray_pixel_does_not_take_the_steps_from_the_others():
    depth = torch.full((50, 50), 2.0)
    depth[:, 25:] = 4.0
    depth[0, 0] = 1e-4
    colours, ends = preview.pack_disparity(depth)
    assert ends == (0.25, 2.0)  # 4 × 1/2 m, not 10000
    assert unpacked(colours, ends)[0, 0] == 2.0
    # half a step of 1.75/65535
    assert (unpacked(colours, ends)[1:] - 1 / depth[1:]).abs().max() < 1.34e-5


def test_constant_and_infinite_depth_are_packed():
    for value in (3.0, torch.inf):
        colours, ends = preview.pack_disparity(torch.full((4, 4), value))
        assert torch.equal(unpacked(colours, ends), torch.full((4, 4), 1 / value).double())


def test_the_small_depth_holds_values_of_the_depth_alone():
    depth = torch.where(torch.arange(2000) < 900, 1.0, 7.0).expand(1, 1001, 2000)
    small = preview.smaller_depth(depth)
    assert small.shape == (1, 384, 768)
    assert set(small.unique().tolist()) == {1.0, 7.0}
    assert preview.smaller_picture(torch.rand(1, 1001, 2000, 3)).shape == (1, 384, 768, 3)


def test_the_camera_travels_in_shares_of_the_picture():
    camera = torch.tensor([[[800.0, 0, 500], [0, 900, 250], [0, 0, 1]]])
    depth_map = preview.core.DepthMap(torch.ones(1, 600, 1000), None, camera)
    expected = torch.tensor([0.8, 1.5, 0.5, 250 / 600])
    torch.testing.assert_close(torch.tensor(preview._camera(depth_map, 1000, 600)), expected)
    assert preview._camera(preview.core.DepthMap(torch.ones(1, 6, 10)), 10, 6) is None


def kept_of(monkeypatch, make):
    """Return what a picker gets, and the pictures that are saved for it, by name."""
    saved = []

    def save(batch):
        saved.extend(batch)
        return [{"filename": str(index)} for index in range(len(batch))]

    monkeypatch.setattr(preview, "_save", save)
    run = make()[preview.UI_NAME][0]
    return run, lambda one, name: saved[int(one[name]["filename"])], saved


def clip_ui(count: int, depths: int, height=40, width=60):
    """Return the ui of a clip whose frame n is as bright as n/1000, and n + 1 m away."""
    grey = torch.arange(count)[:, None, None, None] / 1000
    seen = grey.expand(-1, height, width, 3).clone()
    depth = (torch.arange(depths)[:, None, None] + 1.0).expand(-1, height, width).clone()
    camera = torch.eye(3).expand(depths, 3, 3)
    depth_map = preview.core.DepthMap(depth, None, camera)
    planes, points = torch.arange(count) + 1.0, torch.full((1, 2), 0.25)
    strengths = ([float(n) for n in range(count)], "track")
    return preview.focus_ui(seen, depth_map, seen, "sRGB", planes, points, "track", strengths)


def test_of_a_long_clip_few_small_frames_are_saved_each_with_its_own(monkeypatch):
    run, picture, saved = kept_of(monkeypatch, lambda: clip_ui(200, 200, 90, 1600))
    assert len(saved) == 3 * preview.MOST_FRAMES
    pixels = sum(one.shape[0] * one.shape[1] for one in saved)
    assert pixels <= 3 * 1.01 * 8 * 768 * (768 * 90 / 1600)  # 1.01: sides are whole
    assert run["count"] == 200
    numbers = [one["frame"] for one in run["frames"]]
    assert (numbers[0], numbers[-1]) == (0, 199)
    gaps = torch.tensor(numbers).diff()
    assert gaps.min() >= 8  # 199 over 23 gaps
    assert gaps.max() <= 9
    for one in run["frames"]:
        frame = one["frame"]
        for name in ("picture", "result"):
            torch.testing.assert_close(picture(one, name).mean(), torch.tensor(frame / 1000))
        near = pytest.approx(1 / (frame + 1), rel=1e-6)  # float32
        assert one["disparity"] == [near, near]
        assert one["focus"] == {"x": 0.25, "y": 0.25, "disparity": near, "by": "track"}
        assert one["strength"] == {"value": frame, "by": "track"}
    first = {name: value for name, value in run["frames"][0].items() if name != "frame"}
    assert {name: run[name] for name in first} == first  # older pages show the first frame


def test_one_picture_is_handed_over_as_ever(monkeypatch):
    run, picture, saved = kept_of(monkeypatch, lambda: clip_ui(1, 1))
    assert len(saved) == 3
    assert "frames" not in run
    assert picture(run, "depth").shape == (40, 60, 3)
    assert run["size"] == [60, 40]


def test_what_is_the_same_in_all_frames_is_saved_once(monkeypatch):
    run, _picture, saved = kept_of(monkeypatch, lambda: clip_ui(30, 1))
    assert len(saved) == 1 + 2 * preview.MOST_FRAMES
    assert len({one["depth"]["filename"] for one in run["frames"]}) == 1


def test_a_pull_counts_its_frames_and_shows_the_depth_of_each(monkeypatch):
    depth = torch.rand(5, 20, 30) + torch.arange(5)[:, None, None] + 0.5
    depth_map = preview.core.DepthMap(depth, None, None)
    run, picture, saved = kept_of(monkeypatch, lambda: preview.pull_ui(depth_map, 90))
    assert run["count"] == 90
    assert len(saved) == 10
    for one in run["frames"]:
        low, high = one["disparity"]
        near = 1 / depth[one["frame"]]
        assert (low, high) == (near.min().item(), near.max().item())
        shown = picture(one, "picture")[..., 0]
        torch.testing.assert_close(shown, (near - low) / (high - low))
