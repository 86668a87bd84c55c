"""Where the focus lies, and how blur grows away from it.

`controls.py` holds what a compositor sets: the sharp zone, front and back, the largest radius.
`subject.py` finds what a photographer would have in focus.
"""

from .controls import STRENGTH_UNITS, FocusControls, controlled_defocus, strength_in_px
from .subject import Subject, find_subject

__all__ = [
    "STRENGTH_UNITS",
    "FocusControls",
    "Subject",
    "controlled_defocus",
    "find_subject",
    "strength_in_px",
]
