"""What a lens does: thin-lens formulas, camera, aperture, pupil and point spread function.

Nothing here knows pictures, files or networks.
"""
