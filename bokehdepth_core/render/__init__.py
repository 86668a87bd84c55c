"""From a photo and its depth to the photo through a lens.

`renderer.py` is the way in. Soft depth edges are made hard (`depth_edges.py`). The scene becomes
layers (`layers.py`): at depth edges (`discontinuities.py`) mixed pixels are parted by alpha matting
(`matting.py`), and the occluded background is inpainted (`inpaint.py`). Slices of equal defocus are
blurred and composited front to back (`compositing.py`), at half size for drafts (`draft.py`) and
tile by tile in large pictures (`tiles.py`).
"""

from .renderer import QUALITIES, render_bokeh, render_memory

__all__ = ["QUALITIES", "render_bokeh", "render_memory"]
