"""Depth in: one module for each kind of file, one for what its numbers mean, one for its holes."""
