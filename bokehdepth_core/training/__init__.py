"""Training of depth networks and of bokeh adapters: manifests, made scenes, and the loop of both.

Beside it, only the command line and the evaluation use this package; accelerate, which the loop
needs, is imported in the functions that use it.
"""
