"""Pictures in and out: one decoder for each format, one way from any colour space to sRGB.

`images.py` is the way in, `writing.py` the way out.
"""
