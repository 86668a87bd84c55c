"""Fixtures that several test files share."""

import os

import pytest
import torch


def pytest_addoption(parser):
    """Let what is tried at random, and hostile files, be tried at many more places."""
    parser.addoption("--deep", action="store_true", help="many more random cases; takes an hour")


def pytest_configure(config):
    """Refuse a list of hosts, each of which needs a Python of its own, and share the cores."""
    _choose_examples(config.getoption("--deep"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        threads = max(1, (os.cpu_count() or 1) // workers)
        torch.set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # of the commands that tests start
    if os.pathsep in os.environ.get("COMFYUI_PATH", ""):
        raise pytest.UsageError(
            "COMFYUI_PATH: expected one ComfyUI checkout, found several. Run them all with "
            "python tests/comfyui_hosts.py."
        )


def _choose_examples(deep):
    """Let the laws be tried with the same few examples at every run, or with many."""
    try:
        from hypothesis import Phase, settings
    except ImportError:  # the fresh environments of tests/versions.py do without
        return
    settings.register_profile(
        "few", max_examples=12, derandomize=True, database=None, phases=[Phase.generate]
    )
    settings.register_profile("deep", max_examples=2500)
    settings.load_profile("deep" if deep else "few")


def pytest_collection_modifyitems(items):
    """Start with what takes minutes, and let one worker run all that needs a ComfyUI.

    So no worker ends long after the others, and one server at a time is up.
    """
    for item in items:
        if item.get_closest_marker("comfyui"):
            item.add_marker(pytest.mark.xdist_group("comfyui"))
    items.sort(key=lambda item: item.get_closest_marker("minutes") is None)


@pytest.fixture
def inference_mode():
    """Run the test as ComfyUI runs nodes."""
    with torch.inference_mode():
        yield
