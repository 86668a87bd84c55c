"""Where the focus lies, and how blur grows away from it.

`controls.py` holds what a compositor sets: the sharp zone, front and back, the largest radius.
"""

from .controls import STRENGTH_UNITS, FocusControls, controlled_defocus, strength_in_px

__all__ = ["STRENGTH_UNITS", "FocusControls", "controlled_defocus", "strength_in_px"]
