"""Where the focus lies, and how blur grows away from it.

`controls.py` holds what a compositor sets: the sharp zone, front and back, the largest radius.
`subject.py` finds what a photographer would have in focus. `track.py` moves the focus over a clip.
"""

from .controls import STRENGTH_UNITS, FocusControls, controlled_defocus, strength_in_px
from .subject import Subject, find_subject
from .track import FocusTrack, focus_track

__all__ = [
    "STRENGTH_UNITS",
    "FocusControls",
    "FocusTrack",
    "Subject",
    "controlled_defocus",
    "find_subject",
    "focus_track",
    "strength_in_px",
]
