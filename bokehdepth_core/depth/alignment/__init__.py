"""Frames brought onto the reference: place, brightness and colour."""

from .align import AlignmentReport, FrameAlignment, align_stack

__all__ = ["AlignmentReport", "FrameAlignment", "align_stack"]
