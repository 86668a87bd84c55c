"""Fixtures that several test files share."""

import pytest
import torch


@pytest.fixture
def inference_mode():
    """Run the test as ComfyUI runs nodes."""
    with torch.inference_mode():
        yield
