"""FLUX.1-Kontext on diffusers: its parts in files, their names, its layers and its tokens."""
