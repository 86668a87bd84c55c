"""Training of a bokeh adapter on FLUX: pairs, latents kept on disk, rectified flow, validation.

The base model is frozen; the adapter's tensors are the only ones that learn, and are written in the
published layout.
"""
