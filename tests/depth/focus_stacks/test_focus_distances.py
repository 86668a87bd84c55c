"""Focus distances as a person writes them."""

import math

import pytest

from bokehdepth_core.depth.focus_stacks import parse_focus_distances


def test_commas_spaces_and_full_width_digits_separate_numbers():
    assert parse_focus_distances("\uff10.5\uff0c1; inf") == (0.5, 1.0, math.inf)


def test_empty_text_means_unknown():
    assert parse_focus_distances(" , ") is None


@pytest.mark.parametrize("text", ["1, two", "0", "-1, 2", "nan"])
def test_other_text_is_refused_by_name(text):
    with pytest.raises(ValueError, match="focus_distances: "):
        parse_focus_distances(text)
