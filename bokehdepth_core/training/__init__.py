"""Training of depth networks: manifests of files, made scenes, losses and the loop.

Nothing else of the pack imports this package; accelerate, which the loop needs, is imported in the
functions that use it.
"""
