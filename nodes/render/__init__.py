"""Nodes of the lens: Render Bokeh, its looks, its focus."""
