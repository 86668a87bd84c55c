"""FLUX.1 and FLUX.2: where the adapter attaches, their files, and sampling on diffusers."""
