"""Photos of one view focused at several distances: one stack, and a picture sharp everywhere."""

from .distances import parse_focus_distances
from .frames import FocusStackReport, focus_stack_from_frames

__all__ = ["FocusStackReport", "focus_stack_from_frames", "parse_focus_distances"]
