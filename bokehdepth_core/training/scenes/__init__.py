"""Made scenes: endless photos with depth and bokeh stacks, decided by a seed and a number."""

from .source import SceneSource

__all__ = ["SceneSource"]
