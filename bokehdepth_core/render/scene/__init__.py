"""The scene behind a photo: its layers, and what stands at the edges between them.

Soft depth edges are made hard (`depth_edges.py`). What counts as an edge is said once
(`discontinuities.py`). There the mixed pixels are parted by alpha matting (`matting.py`), and what
the near side occludes is inpainted (`inpaint.py`). `layers.py` puts the pieces together.
"""
