"""From a photo and its depth to the photo through a lens.

`renderer.py` is the way in, `picture.py` renders one picture. The scene becomes layers, its edges
matted and its occluded background inpainted (`scene/`). Slices of equal defocus are blurred and
composited front to back (`compositing.py`), cut-outs with their coverage (`coverage.py`), at half
size for drafts (`draft.py`) and tile by tile in large pictures (`tiles.py`). `views.py` turns
pictures into light with its highlights and back; grain and the view of the focus come last
(`finish/`).
"""

from .memory import render_memory
from .picture import QUALITIES
from .renderer import render_bokeh

__all__ = ["QUALITIES", "render_bokeh", "render_memory"]
