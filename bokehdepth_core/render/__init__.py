"""From a photo and its depth to the photo through a lens.

`renderer.py` is the way in. Depth edges are sharpened (`depth_edges.py`), the scene is parted into
layers (`layers.py`) and completed behind them (`inpaint.py`); slices of equal defocus are blurred
and laid over each other (`compositing.py`), at half size for drafts (`draft.py`), tile by tile
(`tiles.py`).
"""

from .renderer import QUALITIES, render_bokeh, render_memory

__all__ = ["QUALITIES", "render_bokeh", "render_memory"]
