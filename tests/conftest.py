"""Fixtures that several test files share."""

import os

import pytest
import torch


def pytest_configure():
    """Refuse a list of hosts: each needs a Python of its own."""
    if os.pathsep in os.environ.get("COMFYUI_PATH", ""):
        raise pytest.UsageError(
            "COMFYUI_PATH: expected one ComfyUI checkout, found several. Run them all with "
            "python tests/comfyui_hosts.py."
        )


@pytest.fixture
def inference_mode():
    """Run the test as ComfyUI runs nodes."""
    with torch.inference_mode():
        yield
