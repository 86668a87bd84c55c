"""Skips what runs FLUX on diffusers, with the reason, where the core itself would refuse to."""

import pytest

from bokehdepth_core.generator.flux.pipeline import check_packages


def skip_without_flux() -> None:
    """Skip the test, or the module that calls this at its top."""
    try:
        check_packages()
    except ImportError as error:
        pytest.skip(str(error), allow_module_level=True)
