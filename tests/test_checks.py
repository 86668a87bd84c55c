"""Reading strengths from text, and the messages of the shape check."""

import pytest
import torch

from bokehdepth_core import parse_strengths
from bokehdepth_core.checks import check_shape


@pytest.mark.parametrize("text", ["10, 20, 30", "10 20 30", "10;20;30", " 10.0,2e1,\n30 ,"])
def test_strengths_are_read_from_lists_as_people_write_them(text):
    assert parse_strengths(text) == (10.0, 20.0, 30.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10, ten, 30", r"strengths: cannot read 'ten' in \"10, ten, 30\" as a number"),
        ("", r"strengths: is empty. Write bokeh strengths such as \"10, 20, 30\""),
        ("10, -5", r"strengths: must be above 0, found -5"),
        ("0", r"strengths: must be above 0, found 0"),
        ("nan", r"strengths: expected a finite number, found nan"),
        ("inf", r"strengths: expected a finite number, found inf"),
    ],
)
def test_unusable_strengths_are_named(text, message):
    with pytest.raises(ValueError, match=message):
        parse_strengths(text)


def test_shape_check_binds_letters_and_fixed_sizes():
    assert check_shape(torch.zeros(2, 4, 5, 3), "image", "B H W 3") == {"B": 2, "H": 4, "W": 5}
    with pytest.raises(ValueError, match=r"matrix: expected \[N,N\], found \[2, 3\]"):
        check_shape(torch.zeros(2, 3), "matrix", "N N")
    with pytest.raises(ValueError, match=r"image: is empty, found \[0, 4, 5, 3\]"):
        check_shape(torch.zeros(0, 4, 5, 3), "image", "B H W 3")
    with pytest.raises(TypeError, match="image: expected a tensor, found list"):
        check_shape([1], "image", "B")


def test_commas_that_may_be_decimal_are_asked_about():
    with pytest.raises(ValueError, match=r"commas .* Write decimals with a point"):
        parse_strengths("1,5 2,5")
    assert parse_strengths("10,20,30") == (10.0, 20.0, 30.0)
    assert parse_strengths("10, 20,30") == (10.0, 20.0, 30.0)


def test_full_width_digits_are_read():
    # 10, 20, 30 in full-width digits, with a full-width and an ideographic comma.
    wide = "\uff11\uff10\uff0c\uff12\uff10\u3001\uff13\uff10"
    assert parse_strengths(wide) == (10.0, 20.0, 30.0)


def test_strengths_that_are_no_text_are_named():
    with pytest.raises(TypeError, match="strengths: expected text, found list"):
        parse_strengths([10, 20])
