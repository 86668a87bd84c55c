"""A clip whose depth was guessed frame by frame, rendered without flicker.

The photos tell which parts stand still (`still.py`). There the depth is held until it has really
changed (`holding.py`), and so are the sides that the pixels of soft edges were given to
(`edges.py`). `clip.py` takes a clip through all three, frame by frame.
"""

from .clip import FrameDepth, steady_depth

__all__ = ["FrameDepth", "steady_depth"]
