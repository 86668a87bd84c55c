"""The public surface: what `bokehdepth_core` offers, and that each part explains itself."""

import doctest
import inspect
import re
import sys

import pytest

import bokehdepth_core as core

CALLABLES = [name for name in core.__all__ if callable(getattr(core, name))]
OLD_NAMES = {
    "BUILT_IN",
    "Aperture",
    "BokehStack",
    "DepthMap",
    "StackCalibration",
    "bokeh_strength_from_lens",
    "calibrate_stack",
    "coc_radius",
    "defocus",
    "disparity_offset",
    "f_number_from_bokeh_strength",
    "focus_depth_at",
    "load_bokeh_generator",
    "load_depth_estimator",
    "parse_strengths",
    "render_bokeh",
    "sweep_depth",
}


def test_no_public_name_was_taken_away():
    assert set(core.__all__) >= OLD_NAMES


def test_every_public_name_is_there_and_listed_once():
    assert len(core.__all__) == len(set(core.__all__))
    assert [name for name in core.__all__ if not hasattr(core, name)] == []


@pytest.mark.parametrize("name", CALLABLES)
def test_every_public_name_shows_an_example_and_names_its_source(name):
    part = getattr(core, name)
    sections = re.split(r"^(\w+):\n", inspect.getdoc(part), flags=re.MULTILINE)
    by_title = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert re.search(r"\w{4}", by_title["Reference"])
    # tests/test_examples.py runs what doctest finds.
    module = sys.modules[part.__module__]
    found = [one.name for one in doctest.DocTestFinder().find(module) if one.examples]
    assert f"{part.__module__}.{part.__name__}" in found
