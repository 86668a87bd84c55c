"""The examples in the docstrings of the core, run and compared with what they promise."""

import doctest
import importlib
import pkgutil

import pytest
import torch

import bokehdepth_core

MODULES = [
    one.name
    for one in pkgutil.walk_packages(bokehdepth_core.__path__, "bokehdepth_core.")
    if not one.name.endswith("__main__")
]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_show(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # examples may write files
    torch.manual_seed(0)
    found = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert found.failed == 0  # pytest shows what doctest printed
