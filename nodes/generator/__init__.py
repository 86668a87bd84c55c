"""Nodes of stage 1: the adapter, FLUX, bokeh stacks."""
