"""Keyframes and tracks of a focus pull."""

import math

import pytest
import torch

from bokehdepth_core import focus_track
from bokehdepth_core.optics.focus.following import follow_subject, smoothed
from bokehdepth_core.optics.focus.keyframes import EASINGS, Keyframe, parse_keyframes
from bokehdepth_core.optics.focus.plot import plot_focus_track

FLAT = torch.full((1, 6, 8), 2.0)


def halves(left=1.0, right=4.0):
    depth = torch.full((1, 8, 12), left)
    depth[:, :, 6:] = right
    return depth


def test_keyframes_are_read_in_any_order_and_with_full_width_signs():
    wanted = (Keyframe(0, 1.2), Keyframe(48, (0.3, 0.5), 40.0, "ease"), Keyframe(60, math.inf))
    assert parse_keyframes("48: 0.3,0.5 strength 40 ease; 60: inf\n0: 120 cm") == wanted
    text = "0:1.2m;48:0.3,0.5 strength=40 ease;60:inf"
    wide = "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in text)
    assert wide[0] != "0"
    assert parse_keyframes(wide) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("48", 'cannot read "48" as a keyframe'),
        ("0: near", 'cannot read "near" in "0: near"'),
        ("0: 1,2 m", "Decimals take a point: 1.2 m.*lies outside of the picture"),
        ("0: 1 m; 0: 2 m", "frame 0 is named twice"),
        ("0: 1 m 2 m", "write one focus for a frame, not two"),
        ("3: ease", "says nothing about its frame"),
        ("0: 0 m", "is not above 0"),
        ("0: 1e9 m", "above a million"),
        ("0: strength -3", "cannot read"),
        ("999999: 1 m", "beyond 99999"),
        ("", "none. Write such as"),
        ("0: subject", "none is connected"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(text, message):
    with pytest.raises(ValueError, match=f"^keyframes: .*{message}") as error:
        focus_track(FLAT, text)
    assert "\n" not in str(error.value)


def test_between_keyframes_disparity_goes_as_the_easing_says():
    track = focus_track(FLAT, "2: 1 m; 6: inf")
    assert len(track) == 7
    torch.testing.assert_close(1 / track.focus_depth, torch.tensor([1, 1, 1, 0.75, 0.5, 0.25, 0.0]))
    eased = focus_track(FLAT, "0: 1 m; 4: inf ease")
    # smoothstep 3t² − 2t³ at t = 1/4
    torch.testing.assert_close(float(1 / eased.focus_depth[1]), 1 - (3 / 16 - 2 / 64))
    held = focus_track(FLAT, "0: 1 m; 4: inf hold")
    assert (1 / held.focus_depth).tolist() == [1, 1, 1, 1, 0]
    assert all(ease(0.0) == 0 and ease(1.0) == 1 for ease in EASINGS.values())


def test_a_focus_that_does_not_move_stays_to_the_last_bit():
    depth = torch.full((1, 6, 8), 1.37)
    track = focus_track(depth, "0: 0.5,0.5; 40: 0.1,0.9 ease")
    assert (track.focus_depth == depth[0, 0, 0]).all()
    assert set(focus_track(depth, "0: strength 0.1; 9: strength 0.1").strengths) == {0.1}


def test_points_are_read_in_the_depth_of_their_own_frame():
    clip = torch.cat([halves(1.0, 4.0), halves(1.0, 4.0), halves(3.0, 4.0)])
    track = focus_track(clip, "0: 0.9,0.5; 2: 0.1,0.5")
    torch.testing.assert_close(1 / track.focus_depth, torch.tensor([1 / 4, 7 / 24, 1 / 3]))
    torch.testing.assert_close(track.points[1], torch.tensor([0.5, 0.5]))


def test_strength_alone_can_be_keyed():
    track = focus_track(FLAT, "0: strength 10; 4: strength 30")
    assert track.focus_depth is None
    assert track.strengths == (10, 15, 20, 25, 30)


def test_relative_depth_takes_points_and_no_distances():
    track = focus_track(halves(), "0: 0.1,0.5; 1: 0.9,0.5", metric=False)
    assert not track.metric
    with pytest.raises(ValueError, match="frame 0 names a distance, and this depth has no metres"):
        focus_track(halves(), "0: 1 m", metric=False)


def test_numbers_of_frames_must_agree():
    assert len(focus_track(FLAT.expand(5, -1, -1), "0: 1 m; 90: 2 m")) == 5
    assert len(focus_track(FLAT, "0: 1 m", frames=7)) == 7
    with pytest.raises(ValueError, match="depth: 5 of them for a clip of 7 frames"):
        focus_track(FLAT.expand(5, -1, -1), "0: 1 m", frames=7)
    with pytest.raises(ValueError, match="frames: expected 0 to 100000"):
        focus_track(FLAT, "0: 1 m", frames=10**9)


def test_a_subject_is_followed_in_disparity_and_lost_frames_are_named():
    depth = halves(1.0, 4.0)
    masks = torch.zeros(5, 8, 12)
    masks[0, :, :6] = masks[4, :, 6:] = 1
    track = focus_track(depth, "", subject=masks, smoothing=0)
    torch.testing.assert_close(
        1 / track.focus_depth, torch.tensor([1, 0.8125, 0.625, 0.4375, 0.25])
    )
    assert track.lost == (1, 2, 3)
    assert "empty in frame 1, 2, 3" in track.notes[0]
    torch.testing.assert_close(track.points[:, 0], torch.linspace(0.25, 0.75, 5))
    with pytest.raises(ValueError, match="subject: no pixel is chosen in any frame"):
        focus_track(depth, "", subject=torch.zeros(5, 8, 12))
    with pytest.raises(ValueError, match="subject: draw it on the same picture"):
        follow_subject(depth, torch.ones(1, 4, 4))


def test_keyframes_can_leave_the_subject_and_else_give_way_to_it():
    mask = torch.ones(1, 6, 8)
    track = focus_track(FLAT, "0: subject; 2: 1 m", subject=mask)
    torch.testing.assert_close(1 / track.focus_depth, torch.tensor([0.5, 0.75, 1.0]))
    assert not track.notes
    followed = focus_track(FLAT, "0: 1 m", frames=3, subject=mask)
    assert (followed.focus_depth == 2).all()
    assert followed.notes[0].startswith("keyframes: the subject is followed")


def test_smoothing_keeps_lines_and_lessens_noise():
    line = torch.linspace(0.2, 0.9, 40, dtype=torch.float64)
    torch.testing.assert_close(smoothed(line, 4.0), line)
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(400, dtype=torch.float64)
    # White noise under Gaussian weights of deviation s keeps 1/(2 s √π) of its variance.
    kept = smoothed(noise, 4.0)[20:-20].var() / noise.var()
    assert kept == pytest.approx(1 / (8 * math.sqrt(math.pi)), rel=0.35)
    assert torch.equal(smoothed(noise, 0.0), noise)


@pytest.mark.parametrize("text", ["0: 1 m", "0: 1 m; 30: inf ease", "0: strength 1; 3: strength 2"])
def test_a_plot_shows_every_track(text):
    picture = plot_focus_track(focus_track(FLAT, text))
    assert picture.shape == (320, 640, 3)
    assert len(torch.unique((picture * 255).round().long().flatten(0, 1), dim=0)) > 5
