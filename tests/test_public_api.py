"""The public surface: what `bokehdepth_core` offers, and that each part explains itself."""

import inspect

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


@pytest.mark.parametrize(
    "name", [n for n in CALLABLES if inspect.isfunction(getattr(core, n))], ids=str
)
def test_every_public_function_shows_an_example(name):
    # tests/test_examples.py runs them.
    assert ">>> " in inspect.getdoc(getattr(core, name))
