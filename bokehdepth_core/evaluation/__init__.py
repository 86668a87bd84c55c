"""How good depth and lens blur are, measured on data whose truth is known."""

from .depth_metrics import DepthMetrics, evaluate_depth

__all__ = ["DepthMetrics", "evaluate_depth"]
