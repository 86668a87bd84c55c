"""Slices of the scene at like depth, blurred and composited front to back."""
