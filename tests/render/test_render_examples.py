"""The examples in the docstrings of the renderer give what they say."""

import doctest
import importlib
import pkgutil

import pytest

from bokehdepth_core import render


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(render.__path__)])
def test_examples_give_what_they_say(name):
    module = importlib.import_module(f"{render.__name__}.{name}")
    assert doctest.testmod(module).failed == 0
