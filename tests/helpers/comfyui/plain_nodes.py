"""Modules of nodes/ that know no ComfyUI, loaded without it."""

import importlib
import sys
import types
from pathlib import Path

ROOT = Path(__file__).parents[3]


def plain_module(name):
    """Load a module of nodes/ that knows no ComfyUI, under a package name of its own."""
    for package, folder in (("plain_pack", ROOT), ("plain_pack.nodes", ROOT / "nodes")):
        if package not in sys.modules:
            sys.modules[package] = types.ModuleType(package)
            sys.modules[package].__path__ = [str(folder)]
    return importlib.import_module(f"plain_pack.nodes.{name}")
