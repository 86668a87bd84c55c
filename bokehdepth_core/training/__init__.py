"""Training of depth networks: manifests of files, made scenes, losses and the loop.

Beside it, only the command line and the evaluation use this package; accelerate, which the loop
needs, is imported in the functions that use it.
"""
