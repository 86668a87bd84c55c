"""Depth of portraits that carry none: people found by a network that ships with the package."""
