"""Photos of one view focused at several distances: one stack, and a picture sharp everywhere."""

from .frames import FocusStackReport, focus_stack_from_frames

__all__ = ["FocusStackReport", "focus_stack_from_frames"]
