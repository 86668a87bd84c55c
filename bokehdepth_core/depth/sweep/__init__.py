"""Depth without weights: which blur makes the sharp photo match each frame of its stack?

`estimate.py` is the way in: candidate offsets (`candidates.py`) are scored (`cost.py`), the best is
kept for each pixel (`argmin.py`) and handed on to pixels without texture (`propagation.py`).
"""
