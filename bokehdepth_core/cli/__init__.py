"""The command line, one file a command: parse, call the core, write files."""

from .program import main

__all__ = ["main"]
