"""The pack's ComfyUI modules, loaded as ComfyUI loads them; tests that import this skip without it.

COMFYUI_PATH names a ComfyUI checkout whose requirements are installed.
"""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

import pytest

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH does not name a ComfyUI checkout", allow_module_level=True)

import make_tiny_flux

ROOT = Path(__file__).parents[3]
NAME = "bokehdepth_pack"


def _load_pack():
    """Load the pack by file path, under a name of its own."""
    spec = importlib.util.spec_from_file_location(
        NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])


make_tiny_flux.use_comfyui()
_load_pack()
host = importlib.import_module(f"{NAME}.nodes.host.services")
flux_hooks = importlib.import_module(f"{NAME}.nodes.flux.hooks")
adapter_node = importlib.import_module(f"{NAME}.nodes.generator.adapter")
handles = importlib.import_module(f"{NAME}.nodes.handles")
native = importlib.import_module(f"{NAME}.nodes.flux.native")
architectures = importlib.import_module(f"{NAME}.bokehdepth_core.generator.flux.architectures")
adapters = importlib.import_module(f"{NAME}.bokehdepth_core.generator.adapter")
