"""What can be known before a run is said at the widget, the remedy within the first 80 letters."""

import ast
import re
from pathlib import Path

import pytest
import torch
from plain_nodes import plain_module

from bokehdepth_core.optics.focus.keyframes import parse_keyframes

early = plain_module("host.early")
doubts = plain_module("host.doubts").doubts
guessed_unit = plain_module("host.doubts").guessed_unit
DepthMap = plain_module("host.geometry").DepthMap

REMEDY = re.compile(
    r"\b(use|connect|disconnect|choose|give|write|crop|put|upload|load|reload|set|switch|take|divide|"
    r"scale|resample|draw|free|install|lower|make|save|update|wait)\b",
    re.IGNORECASE,
)


def test_a_passed_check_and_a_linked_value_are_true():
    assert early.said(float, "3") is True
    assert early.said(float, None) is True


def test_a_message_is_handed_on():
    assert early.said(int, "three").startswith("invalid literal")


def ramp(top, bottom, shape=(40, 60)):
    """Return a depth picture [1,H,W,3] that goes from the top's grey to the bottom's."""
    rows = torch.linspace(top, bottom, shape[0])[:, None].expand(shape)
    return rows[None, ..., None].expand(-1, -1, -1, 3)


def doubt(picture, size=(40, 60)):
    depth = DepthMap.from_normalized_disparity(picture[..., 0])
    return doubts(picture, depth, torch.zeros(1, *size, 3))


def test_near_at_the_bottom_and_equal_shape_raise_no_doubt():
    assert doubt(ramp(0.1, 0.9)) == ""
    assert doubt(ramp(0.5, 0.5)) == ""
    assert doubt(ramp(0.1, 0.9), (80, 120)) == ""


def test_a_picture_whose_far_is_white_is_doubted():
    told = doubt(ramp(0.9, 0.1))
    assert told.startswith("depth: put Invert Image before it if far is white")


def test_depth_in_metres_is_not_called_inverted():
    depth = torch.linspace(1, 5, 40)[None, :, None].expand(1, 40, 60).flip(1)
    assert doubts(DepthMap(depth), DepthMap(depth), torch.zeros(1, 40, 60, 3)) == ""


def test_stretched_depth_is_named():
    told = doubt(ramp(0.1, 0.9), (40, 40))
    assert told == "depth: crop the photo alike: 60x40 px of depth were stretched onto 40x40 px."
    assert REMEDY.search(told[:80])


def test_an_image_read_as_metres_or_scaled_back_is_told():
    metres = ramp(12.5, 2.0)
    told = doubts(metres, DepthMap(metres[..., 0]), torch.zeros(1, 40, 60, 3))
    assert told == (
        "depth: an IMAGE up to 12.5 was taken as metres. Give values of 0…1, near is white, for a "
        "depth picture."
    )
    overshot = guessed_unit(ramp(0.1, 1.05))
    assert overshot.startswith("depth: an IMAGE up to 1.05 was taken as relative. Connect METRIC")
    assert REMEDY.search(told[:80])
    assert REMEDY.search(overshot[:80])


def test_the_unit_of_other_kinds_of_depth_is_no_guess():
    assert guessed_unit(ramp(0.1, 1.0)) == ""
    assert guessed_unit(DepthMap(torch.full((1, 4, 6), 30.0))) == ""
    assert guessed_unit({"depth": torch.full((1, 4, 6), 30.0)}) == ""
    assert guessed_unit(None) == ""


def test_no_tag_is_left_in_a_text_for_the_page():
    told = early.without_tags("<img src=x onerror=alert(1)>_00001_.exr & 3 < 4")
    assert "<" not in told
    assert ">" not in told
    assert told.endswith("_00001_.exr & 3 \u2039 4")
    pictures = early.without_tags("![](//host/x.png) [[name|https://host]] [1, 2]")
    assert pictures == "![] (//host/x.png) [ [name|https://host]] [1, 2]"


def test_lines_stay_apart_in_markdown():
    assert early.without_tags("photo  \nK = 20\nK = 10") == "photo  \nK = 20  \nK = 10"


def _text(node):
    """Return a message as text, six letters for each value that is not known before the run."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    parts = [one.value if isinstance(one, ast.Constant) else "·" * 6 for one in node.values]
    return "".join(parts)


def _messages():
    for path in sorted(Path(__file__).parents[3].glob("nodes/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and getattr(node.exc, "args", None):
                message = node.exc.args[0]
                if isinstance(message, ast.Constant | ast.JoinedStr):
                    yield f"{path.name}:{node.lineno}", _text(message)


def test_every_message_of_the_nodes_says_what_to_do_within_80_letters():
    told = dict(_messages())
    assert len(told) > 20
    # what begins with a value, other than an input's name, has its message made elsewhere
    late = {at: text for at, text in told.items() if not re.match("·{6}(?!: )", text)}
    assert {at: text for at, text in late.items() if not REMEDY.search(text[:80])} == {}


@pytest.mark.parametrize(
    "text",
    [
        *("48", "0: near", "0: 1,2 m", "0: 1 m; 0: 2 m", "0: 1 m 2 m", "3: ease", "0: 0 m"),
        *("0: 1e9 m", "999999: 1 m", f"7: {'far ' * 40}", f"7: {'0.5,0.5 ' * 40}"),
    ],
)
def test_what_is_wrong_with_keyframes_comes_after_what_to_write(text):
    with pytest.raises(ValueError, match=r"^keyframes: ") as error:
        parse_keyframes(text)
    assert REMEDY.search(str(error.value)[:80])
