"""What generated bokeh stacks are worth: figures of one, and reports of many."""
