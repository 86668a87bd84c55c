"""The look of a lens on the command line, changed by the options of its opening."""

from dataclasses import replace

import pytest

from bokehdepth_core.cli.commands.depth import _given_aperture
from bokehdepth_core.cli.lens_options import look_of
from bokehdepth_core.cli.program import _parser
from bokehdepth_core.optics.aperture import DISC
from bokehdepth_core.optics.lens import LENS_LOOKS


def parsed(*words, command="render"):
    return _parser().parse_args([command, "photo.png", "-o", "out.png", *words])


@pytest.mark.parametrize(
    ("name", "words", "field", "value"),
    [
        ("mirror donut", ("--obstruction", "0"), "obstruction", 0),
        ("cinema hexagon", ("--blades", "0"), "blades", 0),
        ("cinema hexagon", ("--blade-curvature", "0"), "curvature", 0),
        ("2x anamorphic", ("--anamorphic", "1"), "anamorphic", 1),
        ("vintage swirl", ("--cat-eye", "0"), "cat_eye", 0),
        ("vintage swirl", ("--swirl", "0"), "swirl", 0),
        ("soap bubbles", ("--spherical-aberration", "0"), "spherical_aberration", 0),
        ("modern nine-blade", ("--rotation", "0"), "rotation", 0),
    ],
)
def test_a_value_that_a_plain_disc_has_changes_a_look_as_any_other(name, words, field, value):
    look = LENS_LOOKS[name]
    assert getattr(look.aperture, field) != value
    wanted = replace(look, aperture=replace(look.aperture, **{field: value}))
    assert look_of(parsed("--lens", name, *words)) == wanted


@pytest.mark.parametrize("name", LENS_LOOKS)
def test_a_look_is_its_own_where_nothing_is_said(name):
    assert look_of(parsed("--lens", name)) == LENS_LOOKS[name]


def test_depth_is_told_a_disc_by_any_of_its_numbers_and_nothing_where_none_is_given():
    assert _given_aperture(parsed(command="depth")) is None
    for words in (("--blades", "0"), ("--anamorphic", "1"), ("--obstruction", "0")):
        assert _given_aperture(parsed(*words, command="depth")) == DISC
